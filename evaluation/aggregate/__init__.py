"""One number for a whole suite of tasks over several training runs."""

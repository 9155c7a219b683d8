"""Language models that talk: the model and its sampling, supervised fine-tuning, and one algorithm per file."""

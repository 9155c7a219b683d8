"""A restaurant guide's conversations: database, goals, wordings, understanding, the user simulator and its policies."""

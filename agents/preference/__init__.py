"""What people like: judgements on pairs of replies, and a model of taste that is fitted to them."""

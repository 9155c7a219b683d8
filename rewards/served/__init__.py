"""Rewards that ask a model behind an endpoint."""

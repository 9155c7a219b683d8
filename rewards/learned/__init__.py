"""Rewards that are models: classifiers, encoders, language models, fitted preferences."""

"""Evaluators: small modules over features and predictions."""

"""Protocols, the evaluator that runs models under them, published figures as data, and speed."""

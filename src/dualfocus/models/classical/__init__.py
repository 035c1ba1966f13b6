"""Depth from focus without a network."""

from dualfocus.models.classical.estimator import Classical

__all__ = ["Classical"]

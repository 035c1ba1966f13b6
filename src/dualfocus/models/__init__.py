"""Networks built from shared parts by configuration, and the classical estimator.

Torch is imported when a model is built: what is known of one by its name is there without it.
"""

from dualfocus.models.kinds import KINDS, MODELS, NETWORKS, Kind, build_model, build_network
from dualfocus.models.options import network_options

__all__ = ["KINDS", "MODELS", "NETWORKS", "Kind", "build_model", "build_network", "network_options"]

"""What is measured, where and how, and the figures that others published under the same rules."""

from dualfocus.benchmarks.protocols.catalogue import PROTOCOLS, find_protocol, needs_data, open_dataset
from dualfocus.benchmarks.protocols.protocol import Protocol

__all__ = ["PROTOCOLS", "Protocol", "find_protocol", "needs_data", "open_dataset"]

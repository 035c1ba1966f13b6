"""What is measured, where and how, and the figures that others published under the same rules."""

from dualfocus.benchmarks.protocols.catalogue import PROTOCOLS, find_protocol, open_dataset
from dualfocus.benchmarks.protocols.protocol import BenchmarkProtocol

__all__ = ["PROTOCOLS", "BenchmarkProtocol", "find_protocol", "open_dataset"]

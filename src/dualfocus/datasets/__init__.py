"""Datasets on disk and rendered ones, all giving the same `Sample`: a focal stack with its true depth."""

from dualfocus.datasets.nyu import NyuLabelled
from dualfocus.datasets.procedural import ProceduralScenes
from dualfocus.datasets.sample import Dataset, Sample
from dualfocus.datasets.stack_folders import StackFolders

__all__ = ["Dataset", "NyuLabelled", "ProceduralScenes", "Sample", "StackFolders"]

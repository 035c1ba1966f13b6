"""Datasets on disk and rendered ones, all giving the same `Sample`: a focal stack with its true depth."""

from dualfocus.datasets.arkitscenes import ArkitScenes
from dualfocus.datasets.ddff12 import Ddff12
from dualfocus.datasets.fod500 import Fod500
from dualfocus.datasets.hammer import Hammer
from dualfocus.datasets.light_field_4d import LightField4d
from dualfocus.datasets.nyu import NyuLabelled, open_nyu
from dualfocus.datasets.nyu_bts import NyuBts
from dualfocus.datasets.nyu_mat import NyuMat
from dualfocus.datasets.procedural import ProceduralScenes
from dualfocus.datasets.sample import Dataset, Sample
from dualfocus.datasets.stack_folders import StackFolders
from dualfocus.datasets.synthetic_fs import SyntheticFs
from dualfocus.datasets.uniformat import Uniformat

__all__ = [
    "ArkitScenes",
    "Dataset",
    "Ddff12",
    "Fod500",
    "Hammer",
    "LightField4d",
    "NyuBts",
    "NyuLabelled",
    "NyuMat",
    "ProceduralScenes",
    "Sample",
    "StackFolders",
    "SyntheticFs",
    "Uniformat",
    "open_nyu",
]

"""Datasets on disk and rendered ones, all giving the same `Sample`: a focal stack with its true depth."""

from dualfocus.datasets.arkitscenes import ArkitScenes
from dualfocus.datasets.ddff12 import Ddff12, Ddff12Test
from dualfocus.datasets.fod500 import Fod500
from dualfocus.datasets.hammer import Hammer
from dualfocus.datasets.infinigen import InfinigenDefocus
from dualfocus.datasets.light_field_4d import LightField4d
from dualfocus.datasets.mobile_depth import MobileDepth
from dualfocus.datasets.nyu_bts import NyuBts
from dualfocus.datasets.nyu_forms import open_nyu
from dualfocus.datasets.nyu_labelled import NyuLabelled
from dualfocus.datasets.nyu_mat import NyuMat
from dualfocus.datasets.procedural import ProceduralScenes
from dualfocus.datasets.sample import Dataset, Sample
from dualfocus.datasets.smartphone import Smartphone
from dualfocus.datasets.stack_folders import StackFolders
from dualfocus.datasets.synthetic_fs import SyntheticFs
from dualfocus.datasets.uniformat import Uniformat
from dualfocus.datasets.zedd import Zedd

__all__ = [
    "ArkitScenes",
    "Dataset",
    "Ddff12",
    "Ddff12Test",
    "Fod500",
    "Hammer",
    "InfinigenDefocus",
    "LightField4d",
    "MobileDepth",
    "NyuBts",
    "NyuLabelled",
    "NyuMat",
    "ProceduralScenes",
    "Sample",
    "Smartphone",
    "StackFolders",
    "SyntheticFs",
    "Uniformat",
    "Zedd",
    "open_nyu",
]

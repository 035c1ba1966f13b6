"""The order of focus of planes without distances, found from their sharpness.

Each region of a scene becomes sharper plane by plane up to the one it is in focus in, and then blurrier again. Along
the right order the sharpness of every region goes up from blurred once and down to blurred once, so its total variation
is as small as it can be: the right order is the shortest round trip from a plane in which nothing is sharp, through all
planes and back, where the distance between two planes is the change in sharpness summed over all regions. A round trip
has no direction: which end is near cannot be told from sharpness.
"""

from dualfocus.ordering.found_order import FoundOrder, find_order, order_of
from dualfocus.ordering.reordered import reorder
from dualfocus.ordering.settle import CHOICES, check_order, settle_order
from dualfocus.ordering.sharpness import pattern_distances, relative_sharpness, sharpness_pattern

__all__ = [
    "CHOICES",
    "FoundOrder",
    "check_order",
    "find_order",
    "order_of",
    "pattern_distances",
    "relative_sharpness",
    "reorder",
    "settle_order",
    "sharpness_pattern",
]

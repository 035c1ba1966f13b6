"""The input of everything: photographs of one scene at several focus distances, checked once, with their units."""

from dualfocus.stack.camera import Camera
from dualfocus.stack.distances import ORDERS, UNITS
from dualfocus.stack.focal_stack import FocalStack, check_stack

__all__ = ["ORDERS", "UNITS", "Camera", "FocalStack", "check_stack"]

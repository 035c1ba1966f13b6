"""Registration of the frames of a focal stack: focus breathing and hand-held motion."""

from dualfocus.alignment.aligned import CHOICES, AlignedStack, align, check_choice

__all__ = ["CHOICES", "AlignedStack", "align", "check_choice"]

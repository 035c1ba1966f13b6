"""`settle_order`: the order that is wanted, from the one given and the one found."""

from __future__ import annotations

from dualfocus.derived import shallow_copy
from dualfocus.ordering.found_order import find_order
from dualfocus.ordering.reordered import reorder
from dualfocus.remedies import Answerable, Remedy
from dualfocus.stack import ORDERS, FocalStack, check_stack

CHOICES = ("given", "auto", *ORDERS)

_EITHER = Remedy("order", "near_to_far or far_to_near", python='order="near_to_far" or order="far_to_near"')
_SAME_WAY = 0.5  # rank correlation from which the order found still goes the way that is said of the order given


def check_order(wanted: str) -> None:
    """Refuse what is not one of `CHOICES` (ValueError naming it)."""
    if wanted not in CHOICES:
        raise ValueError(f"order {wanted!r} is not one of {', '.join(CHOICES)}")


def settle_order(stack: FocalStack, wanted: str = "given") -> FocalStack:
    """The stack in the order that is wanted, with warnings for what cannot be known; only for one without distances.

    Args:
        stack: stays as it is. One with distances keeps its order: they state it.
        wanted: "given" looks whether focus moves one way through the images, and warns when it does not; "auto" puts
            them in the order found; "near_to_far" and "far_to_near" say what the order given is.

    Returns:
        A stack of the same planes, still lazy, with the warnings. A result counts its planes in the order of that one.

    Raises:
        ValueError: no focal stack, another word, or a registered stack that is to be put in another order.
    """
    check_stack(stack, "settle_order")
    check_order(wanted)
    stack = shallow_copy(stack)
    if stack.focus_distances is not None:
        if wanted != "given":
            stack.warnings.append(f"the order {wanted} is not used: the focus distances state the order")
        return stack
    if wanted in ORDERS:
        stack.order = wanted
        return stack
    found = find_order(stack)
    if not found.is_as_given:
        names = ", ".join(stack.names[n] for n in found.planes)
        if wanted == "auto":
            stack = reorder(stack, found.planes)
            stack.order = stack.order if found.agreement >= _SAME_WAY else None
            stack.warnings.append(f"the images are put in the order of focus that was found: {names}")
        else:
            stack.warnings.append(
                "focus does not move one way through the images in the order given, so their depth is not in order; "
                f"found was {names}: use it with {Remedy('order', 'auto')}"
            )
    if stack.order is None:
        stack.warnings.append(
            Answerable(f"which end of the stack is near cannot be told from the images; say it with {_EITHER}")
        )
    return stack

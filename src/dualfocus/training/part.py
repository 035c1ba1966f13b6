"""Training one part of a network alone, such as its confidence head, while all else answers as it will be used."""

from __future__ import annotations

from torch import nn


def freeze_others(network: nn.Module, part: str | None) -> None:
    """Let only the parameters of one part learn; all of them where ``part`` is None.

    Args:
        network: whole.
        part: name of a module of it, with dots.

    Raises:
        ValueError: there is no module of this name, or it has no parameters.
    """
    if part is None:
        return
    modules = dict(network.named_modules())
    if part not in modules or not any(True for _ in modules[part].parameters()):
        heads = sorted({name for name in modules if name.count(".") <= 1 and name})
        raise ValueError(f"optimiser.only: the network has no part {part!r} with parameters; it has {', '.join(heads)}")
    network.requires_grad_(False)
    modules[part].requires_grad_(True)


def begin_training(network: nn.Module, part: str | None) -> None:
    """Training mode of the whole, or of ``part`` while the norms of all others keep their statistics."""
    network.train(part is None)
    if part is not None:
        network.get_submodule(part).train()

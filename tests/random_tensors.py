"""Random tensors for the tests of losses and projections."""

import torch


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers in double precision, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

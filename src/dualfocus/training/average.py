"""The mean of several weights of one network: `python -m dualfocus.training.average WEIGHTS ... --shares ... -o OUT`.

A network that is trained on gets better on the scenes it sees and may get worse on others; between the weights before
and after lie some that are nearly as good on both. Which, held-out stacks have to say. The mean has neither validation
figures nor a confidence map: `dualfocus.training.refit_confidence` finds them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from dualfocus.messages import ending_in_one_line
from dualfocus.models.record import WeightsRecord
from dualfocus.models.weights import load_weights, save_weights

_ITS_OWN = ("validation", "confidence_map")  # keys of the record that a mean does not take over


def average(weights: Sequence[Path], shares: Sequence[float], out: Path) -> Path:
    """Write the weighted mean of `weights` to `out`, with the record of the last of them and the shares.

    Raises:
        ValueError: bad weights, or of different networks; shares that are not one for each, or not 1 in all.
    """
    loaded = [load_weights(path) for path in weights]
    network, record = mean_network(weights, loaded, shares), loaded[-1][1]
    kept = {key: value for key, value in record.items() if key not in _ITS_OWN}
    made = {"shares": list(shares), "steps": [r["steps"] for _, r in loaded], "seeds": [r["seed"] for _, r in loaded]}
    save_weights(out, record["model"], network, kept | {"averaged": made})
    return out


def mean_network(
    weights: Sequence[Path], loaded: Sequence[tuple[nn.Module, WeightsRecord]], shares: Sequence[float]
) -> nn.Module:
    """The weighted mean of networks as one more network.

    Args:
        weights: where they came from, for messages.
        loaded: networks and their records, see `dualfocus.models.weights.load_weights`; they stay as they are.
        shares: share of each network, 1 in all.

    Raises:
        ValueError: different networks; shares that are not one for each, not from 0 to 1, or not 1 in all.
    """
    if len(shares) != len(loaded) or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise ValueError(f"shares must be {len(loaded)} numbers from 0 to 1 that add up to 1, not {list(shares)}")
    network, record = loaded[-1]
    for path, (_, other) in zip(weights, loaded, strict=True):
        if (other["model"], other["options"]) != (record["model"], record["options"]):
            raise ValueError(f"{path}: another network than {weights[-1]}; only weights of one network have a mean")
    states = [part.state_dict() for part, _ in loaded]
    mean = deepcopy(network)
    mean.load_state_dict({key: _mean([state[key] for state in states], shares) for key in states[-1]})
    return mean


def _mean(tensors: Sequence[torch.Tensor], shares: Sequence[float]) -> torch.Tensor:
    """Weighted mean; of counters, which are whole numbers, the last."""
    if not tensors[-1].is_floating_point():
        return tensors[-1]
    return torch.stack([share * tensor for share, tensor in zip(shares, tensors, strict=True)]).sum(0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dualfocus.training.average", description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--shares", type=float, nargs="+", required=True, help="share of each, 1 in all")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write the new .safetensors")
    arguments = parser.parse_args()
    with ending_in_one_line():
        written = average(arguments.weights, arguments.shares, arguments.out)
    print(f"weights written to {written}")


if __name__ == "__main__":
    main()

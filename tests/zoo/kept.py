"""What eval mode keeps still beside dropout: norms, computed weights; and types and layouts of memory."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from laws import Call
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from zoo.case import Case, P, rows
from zoo.kinds import only_in_training
from zoo.references import by_hand, dropped, in_training

__all__ = ["CASES", "dropped_between", "small"]


def normed(norm: Callable[[], nn.Module], *, hides: bool = False) -> nn.Module:
    drop = Call(partial(only_in_training, function=F.dropout), p=P) if hides else nn.Dropout(P)
    return nn.Sequential(nn.Conv1d(2, 4, 2), norm(), drop, nn.Flatten(), nn.Linear(12, 2))


def normed_by_hand(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    return net[3:](dropped(generator, net[1](net[0](x))))


def reweighted(change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(change(nn.Linear(3, 6)), nn.Dropout(P), change(nn.Linear(6, 2)))


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Dropout(P), nn.Linear(6, 2))


def dropped_between(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    return net[2](dropped(generator, net[0](x)))


class Positive(nn.Module):
    """Weights kept positive."""

    def forward(self, weight: Tensor) -> Tensor:
        return F.softplus(weight)


class DropWeights(nn.Module):
    """Weights dropped, as a parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return F.dropout(weight, P, self.training)


def parametrized(change: Callable[[], nn.Module]) -> nn.Module:
    layer = nn.Linear(3, 4)
    parametrize.register_parametrization(layer, "weight", change())
    return layer


def weights_dropped(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    weight = net[0].parametrizations.weight.original
    many = dropped(generator, weight.expand(len(x), *weight.shape))
    return net[1:](torch.einsum("noi,ni->no", many, x) + net[0].bias)


class HiddenInside(nn.Module):
    """A hidden rate in the same module as a batch norm and a spectral norm: waking it must not touch either."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 2)
        self.norm, self.p = nn.BatchNorm1d(4), P

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.first(x))
        return self.last(F.dropout(h, self.p if self.training else 0.0))


def kept_cases() -> dict[str, Case]:
    norms: dict[str, Callable[[], nn.Module]] = {
        "batch norm": lambda: nn.BatchNorm1d(4),
        "instance norm": lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        "group norm": lambda: nn.GroupNorm(2, 4),
    }
    weights: dict[str, Callable[[nn.Module], nn.Module]] = {
        "weight norm, old": nn.utils.weight_norm,
        "weight norm": parametrizations.weight_norm,
        "spectral norm, old": nn.utils.spectral_norm,
        "spectral norm": parametrizations.spectral_norm,
    }
    return {
        **{
            f"{name}{', hidden' * hides}": Case(
                partial(normed, norm, hides=hides), by_hand(normed_by_hand), (rows(2, 4),)
            )
            for name, norm in norms.items()
            for hides in (False, True)
        },
        "norms around a hidden rate": Case(
            HiddenInside,
            by_hand(lambda net, g, x: net.last(dropped(g, net.norm(net.first(x))))),
            (rows(3),),
        ),
        **{
            name: Case(partial(reweighted, change), by_hand(dropped_between), (rows(3),))
            for name, change in weights.items()
        },
        "parametrized": Case(
            lambda: nn.Sequential(parametrized(Positive), nn.Dropout(P), nn.Linear(4, 2)),
            by_hand(dropped_between),
            (rows(3),),
        ),
        "parametrized by dropout": Case(
            lambda: nn.Sequential(parametrized(DropWeights), nn.Tanh(), nn.Linear(4, 2)),
            by_hand(weights_dropped),
            (rows(3),),
            tiled=False,
            rowwise=False,
        ),
        "channels last": Case(
            lambda: nn.Sequential(nn.Conv2d(2, 4, 2), nn.Dropout2d(P), nn.Flatten(), nn.Linear(16, 2)),
            by_hand(lambda net, g, x: net[2:](dropped(g, net[0](x), channels=2))),
            (rows(2, 3, 3).to(memory_format=torch.channels_last),),
            wrap=lambda net, x: net.to(memory_format=torch.channels_last),
        ),
        "double": Case(small, by_hand(dropped_between), (rows(3),), dtype=torch.float64),
        "bfloat16": Case(small, in_training, (rows(3),), dtype=torch.bfloat16),
    }


CASES = kept_cases()

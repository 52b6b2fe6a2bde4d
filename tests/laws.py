"""Laws that every member of a family obeys: kinds of dropout, and nets that call them in many ways.

A statistical law compares a mean or a variance over T draws with its exact value and allows `LIMIT` standard errors.
One comparison exceeds them in about 2 of 10 million runs, so a test of up to 1,000 comparisons raises a false alarm for
less than 1 seed in 1,000; the seeds are fixed, so that a test that passes keeps passing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LIMIT = 5.2
ALPHA_PRIME = -1.7580993408473766  # SELU's limit at minus infinity


# Kinds of dropout


def unchanged_variance(x: Tensor, p: float) -> Tensor:
    return x.square() * p / (1 - p)


def alpha_variance(x: Tensor, p: float) -> Tensor:
    scale = 1 / ((1 - p) * (1 + p * ALPHA_PRIME**2))
    return scale * (x - ALPHA_PRIME).square() * p * (1 - p)


def unchanged_mean(x: Tensor, p: float) -> Tensor:
    return x


def alpha_mean(x: Tensor, p: float) -> Tensor:
    return x * ((1 - p) / (1 + p * ALPHA_PRIME**2)) ** 0.5


@dataclass(frozen=True)
class Kind:
    """One kind of dropout as torch offers it: a module, a function of `torch.nn.functional`, functions of `torch`."""

    module: Callable[..., nn.Module]
    function: Callable[..., Tensor]
    plain: tuple[Callable[..., Any], ...]
    shape: tuple[int, ...]
    channels: bool = False
    mean: Callable[[Tensor, float], Tensor] = unchanged_mean
    variance: Callable[[Tensor, float], Tensor] = unchanged_variance


def native(x: Tensor, p: float, train: bool) -> Tensor:
    return torch.native_dropout(x, p, train)[0]


ALPHA = {"mean": alpha_mean, "variance": alpha_variance}
CHANNELS = (torch.feature_dropout, torch.feature_dropout_)
KINDS = {
    "Dropout": Kind(nn.Dropout, F.dropout, (torch.dropout, torch.dropout_, native), (6,)),
    "Dropout1d": Kind(nn.Dropout1d, F.dropout1d, CHANNELS, (4, 3), channels=True),
    "Dropout2d": Kind(nn.Dropout2d, F.dropout2d, CHANNELS, (4, 3, 2), channels=True),
    "Dropout3d": Kind(nn.Dropout3d, F.dropout3d, CHANNELS, (4, 2, 2, 2), channels=True),
    "AlphaDropout": Kind(nn.AlphaDropout, F.alpha_dropout, (torch.alpha_dropout, torch.alpha_dropout_), (6,), **ALPHA),
    "FeatureAlphaDropout": Kind(
        nn.FeatureAlphaDropout,
        F.feature_alpha_dropout,
        (torch.feature_alpha_dropout, torch.feature_alpha_dropout_),
        (4, 3),
        channels=True,
        **ALPHA,
    ),
}


class Call(nn.Module):
    """A module whose forward is a function of itself and its inputs."""

    def __init__(self, function: Callable[..., Any], **members: Any):
        super().__init__()
        for name, value in members.items():
            setattr(self, name, value)
        self.function = function

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Any:
        return self.function(self, *args, **kwargs)


def forms(kind: Kind, p: float) -> dict[str, nn.Module]:
    """Return one kind of dropout in every form a net may call it in."""
    f = kind.function
    out: dict[str, nn.Module] = {
        "module": kind.module(p),
        "module, in place": kind.module(p, inplace=True),
        "module, train mode": kind.module(p).train(),
        "functional, training=True": Call(lambda _, x: f(x, p, True)),
        "functional, training=False": Call(lambda _, x: f(x, p, training=False)),
        "functional, training=self.training": Call(lambda self, x: f(x, p=p, training=self.training)).eval(),
        "functional, by keyword": Call(lambda _, x: f(input=x, p=p)),
        "functional, in place": Call(lambda _, x: f(x, p, False, True)),
    }
    for function in kind.plain:
        out[f"torch.{function.__name__}"] = Call(lambda _, x, function=function: function(x, p, False))
        if function is not native:
            out[f"torch.{function.__name__}, keyword"] = Call(
                lambda _, x, function=function: function(x, p=p, train=False)
            )
    return out


FORMS = [(name, form) for name, kind in KINDS.items() for form in forms(kind, 0.5)]


def form_of(name: str, form: str, p: float) -> nn.Module:
    return forms(KINDS[name], p)[form]


# Nets


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_weights(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and every running statistic values from a stream of its own."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0, generator=generator)
    return net


def mlp(*, drop: Callable[..., nn.Module] = nn.Dropout, activation: Callable[..., nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 16), activation(), drop(0.2), nn.Linear(16, 16), activation(), drop(0.5), nn.Linear(16, 2)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3),
        nn.Dropout2d(0.5),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, 4),
    )


class Residual(nn.Module):
    """Convolutions with batch normalization around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout2d(0.3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = h + self.drop(F.relu(self.bn2(self.conv2(h))))
        return self.head(F.dropout(h.mean((2, 3)), 0.4))


def time_first(self: nn.Module, x: Tensor) -> Tensor:
    h = self.first(x).transpose(0, 1)  # (time, rows, units)
    return self.last(F.dropout(h, 0.4)).transpose(0, 1).flatten(1)


def heads_in_rows(self: nn.Module, x: Tensor) -> Tensor:
    h = F.dropout(self.first(x).reshape(-1, 8), 0.4)  # (rows * time, units)
    return self.last(h).reshape(len(x), -1)


def rows_in_time(self: nn.Module, x: Tensor) -> Tensor:
    h = F.dropout(self.first(x).transpose(0, 1).reshape(-1, 8), 0.4)  # (time * rows, units)
    return self.last(h).reshape(x.shape[1], len(x), -1).transpose(0, 1).flatten(1)


def heads_on_axis_one(self: nn.Module, x: Tensor) -> Tensor:
    h = self.first(x).unflatten(-1, (2, 4))  # (rows, time, heads, units)
    h = F.dropout(h.permute(1, 0, 2, 3).flatten(1, 2), 0.4)  # (time, rows * heads, units)
    return self.last(h.unflatten(1, (len(x), 2)).permute(1, 0, 2, 3).flatten(2)).flatten(1)


def twice(self: nn.Module, x: Tensor) -> Tensor:
    return self.last(self.drop(F.relu(self.middle(self.drop(F.relu(self.first(x)))))))


def weights_dropped(self: nn.Module, x: Tensor) -> Tensor:
    return F.linear(F.relu(self.first(x)), F.dropout(self.last.weight, 0.3), self.last.bias)


def written_over(self: nn.Module, x: Tensor) -> Tensor:
    h = F.dropout(self.first(x), 0.3)
    h.relu_()
    h += 1
    h[:, 0] = 0
    return self.last(h)


def dropped_by_name(self: nn.Module, x: Tensor) -> Tensor:
    h = self.first(x)
    view = h[:, :4]
    F.dropout(h, 0.5, inplace=True)  # h and its view change, whatever becomes of the result
    return self.last(torch.cat([view, h[:, 4:]], 1))


def dropped_and_returned(self: nn.Module, x: Tensor) -> Tensor:
    h = self.first(x)
    torch.alpha_dropout_(h, 0.5, False)
    return h


def dropped_twice(self: nn.Module, x: Tensor) -> Tensor:
    h = F.dropout(self.first(x), 0.5)
    F.dropout(h, 0.5, inplace=True)
    return self.last(h)


def writes_to_input(self: nn.Module, x: Tensor) -> Tensor:
    x.mul_(2)
    return self.last(F.dropout(self.first(x), 0.3))


def two_inputs(self: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    return self.last(F.dropout(self.first(x) * self.middle(F.dropout(z, 0.5)), 0.3))


def by_name(self: nn.Module, *, words: Tensor, mask: Tensor) -> Tensor:
    h = F.dropout(self.first(words), 0.3) * mask[..., None]
    return self.last(h.sum(1))


def gated(self: nn.Module, x: Tensor) -> Tensor:
    """Take a path that depends on the draw, so that vmap gives up."""
    h = F.dropout(self.first(x), 0.5)
    return self.last(F.dropout(h, 0.3) if h.sum() > 0 else F.dropout(h.tanh(), 0.2))


def layers() -> dict[str, nn.Module]:
    return {"first": nn.Linear(3, 8), "middle": nn.Linear(8, 8), "last": nn.Linear(8, 2)}


def sequence_layers() -> dict[str, nn.Module]:
    return {"first": nn.Linear(3, 8), "last": nn.Linear(8, 2)}


SEQUENCE = (4, 3)


@dataclass(frozen=True)
class Net:
    """A net and its inputs, rows first."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (3,)
    inputs: Callable[[int], Any] | None = None
    vectorized: bool = True
    dtype: torch.dtype = torch.float32
    tolerance: dict[str, float] = field(default_factory=lambda: {"rtol": 1e-5, "atol": 1e-5})

    def build(self) -> nn.Module:
        return with_weights(self.make()).to(self.dtype).eval()

    def x(self, rows: int = 7) -> Any:
        return randn(rows, *self.shape, seed=1) if self.inputs is None else self.inputs(rows)


def pair(rows: int) -> tuple[Tensor, Tensor]:
    return randn(rows, 3, seed=1), randn(rows, 8, seed=2)


def named(rows: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    words = torch.randint(0, 9, (rows, 5), generator=generator)
    return {"words": words, "mask": torch.randint(0, 2, (rows, 5), generator=generator)}


def integers(rows: int) -> Tensor:
    return named(rows)["words"]


NETS = {
    "mlp": Net(mlp),
    "mlp, tanh, alpha": Net(partial(mlp, drop=nn.AlphaDropout, activation=nn.SELU)),
    "mlp, in-place relu": Net(
        lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.4), nn.ReLU(inplace=True), nn.Linear(8, 2))
    ),
    "mlp, in-place dropout": Net(partial(mlp, drop=partial(nn.Dropout, inplace=True))),
    "dropout on the input": Net(lambda: nn.Sequential(nn.Dropout(0.3), nn.Linear(3, 2))),
    "in-place dropout on the input": Net(lambda: nn.Sequential(nn.Dropout(0.3, inplace=True), nn.Linear(3, 2))),
    "lenet": Net(lenet, (1, 12, 12)),
    "residual": Net(Residual, (1, 5, 5)),
    "dropout in the head only": Net(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 2)), (2, 5)
    ),
    "dropout at the very end": Net(lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))),
    "one value a row": Net(lambda: nn.Sequential(mlp(), Call(lambda _, x: x.sum(1)))),
    "image out": Net(lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout2d(0.5), nn.Conv2d(3, 2, 1)), (1, 6, 5)),
    "time first": Net(lambda: Call(time_first, **sequence_layers()), SEQUENCE),
    "heads folded into rows": Net(lambda: Call(heads_in_rows, **sequence_layers()), SEQUENCE),
    "rows folded into time": Net(lambda: Call(rows_in_time, **sequence_layers()), SEQUENCE),
    "heads folded on axis 1": Net(lambda: Call(heads_on_axis_one, **sequence_layers()), SEQUENCE),
    "module called twice": Net(lambda: Call(twice, drop=nn.Dropout(0.3), **layers())),
    "rate 0 on the way": Net(
        lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.0), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2))
    ),
    "everything dropped": Net(
        lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.4), nn.Linear(8, 8), nn.Dropout(1.0))
    ),
    "weights dropped": Net(lambda: Call(weights_dropped, **layers())),
    "written over after dropout": Net(lambda: Call(written_over, **layers())),
    "dropped in place by another name": Net(lambda: Call(dropped_by_name, **layers()), vectorized=False),
    "dropped in place and returned": Net(lambda: Call(dropped_and_returned, **layers()), vectorized=False),
    "dropped, and again in place": Net(lambda: Call(dropped_twice, **layers())),
    "dropped in place in the head": Net(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten(), nn.Dropout(0.5, inplace=True), nn.Linear(12, 2)), (2, 5)
    ),
    "writes to its input": Net(lambda: Call(writes_to_input, **layers())),
    "two inputs": Net(lambda: Call(two_inputs, **layers()), inputs=pair),
    "inputs by name": Net(lambda: Call(by_name, first=nn.Embedding(9, 8), last=nn.Linear(8, 2)), inputs=named),
    "embedded integers": Net(
        lambda: nn.Sequential(nn.Embedding(9, 4), nn.Dropout1d(0.3), nn.Flatten(), nn.Linear(20, 2)), inputs=integers
    ),
    "parametrized": Net(
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 8)), nn.Dropout(0.3), nn.Linear(8, 2))
    ),
    "path depends on the draw": Net(lambda: Call(gated, **layers()), vectorized=False),
    "float64": Net(mlp, dtype=torch.float64, tolerance={"rtol": 1e-12, "atol": 1e-12}),
    "bfloat16": Net(mlp, dtype=torch.bfloat16, tolerance={"rtol": 0.05, "atol": 0.05}),
}

BATCH_DEPENDENT = frozenset({"path depends on the draw"})
"""Nets whose path through a batch depends on all of its rows: another batch size is another function."""


def rows_of(x: Any, index: Any) -> Any:
    """Return some rows of inputs of any form."""
    if isinstance(x, dict):
        return {name: value[index] for name, value in x.items()}
    return tuple(value[index] for value in x) if isinstance(x, tuple) else x[index]


def copied(x: Any) -> Any:
    return rows_of(x, slice(None)) if not isinstance(x, Tensor) else x.clone()

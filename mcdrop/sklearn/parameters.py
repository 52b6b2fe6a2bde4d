"""The parameters of an estimator, checked before anything is trained, and a net of the user's own."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import nn

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError
from mcdrop.execution import read_predict_options
from mcdrop.networks import Activation
from mcdrop.rng import seeded
from mcdrop.sampler import MCDropout
from mcdrop.supervised import as_pair, check_outputs

__all__ = ["check_net", "check_parameters", "random_state_of", "rows_per_batch"]

Floats = NDArray[np.float64]

_PROBE_ROWS = 8


def check_parameters(given: Mapping[str, Any]) -> None:
    """Refuse parameters that no training or prediction could use.

    Args:
        given: The parameters of `Estimator` by name; others are left out.

    Raises:
        InputError: Naming the first one that is not usable.
    """
    _check_widths(given["hidden_layer_sizes"])
    check_choice("activation", given["activation"], Activation)
    if not 0 < _number(given["dropout"]) < 1:
        raise InputError(
            f"dropout must be a rate in (0, 1), got {given['dropout']!r}; without any nothing is uncertain"
        )
    if given["steps"] is not None:
        check_count("steps", given["steps"], least=1, why="or None to have it chosen")
    if given["batch_size"] is not None:
        check_count("batch_size", given["batch_size"], least=1, why="or None for all rows in every step")
    if not 0 < _number(given["learning_rate"]) < math.inf:
        raise InputError(f"learning_rate must be a positive number, got {given['learning_rate']!r}; 5e-3 is usual")
    if not 0 <= _number(given["weight_decay"]) < math.inf:
        raise InputError(f"weight_decay must be a number of at least 0, got {given['weight_decay']!r}; pass 0 for none")
    read_predict_options({"passes": given["passes"]})
    random_state_of(given["random_state"])
    if not isinstance(given["net"], nn.Module | None):
        raise InputError(
            f"net must be a torch.nn.Module, got {type(given['net']).__name__}; leave it out to have one made"
        )


def random_state_of(seed: int | RandomState | None) -> RandomState:
    """Return scikit-learn's generator of that seed.

    Raises:
        InputError: If there is none.
    """
    try:
        generator: RandomState = check_random_state(seed)
    except ValueError as error:
        raise InputError(
            f"random_state must be an integer from 0 to 2**32 - 1, a RandomState or None, got {seed!r}; pass 0"
        ) from error
    return generator


def check_net(net: nn.Module, x: Floats, y: NDArray[Any], *, classes: int | None) -> None:
    """Refuse a net of the user's own that could be trained on these rows, but not predict them.

    Args:
        net: Is not changed.
        x: Inputs, shape (N, F).
        y: Values, shape (N, D), or the numbers of classes, shape (N,).
        classes: How many classes there are; None for values.

    Raises:
        InputError: If no dropout fires, or the outputs are not those of y.
        NetError: If the net cannot be run on x.
    """
    net = copy.deepcopy(net)  # what a net counts or keeps begins with training
    x, y = x[:_PROBE_ROWS], y[:_PROBE_ROWS]
    loss: Literal["mse", "cross_entropy"] = "mse" if classes is None else "cross_entropy"
    with seeded(0):
        inputs, targets = as_pair(net, x, y, loss)
        check_outputs(net, inputs, targets if classes is None else torch.zeros_like(targets), loss)
        with torch.no_grad():
            outputs = net.eval()(inputs)
        live = MCDropout(net).sites(x).live
    if classes is not None and outputs.shape[1] != classes:
        raise InputError(
            f"net must give one logit for each of the {classes} classes of y, got {outputs.shape[1]}; make its last "
            "layer as wide as there are classes"
        )
    if not live:
        raise InputError(
            "net must have dropout that fires, got none on the first rows of X; put nn.Dropout between its layers"
        )


def rows_per_batch(net: nn.Module, x: Floats, y: NDArray[Any], batch_size: int) -> int:
    """Return the batch size, or the next one that leaves no batch of a single row if the net is not trained on one.

    A net that normalizes over the rows of a batch, as `nn.BatchNorm1d` does, refuses a single one.

    Args:
        net: One of the user's own; is not changed.
        x: Inputs, shape (N, F).
        y: Values, shape (N, D), or the numbers of classes, shape (N,).
        batch_size: Rows of a batch, from 1 to N.

    Raises:
        InputError: If every batch is of a single row, which the net refuses.
    """
    rows = len(x)
    if batch_size > 1 and rows % batch_size != 1:
        return batch_size
    inputs, _ = as_pair(net, x[:1], y[:1], "cross_entropy" if y.dtype.kind == "i" else "mse")
    try:
        with seeded(0), torch.no_grad():
            copy.deepcopy(net).train()(inputs)
    except Exception as error:
        if batch_size == 1:
            raise InputError(
                f"net must be trained on batches of at least 2 rows ({type(error).__name__}: {error}), got "
                f"batches of 1 of {rows} row(s); pass a larger batch_size, or more rows"
            ) from error
        return next(size for size in range(batch_size + 1, rows + 1) if rows % size != 1)
    return batch_size


def _check_widths(sizes: Any) -> None:
    if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str) or len(sizes) == 0:
        raise InputError(
            f"hidden_layer_sizes must be a sequence of one or more widths, got {sizes!r}; pass for example (64, 64)"
        )
    for size in sizes:
        check_count("every width in hidden_layer_sizes", size, least=1, why="a layer has units")


def _number(value: object) -> float:
    """Return a number as a float, and NaN, which lies in no range, for anything else."""
    is_one = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if is_one else math.nan  # type: ignore[arg-type]

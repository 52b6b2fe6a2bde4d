"""The likelihood of the truth under the passes of a run: streamed, and maximized over the noise."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.execution.run import Run
from mcdrop.execution.targets import Targets
from mcdrop.inputs import Stream
from mcdrop.moments import joined
from mcdrop.outputs import check_finite
from mcdrop.precision import LogLikelihood, Precision, SquaredErrors, likeliest_tau, tau_bracket

__all__ = ["fit_precision", "log_likelihood"]

Floats = NDArray[np.float64]


def log_likelihood(run: Run, truth: Targets, of: Callable[[Tensor, Tensor], LogLikelihood]) -> Floats:
    """Return the log-likelihood of every row's truth.

    Args:
        run: The passes.
        truth: What the net should have given.
        of: Makes the state of a chunk of passes, shape (C, n, ...), and the truth at its rows, shape (n, ...).

    Returns:
        Shape (N,), or (N, ...) where a net makes several predictions for a row, in nats.

    Raises:
        InputError: If x and y do not fit together.
        NetError: If the net's outputs are not numbers.
    """
    states = run.states(lambda output, rows: of(output, truth.take(rows)))
    values = joined([state.value for state in states])
    truth.check_length(len(values))
    check_finite(np.where(values == -np.inf, 0.0, values))  # a true class of probability 0 is an answer
    return values


def fit_precision(run: Run, truth: Targets, reopen: Callable[[], Stream]) -> Precision:
    """Find the likeliest tau by three rounds of the same passes: bounds, a coarse grid, a fine one.

    Args:
        run: The passes.
        truth: What the net should have given, in units of y.
        reopen: Starts another reading of the inputs.

    Returns:
        The best tau and the curve.

    Raises:
        InputError: If x and y do not fit together, or the passes leave no error at all.
        NetError: If the net's outputs are not finite.
    """
    errors = list(run.states(lambda output, rows: SquaredErrors.of(output, truth.take(rows)), title="Bounding tau"))
    total = joined([state.total for state in errors])
    truth.check_length(len(total))
    check_finite(total)
    lower, upper = tau_bracket(errors)

    def curve(taus: Floats) -> Floats:
        def of(output: Tensor, rows: range) -> LogLikelihood:
            return LogLikelihood.of(output, truth.take(rows), taus)

        total = np.zeros(len(taus))
        for state in run.again(reopen()).states(of, title="Fitting tau"):
            total += state.value.sum(dim=-1).numpy()
        return total / len(truth)

    return likeliest_tau(curve, lower=lower, upper=upper)

"""Which numbers a net may return: real, floating where they are scores of classes, and finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.errors import NetError

__all__ = ["check_finite", "check_log_variances", "require_floating", "require_real", "rows_numbered"]

_LARGEST = float(np.log(np.finfo(np.float64).max))  # of a log-variance whose variance is a number


_NUMBERS: ContextVar[int | NDArray[np.int64]] = ContextVar("numbers of the rows", default=0)


@contextmanager
def rows_numbered(numbers: int | NDArray[np.int64]) -> Iterator[None]:
    """Have errors name rows by numbers of their own while the block runs, not by their places.

    Args:
        numbers: The number of each row, counted over all inputs, shape (N,); or that of the first of rows in order.
    """
    token = _NUMBERS.set(numbers)
    try:
        yield
    finally:
        _NUMBERS.reset(token)


def require_real(tensor: Tensor) -> Tensor:
    """Return a tensor that has a mean and a spread on the real line; integers and truth values do.

    Raises:
        NetError: If it is complex.
    """
    if tensor.is_complex():
        raise NetError(
            f"the net must return real numbers, got {str(tensor.dtype)[6:]}; choose a part, for example with "
            "output=lambda out: torch.view_as_real(out)"
        )
    return tensor


def require_floating(tensor: Tensor) -> Tensor:
    """Return a tensor that may hold logits or probabilities.

    Raises:
        NetError: If it holds integers or truth values.
    """
    if not require_real(tensor).is_floating_point():
        raise NetError(
            f"a classifier must return logits or probabilities, got {str(tensor.dtype)[6:]}; return what its classes "
            "are chosen from, not the chosen ones"
        )
    return tensor


def check_finite(values: NDArray[np.float64]) -> None:
    """Refuse what came of outputs that are not finite.

    Args:
        values: One entry per row, shape (N, ...).

    Raises:
        NetError: Naming the rows.
    """
    bad = np.asarray(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if bad.any():
        raise NetError(
            f"the net must give finite outputs, got NaN or infinity in {_rows(bad)}; look at these inputs, and at the "
            "net's weights"
        )


def check_log_variances(values: Tensor) -> None:
    """Refuse logarithms of variances that are not numbers, or whose variance is none.

    Args:
        values: One entry per row, shape (N, ...), float64.

    Raises:
        NetError: Naming the rows.
    """
    good = values.isfinite() & (values < _LARGEST)
    bad = ~good.reshape(len(good), -1).all(dim=1)
    if bool(bad.any()):
        raise NetError(
            f"the net must give log-variances that are finite and below {_LARGEST:.0f}, so that exp of them is a "
            f"variance, got others in {_rows(bad.numpy())}; check that it returns (mean, log-variance) in that order, "
            "or bound the log-variance"
        )


def _rows(bad: NDArray[np.bool_]) -> str:
    rows, numbers = np.flatnonzero(bad), _NUMBERS.get()
    rows = rows + numbers if isinstance(numbers, int) else np.sort(numbers[rows])
    shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
    return f"{len(rows)} of {len(bad)} rows ({shown})"

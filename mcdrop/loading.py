"""Results back from files: each kind of file to the class that wrote it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from mcdrop import storage
from mcdrop.arguments import check_choice
from mcdrop.errors import DataError, InputError, McdropError

if TYPE_CHECKING:
    from mcdrop.baselines import GPClassifier, GPRegressor
    from mcdrop.predictive import ClassificationPredictive, RegressionPredictive

    Saved: TypeAlias = RegressionPredictive | ClassificationPredictive | GPRegressor | GPClassifier

__all__ = ["load"]

_HOMES = {
    "RegressionPredictive": "mcdrop.predictive",
    "ClassificationPredictive": "mcdrop.predictive",
    "GPRegressor": "mcdrop.baselines",
    "GPClassifier": "mcdrop.baselines",
}


Missing = Literal["error", "drop"]


def load(path: str | Path, *, kernel: Any = None, missing: Missing = "error") -> "Saved":
    """Load what `save` wrote: a prediction or a fitted baseline.

    Args:
        path: The file.
        kernel: For a `GPRegressor` that was fitted with a covariance function of your own: that function, which
            is code and so is not in the file.
        missing: What to do about points that are kept in the file without a prediction, as NaN: "error", or "drop" to
            leave them out. Which rows of the input are left then, `mcdrop.storage.point_rows` tells of what
            `mcdrop.storage.drop_missing` returns.

    Returns:
        An object of the class that was saved.

    Raises:
        DataError: If there is no such file, it is cut off or damaged, something else wrote it, a newer mcdrop, or it
            is whole and does not hold what such a result is made of, or points are missing.
        InputError: If a kernel is given for anything but a `GPRegressor`, or one is needed and missing.

    Example:
        >>> import tempfile
        >>> import mcdrop
        >>> pred = mcdrop.ClassificationPredictive.from_probs([[0.2, 0.8]], provenance={"seed": 0})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = mcdrop.load(pred.save(f"{folder}/softmax.nc"))
        >>> loaded.probs, loaded.provenance
        (array([[0.2, 0.8]]), {'seed': 0})
    """
    check_choice("missing", missing, Missing)
    archive = storage.read(path)
    if archive.kind not in _HOMES:
        raise DataError(
            f"{archive.path}: expected a saved {', '.join(_HOMES)}, got {archive.kind!r}; "
            "read it with mcdrop.storage, or with the program that wrote it"
        )
    if kernel is not None and archive.kind != "GPRegressor":
        raise InputError(f"kernel is for a saved GPRegressor only, got one for a {archive.kind}; leave it out")
    archive = _predicted(archive, missing)
    restore: Callable[..., Saved] = getattr(import_module(_HOMES[archive.kind]), archive.kind).from_archive
    try:
        return restore(archive) if kernel is None else restore(archive, kernel=kernel)
    except McdropError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        advice = "save it again" if kernel is None else "check that the kernel is the fitted one, or save it again"
        raise DataError(
            f"{archive.path}: expected what a saved {archive.kind} is made of, got other variables or attributes "
            f"({reason}); {advice}"
        ) from error


def _predicted(archive: storage.Archive, missing: Missing) -> storage.Archive:
    """Return a file's contents without the points that have no prediction, if they may be left out.

    Raises:
        DataError: If there are such points and they may not, or no others.
    """
    absent = storage.missing_points(archive)
    count = np.count_nonzero(absent)
    if not count:
        return archive
    if count == absent.size:
        raise DataError(
            f"{archive.path}: expected points with predictions, got {count} without any; look at the inputs"
        )
    if missing == "error":
        raise DataError(
            f"{archive.path}: expected a prediction at every point, got {count} of {absent.size} point(s) without one "
            "(NaN); leave them out with missing='drop'"
        )
    return storage.drop_missing(archive)

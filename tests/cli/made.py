"""Saved predictions for the tests of commands, some with rows left out."""

from pathlib import Path

import numpy as np
from comparison.made import classifier, gaussian, labels, truth

from mcdrop import RegressionPredictive, storage
from mcdrop.storage import Variable

POINTS = 60


def saved(folder):
    """Write two regressions, two classifications and their truths; return the truths."""
    y, t = labels(POINTS), truth(POINTS)
    classifier(y).save(folder / "sharp.h5")
    classifier(y, blur=3.0, seed=2).save(folder / "blurred.h5")
    gaussian(1.0, points=POINTS, noise=0.5).save(folder / "right.h5")
    gaussian(0.6, shift=0.3, points=POINTS, noise=0.2).save(folder / "off.h5")
    np.save(folder / "y.npy", y)
    np.save(folder / "t.npy", t)
    return y, t


def with_rows(path: Path, pred: RegressionPredictive, rows, **attributes) -> Path:
    """Write a regression of some rows only, as if the others had been skipped."""
    pred.save(path)
    archive = storage.read(path)
    groups = {name: dict(group) for name, group in archive.groups.items()}
    constants = groups.setdefault("predictions_constant_data", {})
    constants["row"] = Variable(("point",), np.asarray(rows, dtype=np.int64))
    storage.write(path, archive.kind, groups, {**archive.attributes, **attributes})
    return path


def with_gaps(path: Path, pred: RegressionPredictive | None, missing) -> Path:
    """Write a regression with NaN at some rows; without one, into the file that is there."""
    if pred is not None:
        pred.save(path)
    archive = storage.read(path)
    groups = {name: dict(group) for name, group in archive.groups.items()}
    for name, variable in groups["predictions"].items():
        if variable.values.dtype.kind == "f":
            values = variable.values.copy()
            values[np.asarray(missing)] = np.nan
            groups["predictions"][name] = Variable(variable.dims, values, variable.units, variable.long_name)
    storage.write(path, archive.kind, groups, archive.attributes)
    return path

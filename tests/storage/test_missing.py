"""Points without a prediction: found by their NaN, left out when asked, and never passed on in silence."""

import numpy as np
import pytest

import mcdrop
from mcdrop import storage
from mcdrop.errors import DataError, InputError
from mcdrop.predictive import at_points
from mcdrop.storage import Archive, Variable
from storage.made import classification, regression

GONE = np.array([1, 4])
LEFT = np.array([0, 2, 3, 5])
PREDICTIONS = [
    regression(points=6, noise_std=np.ones((6, 1)), passes=np.arange(1, 7)),
    regression(points=6, trailing=(2,), samples=np.random.default_rng(0).normal(size=(9, 6, 2))),
    classification(points=6),
    classification(points=6, trailing=(2, 2, 3), samples=np.random.default_rng(0).normal(size=(9, 6, 2, 2, 3))),
]


def without(variables, rows=None):
    """Return variables as a run that keeps rows without a prediction writes them: NaN, and 0 of whole numbers."""

    def emptied(variable):
        values = np.array(variable.values)
        if "point" in variable.dims:
            ahead = np.moveaxis(values, variable.dims.index("point"), 0)
            ahead[GONE] = np.nan if values.dtype.kind == "f" else 0
        return Variable(variable.dims, values, variable.units, variable.long_name)

    groups = {group: {name: emptied(one) for name, one in known.items()} for group, known in variables.items()}
    if rows is not None:
        groups["predictions_constant_data"]["row"] = Variable(("point",), rows)
    return groups


def written(tmp_path, pred, rows=None):
    return storage.write(tmp_path / "a.nc", type(pred).__name__, without(pred.variables(), rows), pred.provenance)


@pytest.mark.parametrize("pred", PREDICTIONS)
def test_loading_refuses_points_without_a_prediction_and_leaves_them_out_when_asked(tmp_path, pred):
    path = written(tmp_path, pred)
    with pytest.raises(DataError) as caught:
        mcdrop.load(path)
    assert str(caught.value) == (
        f"{path}: expected a prediction at every point, got 2 of 6 point(s) without one (NaN); leave them out with "
        "missing='drop'"
    )
    loaded, expected = mcdrop.load(path, missing="drop"), at_points(pred, LEFT)
    for name in type(pred).__dataclass_fields__:
        np.testing.assert_equal(getattr(loaded, name), getattr(expected, name))


@pytest.mark.parametrize("pred", PREDICTIONS)
def test_a_whole_prediction_is_loaded_as_it_is_either_way(tmp_path, pred):
    path = pred.save(tmp_path / "a.nc")
    archive = storage.read(path)
    assert storage.missing_points(archive).tolist() == [False] * 6
    assert storage.drop_missing(archive) is archive
    assert storage.point_rows(archive) is None
    assert len(mcdrop.load(path, missing="drop")) == len(mcdrop.load(path)) == 6


def test_rows_are_told_before_and_after_points_are_left_out(tmp_path):
    pred, rows = PREDICTIONS[0], np.array([0, 3, 7, 8, 20, 21])
    archive = storage.read(written(tmp_path, pred, rows))
    assert storage.point_rows(archive).tolist() == rows.tolist()
    assert storage.missing_points(archive).nonzero()[0].tolist() == GONE.tolist()
    assert storage.point_rows(storage.drop_missing(archive)).tolist() == [0, 7, 8, 21]
    archive = storage.read(written(tmp_path, pred))
    assert storage.point_rows(archive) is None
    assert storage.point_rows(storage.drop_missing(archive)).tolist() == LEFT.tolist()


def test_a_file_of_skipped_rows_is_whole_and_tells_which_they_were(tmp_path):
    pred = PREDICTIONS[0]
    groups = pred.variables()
    groups["predictions_constant_data"]["row"] = Variable(("point",), np.arange(6) * 10)
    path = storage.write(tmp_path / "a.nc", "RegressionPredictive", groups, {})
    np.testing.assert_array_equal(mcdrop.load(path).mean, pred.mean)
    assert storage.point_rows(storage.read(path)).tolist() == [0, 10, 20, 30, 40, 50]


def test_a_point_that_lacks_some_numbers_only_is_damage_and_not_dropped(tmp_path):
    groups = PREDICTIONS[1].variables()
    groups["predictions"]["mean"].values[2, 0] = np.nan
    path = storage.write(tmp_path / "a.nc", "RegressionPredictive", groups, {})
    try:
        assert not storage.missing_points(storage.read(path)).any()
        for missing in ("error", "drop"):
            with pytest.raises(DataError, match="mean must be finite"):
                mcdrop.load(path, missing=missing)
    finally:
        groups["predictions"]["mean"].values[2, 0] = 0.0


def test_a_point_is_missing_only_if_nothing_of_it_is_there(tmp_path):
    half = Variable(("point", "output"), np.array([[np.nan, 1.0], [np.nan, np.nan]]))
    archive = Archive("Example", {"predictions": {"mean": half, "std": half}}, {}, tmp_path / "a.nc")
    assert storage.missing_points(archive).tolist() == [False, True]


def test_a_masked_class_is_not_a_missing_point(tmp_path):
    pred = mcdrop.ClassificationPredictive(
        *([[1.0, 0.0]], [[0.0, 0.0]], [[1.0, -np.inf]], [[0.0, np.nan]], [[9, 0]], [0.0]), passes=9
    )
    assert mcdrop.load(pred.save(tmp_path / "a.nc")).probs.tolist() == [[1.0, 0.0]]


def test_a_file_of_missing_points_alone_is_refused_either_way(tmp_path):
    nothing = {"mean": Variable(("point",), np.full(3, np.nan)), "std": Variable(("point",), np.full(3, np.nan))}
    path = storage.write(tmp_path / "a.nc", "RegressionPredictive", {"predictions": nothing}, {})
    for missing in ("error", "drop"):
        with pytest.raises(DataError, match="expected points with predictions, got 3 without any; look at the inputs"):
            mcdrop.load(path, missing=missing)


@pytest.mark.parametrize("missing", ["skip", None, True])
def test_another_way_is_refused(tmp_path, missing):
    with pytest.raises(InputError, match="missing must be one of 'error', 'drop', got"):
        mcdrop.load(PREDICTIONS[0].save(tmp_path / "a.nc"), missing=missing)


@pytest.mark.parametrize("row", [Variable(("point",), np.ones(2)), Variable((), np.asarray(3))])
def test_rows_that_are_no_rows_are_refused(tmp_path, row):
    archive = Archive("Example", {"predictions_constant_data": {"row": row}}, {}, tmp_path / "a.nc")
    with pytest.raises(DataError, match="expected the rows of the points as whole numbers along 'point', got"):
        storage.point_rows(archive)
    assert storage.missing_points(archive).size == 0

"""Predictions beside one another and the truth: rows meet their own values, and what does not fit is named."""

from pathlib import Path

import numpy as np
import pytest

from cli.made import POINTS, saved, with_gaps, with_rows
from mcdrop import RegressionPredictive, baselines
from mcdrop.cli.predictions import (
    as_truth,
    check_kinds,
    check_rows,
    common_rows,
    read_predicted,
    unique_names,
)
from mcdrop.errors import DataError, InputError


def numbered(rows):
    """A prediction whose means are the numbers of its rows."""
    values = np.asarray(rows, dtype=float)
    return RegressionPredictive(values, np.ones(len(values)), noise_std=0.1)


def test_a_whole_file_has_all_rows(tmp_path):
    saved(tmp_path)
    for name, kind in (("sharp.h5", "classification"), ("right.h5", "regression")):
        predicted = read_predicted(tmp_path / name)
        assert (predicted.kind, predicted.inputs, predicted.outputs) == (kind, POINTS, 1)
        np.testing.assert_array_equal(predicted.rows, np.arange(POINTS))
        assert predicted.at(np.arange(POINTS)) is predicted.pred


def test_rows_that_were_skipped_or_kept_as_nan_are_left_out(tmp_path):
    skipped = read_predicted(with_rows(tmp_path / "a.h5", numbered([0, 2, 5, 9]), [0, 2, 5, 9]))
    kept = read_predicted(with_gaps(tmp_path / "b.h5", numbered(range(8)), [0, 3]))
    np.testing.assert_array_equal(skipped.rows, [0, 2, 5, 9])
    np.testing.assert_array_equal(kept.rows, [1, 2, 4, 5, 6, 7])
    assert (skipped.inputs, kept.inputs) == (None, 8)
    rows = common_rows([skipped, kept])
    np.testing.assert_array_equal(rows, [2, 5])
    for predicted in (skipped, kept):
        np.testing.assert_array_equal(predicted.at(rows).mean, rows)


def test_rows_in_any_order_meet_their_own_values(tmp_path):
    shuffled = [7, 1, 4, 0]
    predicted = read_predicted(with_rows(tmp_path / "a.h5", numbered(shuffled), shuffled))
    np.testing.assert_array_equal(predicted.at(np.array([0, 1, 7])).mean, [0, 1, 7])


def test_a_file_without_any_predicted_row_is_refused(tmp_path):
    with pytest.raises(DataError, match="got 2 without any"):
        read_predicted(with_gaps(tmp_path / "a.h5", numbered([0, 1]), [0, 1]))


def test_a_fitted_model_is_no_prediction(tmp_path):
    x = np.linspace(0, 1, 6)
    path = baselines.GPRegressor().fit(x, np.sin(x)).save(tmp_path / "gp.h5")
    with pytest.raises(DataError, match=r"gp\.h5: expected a prediction, got a GPRegressor; predict with it"):
        read_predicted(path)


def test_lengths_that_differ_are_named_file_by_file(tmp_path):
    whole = read_predicted(numbered(range(8)).save(tmp_path / "a.h5"))
    skipped = read_predicted(with_rows(tmp_path / "b.h5", numbered([0, 9]), [0, 9]))
    check_rows([whole], 8, "y.npy")
    check_rows([skipped], 10, "y.npy")
    with pytest.raises(
        InputError, match=r"got 9 in y.npy, while .*a\.h5 has 8 points, .*b\.h5 has 2 points \(up to row"
    ):
        check_rows([whole, skipped], 9, "y.npy")
    with pytest.raises(InputError, match="at least 2 rows that all files predict, got 1"):
        common_rows([whole, skipped])


def test_a_file_that_says_how_many_rows_its_input_had_is_held_to_it(tmp_path):
    skipped = read_predicted(with_rows(tmp_path / "a.h5", numbered([0, 9]), [0, 9], input_rows=12))
    check_rows([skipped], 12, "y.npy")
    for points in (10, 13):
        with pytest.raises(InputError, match=rf"got {points} in y.npy, while .* has 12 points, 2 of them predicted"):
            check_rows([skipped], points, "y.npy")


def test_a_file_that_numbers_its_rows_and_keeps_the_missing_ones_has_all(tmp_path):
    made = RegressionPredictive(np.zeros(5), np.ones(5))
    predicted = read_predicted(with_gaps(with_rows(tmp_path / "b.h5", made, range(5)), None, [4]))
    assert predicted.inputs == 5 and len(predicted.rows) == 4


def test_kinds_may_not_mix(tmp_path):
    saved(tmp_path)
    mixed = [read_predicted(tmp_path / name) for name in ("sharp.h5", "right.h5")]
    with pytest.raises(InputError, match=r"sharp\.h5: classification, .*right\.h5: regression; compare each kind"):
        check_kinds(mixed)


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        ([1.0, np.nan, np.inf], False, r"NaN or infinity in 2 of 3 rows, first in row 1 \(y\)"),
        ([[1.0], [np.nan]], True, "in 1 of 2 rows, first in row 1"),
        ([0.0, 0.5], True, r"class numbers from 0, got 0.5 \(y\)"),
    ],
)
def test_truth_that_is_none_is_refused_by_row(values, labels, message):
    with pytest.raises(InputError, match=message):
        as_truth(np.array(values), "y", labels=labels)


def test_class_numbers_stored_as_floats_or_in_a_column_are_class_numbers():
    for values in ([2.0, 0.0], [[2], [0]], np.array([2, 0], dtype=np.uint8)):
        made = as_truth(np.array(values), "y", labels=True)
        assert made.dtype == np.int64 and made.tolist() == [2, 0]
    assert as_truth(np.array([1, 2]), "y", labels=False).dtype == np.float64


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.h5"], ["a"]),
        (["x/a.h5", "y/a.h5"], ["x/a", "y/a"]),
        (["x/run/a.h5", "y/run/a.h5", "y/b.h5"], ["x/run/a", "y/run/a", "b"]),
        (["a.h5", "a.nc"], ["a.h5", "a.nc"]),
    ],
)
def test_names_are_as_short_as_tells_files_apart(paths, names):
    assert unique_names([Path(path) for path in paths]) == names


def test_a_file_given_twice_is_refused(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match="twice"):
        unique_names([tmp_path / "a.h5", tmp_path / "x" / ".." / "a.h5"])

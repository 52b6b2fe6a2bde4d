"""Blocks: rows that hold NaN, and some of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcdrop.errors import InputError
from mcdrop.sources import nan_rows, rows_of, select_rows

NAN = float("nan")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 3)])
def test_a_single_nan_anywhere_marks_its_row_alone(dtype, shape):
    for place in np.ndindex(shape):
        x = np.zeros(shape, dtype)
        x[place] = NAN
        assert nan_rows(x).tolist() == [row == place[0] for row in range(4)]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 0.0])
def test_infinities_are_not_nan(value):
    assert not nan_rows(np.full((3, 2), value)).any()


@pytest.mark.parametrize("dtype", ["i8", "u1", "?"])
def test_integers_and_truth_values_hold_no_nan(dtype):
    assert nan_rows(np.zeros((3, 2), dtype)).tolist() == [False] * 3


def test_nan_in_any_of_the_named_arrays_counts():
    x = {"a": np.array([[0, NAN], [0, 0], [0, 0]]), "b": np.array([0, 0, NAN]), "c": np.array([1, 2, 3])}
    assert nan_rows(x).tolist() == [True, False, True]


def test_no_rows_and_rows_without_values():
    assert nan_rows(np.zeros((0, 3))).shape == (0,)
    assert nan_rows(np.zeros((2, 0))).tolist() == [False, False]


@given(st.lists(st.booleans(), min_size=1, max_size=9))
@settings(deadline=None)
def test_what_is_kept_and_what_is_not_are_all_rows(keep):
    x = {"a": np.arange(2 * len(keep)).reshape(-1, 2), "b": np.arange(len(keep))}
    kept, left = select_rows(x, keep), select_rows(x, ~np.array(keep))
    assert rows_of(kept) == sum(keep)
    assert sorted([*kept["b"], *left["b"]]) == x["b"].tolist()
    np.testing.assert_array_equal(kept["a"][:, 0], 2 * kept["b"])
    np.testing.assert_array_equal(select_rows(x["b"], np.flatnonzero(keep)), kept["b"])


def test_rows_of():
    assert rows_of(np.zeros((3, 2))) == 3
    assert rows_of({"a": np.zeros(3), "b": np.zeros((3, 2))}) == 3


@pytest.mark.parametrize(
    "x, message",
    [
        ({"a": np.zeros(3), "b": np.zeros(2)}, r"same number of rows, got \[2, 3\]"),
        ({}, "got none; read it from a source"),
        (np.array(1.0), "rows on their first axis"),
        ([1.0], "must be an array, or a dict of arrays, got list"),
    ],
)
def test_what_is_no_block_is_refused(x, message):
    for use in (rows_of, nan_rows, lambda x: select_rows(x, [True])):
        with pytest.raises(InputError, match=message):
            use(x)


@pytest.mark.parametrize("keep", [[True, False], [[True]], [0.5], "all"])
def test_a_choice_that_does_not_fit_is_refused(keep):
    with pytest.raises(InputError, match="keep must be 3 truth values, one for each row, or places of rows, got"):
        select_rows(np.zeros(3), keep)

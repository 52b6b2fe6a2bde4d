"""Columns become what a net takes, or the reason why not is told."""

import numpy as np
import pandas as pd
import pytest

from mcdrop import DataError, InputError
from mcdrop.distributed.columns import check_columns, inputs_of, refuse_gaps
from mcdrop.sources import open_source


def test_one_column_is_the_input_itself_several_numbers_are_put_side_by_side():
    images = np.zeros((4, 2, 3), np.uint8)
    assert inputs_of({"image": images}, None) is images
    assert np.array_equal(inputs_of({"a": np.arange(3), "b": np.ones(3)}, ["b", "a"]), [[1, 0], [1, 1], [1, 2]])


@pytest.mark.parametrize("columns", [["a"], None])
def test_one_column_of_plain_numbers_is_a_table_of_one_column_as_in_a_file(columns, tmp_path):
    batch = {"a": np.arange(3.0)} if columns is None else {"a": np.arange(3.0), "b": np.ones(3)}
    place = tmp_path / "rows.csv"
    pd.DataFrame(batch).to_csv(place, index=False)
    with open_source(place, columns=columns) as source:
        assert np.array_equal(inputs_of(batch, columns), source.read(0, 3))
    assert inputs_of(batch, columns).shape == (3, 1)


def test_arrays_beside_others_go_by_name_in_the_order_asked_for():
    batch = {"a": np.zeros((3, 2)), "b": np.ones(3), "note": np.array(["x", "y", "z"])}
    assert list(inputs_of(batch, ["b", "a"])) == ["b", "a"]


def test_what_is_given_may_be_written_to():
    held = np.ones((3, 2))
    held.flags.writeable = False
    assert inputs_of({"x": held}, None).flags.writeable
    both = inputs_of({"x": held, "y": held}, None)
    assert all(values.flags.writeable for values in both.values())
    assert inputs_of({"x": held[:, 0], "y": held[:, 1]}, None).flags.writeable


def test_lists_are_arrays_where_they_have_one_shape_and_nothing_is_nan():
    lists = np.empty(2, object)
    lists[:] = [[1.0, 2.0], [3.0, 4.0]]
    assert inputs_of({"x": lists}, None).shape == (2, 2)
    assert np.isnan(inputs_of({"x": np.array([1.0, None], object)}, None)).tolist() == [[False], [True]]
    lists[1] = [3.0]
    with pytest.raises(InputError, match="column 'x' must hold arrays of one shape"):
        inputs_of({"x": lists}, None)


@pytest.mark.parametrize(
    ("columns", "message"), [(["a", "z"], "some of the data set's, a, t, got z"), (["t"], "'t' must hold numbers, got")]
)
def test_refuses_columns_that_are_not_there_or_hold_no_numbers(columns, message):
    with pytest.raises(InputError, match=message):
        inputs_of({"a": np.ones(2), "t": np.array(["x", "y"])}, columns)


@pytest.mark.parametrize("columns", ["ab", [], ["a", "a"], [1]])
def test_refuses_what_are_no_names(columns):
    with pytest.raises(InputError, match="columns must be different names"):
        check_columns(columns)
    check_columns(["a", "b"])
    check_columns(None)


def test_names_the_first_rows_that_hold_nan():
    refuse_gaps(np.zeros(4, bool), 10)
    with pytest.raises(DataError, match=r"in row 1,001 \(counted from 0\)"):
        refuse_gaps(np.arange(4) == 1, 1000)
    with pytest.raises(DataError, match=r"in rows 0, 1, 2, 3, 4, \.\.\. \(counted"):
        refuse_gaps(np.ones(7, bool), 0)

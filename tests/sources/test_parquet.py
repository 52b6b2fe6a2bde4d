"""Parquet files: columns of numbers and of lists, and what they cannot be."""

import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcdrop.errors import DataError, DependencyError, InputError
from mcdrop.sources import nan_rows, open_source

NAN = float("nan")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.parquet"


def read(path, columns=None, **table):
    pq.write_table(pa.table(table), path, row_group_size=2)
    with open_source(path, columns=columns) as source:
        return source.read(0, len(source))


def refusal(path, kind=DataError, columns=None, **table):
    with pytest.raises(kind) as caught:
        read(path, columns, **table)
    return str(caught.value)


def test_numbers_of_all_kinds_are_one_array_of_floats(path):
    x = read(
        path,
        a=pa.array([1, 2, 3], pa.int8()),
        b=pa.array([1.5, None, NAN], pa.float32()),
        c=pa.array([True, False, None]),
        d=pa.array([None, 2**60 + 1, 3], pa.int64()),
        e=pa.array([Decimal("1.25"), None, Decimal("3")]),
        f=pa.array([7.0, 8.0, 7.0]).dictionary_encode(),
        g=pa.array([None, None, None]),
        h=pa.array([0.5, 1.5, 2.5], pa.float16()),
    )
    expected = [
        [1, 1.5, 1, NAN, 1.25, 7, NAN, 0.5],
        [2, NAN, 0, 2**60, NAN, 8, NAN, 1.5],
        [3, NAN, NAN, 3, 3, 7, NAN, 2.5],
    ]
    np.testing.assert_array_equal(x, expected)
    assert x.dtype == np.float64
    assert nan_rows(x[:, :2]).tolist() == [False, True, True]


def test_columns_come_in_the_order_they_are_named_in(path):
    assert read(path, ["b", "a"], a=[1, 2], b=[3, 4], c=["x", "y"]).tolist() == [[3, 1], [4, 2]]
    with open_source(path, columns=["b", "a"]) as source:
        assert source.describe() == "x.parquet, 2 rows of (2,) float64 (b, a)"


def test_columns_whose_names_begin_alike_are_told_apart(path):
    assert read(path, ["a"], **{"a": [1, 2], "a.b": [3, 4]}).tolist() == [[1], [2]]
    assert read(path, ["a.b"], **{"a": [1, 2], "a.b": [3, 4]}).tolist() == [[3], [4]]


def test_an_index_that_pandas_wrote_is_left_out(path):
    pd.DataFrame({"a": [1.0, 2.0]}, index=[7, 9]).to_parquet(path)
    with open_source(path) as source:
        assert source.read(0, 2).tolist() == [[1], [2]]
    with open_source(path, columns=["__index_level_0__"]) as source:
        assert source.read(0, 2).tolist() == [[7], [9]]


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2), pa.large_list(pa.float32())])
def test_lists_of_one_length_are_an_array(path, kind):
    column = pa.array([None, [1, 2], [3, None], None, [5, 6]], kind)
    x = read(path, x=column)
    np.testing.assert_array_equal(x, [[NAN, NAN], [1, 2], [3, NAN], [NAN, NAN], [5, 6]])
    assert x.dtype == np.float32
    both = read(path, x=column, y=[1, 2, 3, 4, 5])
    np.testing.assert_array_equal(both["x"], x)
    assert both["y"].tolist() == [1, 2, 3, 4, 5]
    with open_source(path) as source:
        assert source.describe() == "x.parquet, 5 rows of x (2,) float32, y () int64"


def test_lists_of_integers_keep_their_type(path):
    x = read(path, ids=[[1, 2**60], [3, 4], [5, 6]])
    assert x.dtype == np.int64
    assert x.tolist() == [[1, 2**60], [3, 4], [5, 6]]


def test_lists_of_other_lengths_are_told_with_their_row(path):
    message = refusal(path, x=[[1.0, 2.0]] * 5 + [[1.0]])
    assert "expected lists of 2 values in column 'x', got 1 in row 5; pad or cut" in message
    assert "expected values in the lists of column 'x', got none" in refusal(
        path, x=pa.array([[], []], pa.list_(pa.float32()))
    )
    column = pa.array([None, None], pa.list_(pa.float32()))
    assert "expected values in the lists of column 'x', got none" in refusal(path, x=column)


@pytest.mark.parametrize("missing", [[None, 1], None])
def test_integers_that_are_missing_are_told_with_their_row(path, missing):
    message = refusal(path, x=[[1, 2], [3, 4], [5, 6], missing])
    assert "expected a value in every row of column 'x', got none in row 3, and integers" in message
    assert "column 'y', got none in row 4" in refusal(path, x=[[1.0]] * 5, y=[1, 2, 3, 4, None])


@pytest.mark.parametrize(
    "column",
    [
        ["a", "b"],
        pa.array(["a", "b"]).dictionary_encode(),
        pd.to_datetime(["2020-01-01", "2020-01-02"]),
        [{"a": 1}, {"a": 2}],
        [[[1.0]], [[2.0]]],
        [["a"], ["b"]],
        [b"a", b"b"],
    ],
    ids=str,
)
def test_what_is_no_number_is_refused_at_once(path, column):
    message = refusal(path, a=[1, 2], x=column)
    assert "expected numbers, or lists of them, in column 'x', got " in message
    assert read(path, ["a"], a=[1, 2], x=column).tolist() == [[1], [2]]


def test_a_missing_column_lists_those_there_are_and_the_nearest(path):
    message = refusal(path, InputError, ["hight"], height=[1], weight=[2])
    assert "expected a column 'hight', got height, weight; did you mean 'height'?" in message


def test_no_rows_and_no_columns(path):
    assert "expected rows and columns, got none" in refusal(path, a=pa.array([], pa.float64()))
    pq.write_table(pa.table({}), path)
    with pytest.raises(DataError, match="expected rows and columns, got none"):
        open_source(path)


def test_one_group_of_rows_is_held_at_a_time(path):
    pq.write_table(pa.table({"a": np.arange(100.0)}), path, row_group_size=10)
    with open_source(path) as source:
        source.read(25, 47)
        group, columns = source._handle._last
        assert group == 4
        assert columns["a"].tolist() == list(range(40, 50))


def test_groups_without_rows(path):
    with pq.ParquetWriter(path, pa.schema([("a", pa.float64())])) as writer:
        for part in ([1.0, 2.0], [], [3.0]):
            writer.write_table(pa.table({"a": pa.array(part, pa.float64())}))
    with open_source(path) as source:
        assert source.read(0, 3).tolist() == [[1], [2], [3]]
        assert source.read(2, 3).tolist() == [[3]]


def test_a_file_that_is_no_parquet(path):
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected a Parquet file, got one that cannot be read"):
        open_source(path)


def test_without_pyarrow_the_extra_is_named(path, monkeypatch):
    pq.write_table(pa.table({"a": [1.0]}), path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DependencyError) as caught:
        open_source(path)
    assert str(caught.value) == 'Parquet files need pyarrow, which is not installed; pip install "mcdrop[parquet]"'


def test_an_index_with_a_name_is_no_input_unless_it_is_named(path):
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([7, 8], name="patient"))
    frame.to_parquet(path)
    with open_source(path) as source:
        assert source.read(0, 2).tolist() == [[1], [2]]
    with open_source(path, columns=["patient", "a"]) as source:
        assert source.read(0, 2).tolist() == [[7, 1], [8, 2]]
    frame.reset_index().to_parquet(path)  # a range, which pandas notes without a column
    with open_source(path) as source:
        assert source.read(0, 2).tolist() == [[7, 1], [8, 2]]

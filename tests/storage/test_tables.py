"""Tables: what is read back from them is what was written, to the bit, and gaps are gaps."""

import builtins
import io
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from mcdrop import storage
from mcdrop.errors import DataError, DependencyError, InputError, OutputError
from mcdrop.storage import Journal, Variable, check_columns, tables
from storage.made import block_of, classification, cut, mean_of, regression, watched


def read(path):
    """Return a table; every number of a CSV file as Python understands it, which is exact."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pandas()
    texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    return pd.DataFrame({name: numbers(column.tolist()) for name, column in texts.items()})


def numbers(texts):
    for kind in (int, float, {"True": True, "False": False}.__getitem__):
        with suppress(ValueError, KeyError):
            return [kind(text) for text in texts]
    return texts


FORMATS = pytest.mark.parametrize("kind", ["csv", "parquet"])


@FORMATS
def test_numbers_come_back_to_the_bit(tmp_path, kind):
    pred = regression(
        points=900, trailing=(2,), noise_std=0.5, mean_error=np.random.default_rng(3).uniform(size=(900, 2))
    )
    table = read(storage.write_table(tmp_path / f"a.{kind}", cut(pred, [1, 400]), format=kind))
    names = [f"{name}_{i}" for name in ("mean", "std", "mean_error", "total_std") for i in (0, 1)]
    assert table.columns.tolist() == ["row", *names]
    assert table["row"].tolist() == list(range(900))
    for name, values in {"mean": pred.mean, "std": pred.std, "total_std": pred.total_std()}.items():
        assert table[[f"{name}_0", f"{name}_1"]].to_numpy().tobytes() == values.tobytes()


@FORMATS
def test_measures_and_counts_of_classes_are_columns(tmp_path, kind):
    pred = classification(points=50)
    table = read(storage.write_table(tmp_path / f"a.{kind}", cut(pred, [20]), format=kind))
    assert table.columns.tolist() == [
        "row",
        *(f"{name}_{k}" for name in ("probs", "probs_std", "logit_mean", "logit_std", "votes") for k in range(3)),
        *("expected_entropy", "labels", "entropy", "mutual_information", "variation_ratio"),
    ]
    for name in ("labels", "entropy", "mutual_information", "variation_ratio", "expected_entropy"):
        np.testing.assert_array_equal(table[name], getattr(pred, name))
    assert table["labels"].dtype == table["votes_2"].dtype == np.int64
    np.testing.assert_array_equal(table[["votes_0", "votes_1", "votes_2"]], pred.votes)


@FORMATS
@pytest.mark.parametrize("trailing", [(), (1,), (1, 1)])
def test_one_number_per_point_has_the_plain_name(tmp_path, kind, trailing):
    pred = regression(points=5, trailing=trailing, passes=np.arange(1, 6))
    table = read(storage.write_table(tmp_path / f"a.{kind}", cut(pred, [2]), format=kind))
    assert table.columns.tolist() == ["row", "mean", "std", "passes"]
    assert table["mean"].tolist() == pred.mean.ravel().tolist()
    assert table["passes"].tolist() == [1, 2, 3, 4, 5]


@FORMATS
def test_places_of_a_grid_are_counted_axis_by_axis(tmp_path, kind):
    pred = regression(points=4, trailing=(2, 3))
    table = read(storage.write_table(tmp_path / f"a.{kind}", cut(pred, []), format=kind))
    assert table.columns.tolist()[1:7] == [f"mean_{i}_{j}" for i in range(2) for j in range(3)]
    assert table["mean_1_2"].tolist() == pred.mean[:, 1, 2].tolist()
    moved = {"predictions": {"a": Variable(("output", "point"), np.arange(6).reshape(2, 3))}}
    table = read(storage.write_table(tmp_path / f"b.{kind}", [block_of(moved, 3)], format=kind))
    assert table["a_1"].tolist() == [3, 4, 5]


@FORMATS
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u1", "u8", "i8", "?"])
def test_every_type_of_number_comes_back(tmp_path, kind, dtype):
    values = np.random.default_rng(0).uniform(0, 100, size=300).astype(dtype)
    if dtype == "u8":
        values[0] = 2**64 - 1
    groups = {"predictions": {"a": Variable(("point",), values)}}
    table = read(storage.write_table(tmp_path / f"a.{kind}", [block_of(groups, 300)], format=kind))
    assert table["a"].to_numpy().astype(dtype).tobytes() == values.tobytes()


def test_special_numbers_come_back(tmp_path):
    values = [np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
    table = read(storage.write_table(tmp_path / "a.csv", [block_of(mean_of(values), 6)], format="csv"))
    assert table["mean"].to_numpy().tobytes() == np.array(values).tobytes()


def missing_block():
    return {
        "predictions": {
            "mean": Variable(("point", "output"), np.array([[1.0, 2.0], [np.nan, np.nan], [np.nan, 3.0]])),
            "labels": Variable(("point",), np.array([1, 0, 2])),
            "sure": Variable(("point",), np.array([True, False, True])),
        },
        "predictions_constant_data": {
            "passes": Variable((), np.asarray(9)),
            "took": Variable(("point",), np.array([9, 0, 7])),
        },
    }


def test_what_could_not_be_predicted_is_empty(tmp_path):
    path = storage.write_table(tmp_path / "a.csv", [block_of(missing_block(), 3)], format="csv")
    assert path.read_text() == ("row,mean_0,mean_1,labels,sure,took\n0,1.0,2.0,1,True,9\n1,,,,,\n2,,3.0,2,True,7\n")
    path = storage.write_table(tmp_path / "a.parquet", [block_of(missing_block(), 3)], format="parquet")
    columns = parquet.read_table(path).to_pydict()
    assert columns == {
        "row": [0, 1, 2],
        "mean_0": [1.0, None, None],
        "mean_1": [2.0, None, 3.0],
        "labels": [1, None, 2],
        "sure": [True, None, True],
        "took": [9, None, 7],
    }


@FORMATS
def test_rows_are_those_that_the_blocks_tell_of_unless_labels_are_given(tmp_path, kind):
    def part(rows):
        told = {"row": Variable(("point",), np.array(rows))}
        return block_of(mean_of(np.ones(len(rows))) | {"predictions_constant_data": told}, len(rows))

    blocks = [part([0, 1, 5]), part([6, 9])]
    table = read(storage.write_table(tmp_path / f"a.{kind}", blocks, format=kind))
    assert table.columns.tolist() == ["row", "mean"]
    assert table["row"].tolist() == [0, 1, 5, 6, 9]
    names = ["a.png", "b,c.png", 'd"e', "é", "x y"]
    for labels in (names, lambda start, stop: names[start:stop]):
        table = read(storage.write_table(tmp_path / f"a.{kind}", blocks, format=kind, labels=labels))
        assert table["row"].tolist() == names
        assert len(table.columns) == 2


@FORMATS
def test_a_table_of_no_points_has_its_columns(tmp_path, kind):
    table = read(storage.write_table(tmp_path / f"a.{kind}", [block_of(mean_of([]), 0)], format=kind))
    assert table.columns.tolist() == ["row", "mean"]
    assert len(table) == 0


@FORMATS
def test_one_block_at_a_time_is_in_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(tables, "_ROW_GROUP", 10)
    storage.write_table(tmp_path / "a", watched(100, 5), format=kind)


def test_small_blocks_share_row_groups_and_large_ones_are_divided(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_ROW_GROUP", 100)
    sizes = [30, 30, 30, 30, 250, 5]
    blocks = [block_of(mean_of(np.full(size, float(size))), size) for size in sizes]
    path = storage.write_table(tmp_path / "a.parquet", blocks, format="parquet")
    file = parquet.ParquetFile(path)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sum(groups) == sum(sizes)
    assert len(groups) <= 6
    assert max(groups) <= 120
    assert file.read()["mean"].to_pylist() == [float(size) for size in sizes for _ in range(size)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            regression(points=3, samples=np.zeros((9, 3, 1))).variables(),
            "a table has one row per point, got the passes of every point in 'samples'; leave the samples out",
        ),
        (regression(points=3, trailing=(100, 51)).variables(), "up to 10000 columns, got 10200 numbers per point"),
        (
            mean_of([1, 2, 3]) | {"constant_data": mean_of([1, 2, 3])["predictions"]},
            "columns must have names of their own, got 'mean' twice; rename a variable",
        ),
        (mean_of([1, 2, 3], row=Variable(("point",), np.ones(3))), "got 'row' twice"),
    ],
)
@FORMATS
def test_what_does_not_go_into_a_table_is_refused(tmp_path, kind, groups, message):
    with pytest.raises(InputError, match=message):
        storage.write_table(tmp_path / "a", [block_of(groups, 3)], format=kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"format": "xlsx"}, {"format": "csv", "labels": [1, 2]}])
def test_unknown_formats_and_labels_that_do_not_fit_are_refused(tmp_path, options):
    with pytest.raises(
        InputError, match=r"must be one of 'csv', 'parquet'|axis 'row' must have one label per position"
    ):
        storage.write_table(tmp_path / "a", [block_of(mean_of([1.0]), 1)], **options)


@FORMATS
@pytest.mark.parametrize("fault", ["block", "journal", "disk"])
def test_what_fails_midway_leaves_the_old_table(tmp_path, monkeypatch, kind, fault):
    path = tmp_path / f"a.{kind}"
    path.write_text("old")
    with Journal.create(tmp_path / "j", {}) as journal:
        journal.append(0, 1, mean_of([1.0]))
        journal.append(1, 1, mean_of([2.0]))
        blocks, expected, message = journal.blocks, InputError, "block 1"
        if fault == "block":
            blocks[1] = block_of({"predictions": {"other": Variable(("point",), np.ones(1))}}, 1)
        elif fault == "journal":
            expected, message = DataError, "got damage in rows 1 to 1"
            data = bytearray((tmp_path / "j").read_bytes())
            data[-1] ^= 1
            (tmp_path / "j").write_bytes(data)
        else:
            expected, message = OutputError, "cannot write .*: No space left on device; choose a writable folder"

            def full(*_):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(tables, "cells_of", full)
        with pytest.raises(expected, match=message):
            storage.write_table(path, blocks, format=kind)
        journal.remove()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DependencyError, match=r'pip install "mcdrop\[parquet\]", or write format=.csv.'):
        storage.write_table(tmp_path / "a.parquet", [block_of(mean_of([1.0]), 1)], format="parquet")
    storage.write_table(tmp_path / "a.csv", [block_of(mean_of([1.0]), 1)], format="csv")


def test_a_table_counts_points_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    path = storage.write_table(tmp_path / "a.csv", [block_of(mean_of([1.0]), 1)] * 3, format="csv", progress=True)
    assert path.read_text().count("\n") == 4


def test_columns_can_be_checked_before_there_is_a_table():
    check_columns(mean_of([1.0]))
    wide = {"predictions": {"mean": Variable(("point", "output"), np.zeros((1, 10_001)))}}
    with pytest.raises(
        InputError, match=r"up to 10000 columns, got 10001 numbers per point; write HDF5 \(format=\"hdf5\""
    ):
        check_columns(wide)
    twice = {"predictions": {"row": Variable(("point",), np.zeros(1))}}
    with pytest.raises(
        InputError, match=r"got 'row' twice; rename a variable, or write HDF5 \(format=\"hdf5\", --format"
    ):
        check_columns(twice)

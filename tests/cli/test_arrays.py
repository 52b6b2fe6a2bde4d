"""Arrays that users name: every kind of file gives back what was stored, row by row as inputs are read."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from mcdrop.cli.arrays import TABLES, label_of, read_array
from mcdrop.errors import McdropError
from mcdrop.sources import ENDINGS, open_source

Y = np.array([0.1, -2.5, 1e-300, 3.0])
X = np.arange(8.0).reshape(4, 2)


def read(place):
    return read_array(str(place), option="--truth")


def stored(folder, *, several):
    """Write Y by itself or beside others, and return how each kind of file is named."""
    others = {"x": X} if several else {}
    np.savez(folder / "y.npz", y=Y, **others)
    np.savez_compressed(folder / "c.npz", y=Y, **others)
    for name in ("y.h5", "y.hdf", "y.nc"):
        with h5py.File(folder / name, "w") as file:
            file["y"] = Y
            for other, values in others.items():
                file[other] = file[f"test/{other}"] = values
    table = pd.DataFrame({"y": Y} | ({"x": X[:, 0]} if several else {}))
    table.to_csv(folder / "y.csv", index=False)
    table.to_csv(folder / "y.csv.gz", index=False)
    table.to_csv(folder / "y.tsv", index=False, sep="\t")
    table.to_csv(folder / "Y.TSV.GZ", index=False, sep="\t")
    table.to_parquet(folder / "y.parquet")
    names = ("y.npz", "c.npz", "y.h5", "y.hdf", "y.nc", "y.csv", "y.csv.gz", "y.tsv", "Y.TSV.GZ", "y.parquet")
    return [folder / name for name in names]


@pytest.mark.parametrize("several", [False, True])
def test_a_named_array_comes_back(tmp_path, several):
    for path in stored(tmp_path, several=several):
        values = read(f"{path}::y")
        np.testing.assert_allclose(values, Y, rtol=1e-15)  # older pandas reads the last digit of a text roughly
        assert values.dtype == np.float64


def test_the_name_may_be_left_out_where_there_is_only_one(tmp_path):
    np.save(tmp_path / "y.npy", Y)
    for path in [*stored(tmp_path, several=False), tmp_path / "y.npy"]:
        np.testing.assert_allclose(read(path), Y, rtol=1e-15)


def test_of_several_one_has_to_be_named_and_an_unknown_name_lists_those_there_are(tmp_path):
    for path in stored(tmp_path, several=True):
        with pytest.raises(McdropError, match=r"^--truth: .*y.* name one.*::(y|x|column)"):
            read(path)
        with pytest.raises(McdropError, match=r"^--truth: .*expected .*'z', got .*y"):
            read(f"{path}::z")


def test_every_ending_is_one_that_inputs_have():
    assert set(TABLES) < set(ENDINGS)


def test_groups_within_hdf5_shapes_and_kinds_are_kept(tmp_path):
    stored(tmp_path, several=True)
    for name in ("test/x", "/test/x"):
        np.testing.assert_array_equal(read(f"{tmp_path / 'y.h5'}::{name}"), X)
    np.save(tmp_path / "labels.npy", np.array([2, 0], dtype=np.uint8))
    assert read(tmp_path / "labels.npy").dtype == np.uint8
    pd.DataFrame({"y": X.tolist(), "k": [1, 2, 3, 4]}).to_parquet(tmp_path / "lists.parquet")
    np.testing.assert_array_equal(read(f"{tmp_path / 'lists.parquet'}::y"), X)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x,y\n1,2\n3,4\n\n", [2, 4]),  # a line without cells is no row of several columns
        ("x , y\n1,2\n", [2]),
        ("x,y\n1,2,\n3,4,\n", [2, 4]),  # lines that end with a comma shift no column
        ("y\n1\n\n3\n", [1, np.nan, 3]),  # but a cell of a single column
        ('note,y\n"two\nlines",5\n', [5]),
        ("x,y\n1\n3,4\n", [np.nan, 4]),
    ],
)
def test_the_rows_of_a_table_are_those_that_inputs_have(tmp_path, text, values):
    (tmp_path / "t.csv").write_text(text)
    np.testing.assert_array_equal(read(f"{tmp_path / 't.csv'}::y"), values)
    with open_source(tmp_path / "t.csv", columns=["y"]) as source:
        np.testing.assert_array_equal(source.read(0, len(source))[:, 0], values)


def test_a_cell_too_many_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2,9\n3,4,9\n")
    with pytest.raises(McdropError, match=r"^--truth: .*t\.csv"):
        read(f"{tmp_path / 't.csv'}::y")


def test_a_path_with_the_mark_in_it_is_a_path(tmp_path):
    for name in ("a::b.npy", "a::b.csv"):
        np.save(tmp_path / name, Y) if name.endswith("npy") else (tmp_path / name).write_text("y\n5\n")
    np.testing.assert_array_equal(read(tmp_path / "a::b.npy"), Y)
    np.testing.assert_array_equal(read(tmp_path / "a::b.csv"), [5])


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_refused_and_runs_no_code(tmp_path):
    marker = tmp_path / "marker"
    trap = np.array([Trap(marker), None], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", y=trap)
    for name in ("b.npy", "b.npz"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(marker)))
    for name in ("a.npy", "a.npz", "b.npy", "b.npz"):
        with pytest.raises(McdropError):
            read(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.npy", None, "nothing there; check the path"),
        ("y.npy", b"", "an empty file"),
        ("y.npy", b"text", "cannot be read"),
        ("y.h5", b"text", "cannot be read"),
        ("y.csv", b"\xff\xfe\x00", "cannot be read"),
        ("y.csv", b"0.5\n0.7\n", "names of columns in the first line"),
        ("y.csv", b"g,y\nmay,1\n", "expected numbers in column 'g', got 'may' in row 0; .*; or name one column: y.csv"),
        ("y.csv::g", b"g,y\nmay,1\n", "expected numbers in column 'g', got 'may' in row 0; leave"),
        ("y.txt", b"1", r"ends in .h5, .*, got .txt"),
        ("y.npy::y", b"1", "since it has no parts"),
    ],
)
def test_what_is_no_array_is_one_clear_error(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name.partition("::")[0]).write_bytes(content)
    with pytest.raises(McdropError, match=message) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith("--truth: ") and "\n" not in str(caught.value)


def test_a_folder_single_values_and_odd_types_are_refused(tmp_path):
    (tmp_path / "y.npy").mkdir()
    np.save(tmp_path / "one.npy", np.float64(3))
    np.save(tmp_path / "complex.npy", np.array([1j]))
    np.save(tmp_path / "texts.npy", np.array(["a"]))
    odd = {"y.npy": "a folder", "one.npy": "a single number", "complex.npy": "complex128", "texts.npy": "<U1"}
    for name, got in odd.items():
        with pytest.raises(McdropError, match=f"^--truth: .*{got}"):
            read(tmp_path / name)


def test_labels_are_the_last_part_of_the_name():
    assert [label_of(place) for place in ("a/b.h5::c/d", "a/b.csv.gz", "t.csv::x y")] == ["d", "b", "x y"]

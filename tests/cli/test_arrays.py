"""Arrays that users name: every kind of file gives back what was stored, and what is none is one clear error."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from mcdrop.cli.arrays import label_of, read_array
from mcdrop.errors import DataError

Y = np.array([0.1, -2.5, 1e-300, 3.0])
X = np.arange(8.0).reshape(4, 2)


def stored(folder, *, several):
    """Write Y by itself or beside others, and return how each kind of file is named."""
    others = {"x": X} if several else {}
    np.save(folder / "y.npy", Y)
    np.savez(folder / "y.npz", y=Y, **others)
    np.savez_compressed(folder / "c.npz", y=Y, **others)
    with h5py.File(folder / "y.h5", "w") as file:
        file["y"] = Y
        if several:
            file["test/x"] = X
    table = pd.DataFrame({"y": Y} | ({"x": X[:, 0]} if several else {}))
    table.to_csv(folder / "y.csv", index=False)
    table.to_csv(folder / "y.csv.gz", index=False)
    table.to_csv(folder / "y.tsv", index=False, sep="\t")
    return [folder / name for name in ("y.npz", "c.npz", "y.h5", "y.csv", "y.csv.gz", "y.tsv")]


@pytest.mark.parametrize("several", [False, True])
def test_a_named_array_comes_back(tmp_path, several):
    for path in stored(tmp_path, several=several):
        values = read_array(f"{path}::y", what="truth")
        np.testing.assert_allclose(values, Y, rtol=1e-15)  # older pandas reads the last digit of a text roughly
        assert values.dtype == np.float64


def test_the_name_may_be_left_out_where_there_is_only_one(tmp_path):
    for path in [*stored(tmp_path, several=False), tmp_path / "y.npy"]:
        np.testing.assert_allclose(read_array(str(path), what="truth"), Y, rtol=1e-15)


def test_of_several_one_has_to_be_named_and_an_unknown_name_lists_those_there_are(tmp_path):
    for path in stored(tmp_path, several=True):
        with pytest.raises(DataError, match=r"got 2 (members|datasets|columns) \(.*x.*\).*; name one: .*::") as caught:
            read_array(str(path), what="truth")
        assert "y" in str(caught.value)
        with pytest.raises(
            DataError, match=r"truth must be an array in a file, got no .* 'z' in it .*; there are: .*y"
        ):
            read_array(f"{path}::z", what="truth")


def test_groups_within_hdf5_shapes_and_kinds_are_kept(tmp_path):
    stored(tmp_path, several=True)
    for name in ("test/x", "/test/x"):
        np.testing.assert_array_equal(read_array(f"{tmp_path / 'y.h5'}::{name}", what="x"), X)
    np.save(tmp_path / "labels.npy", np.array([2, 0], dtype=np.uint8))
    assert read_array(str(tmp_path / "labels.npy"), what="truth").dtype == np.uint8


def test_texts_are_read_as_labels_of_groups(tmp_path):
    texts = ["may", "june"]
    np.save(tmp_path / "g.npy", np.array(texts))
    pd.DataFrame({"g": texts}).to_csv(tmp_path / "g.csv", index=False)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["g"] = texts
    for name in ("g.npy", "g.csv", "g.h5"):
        assert read_array(str(tmp_path / name), what="groups").tolist() == texts


def test_an_empty_cell_among_numbers_is_nan_and_keeps_its_row(tmp_path):
    (tmp_path / "y.csv").write_text("y\n1\n\n3\n")
    np.testing.assert_array_equal(read_array(str(tmp_path / "y.csv"), what="truth"), [1, np.nan, 3])


def test_a_path_with_the_mark_in_it_is_a_path(tmp_path):
    np.save(tmp_path / "a::b.npy", Y)
    np.testing.assert_array_equal(read_array(str(tmp_path / "a::b.npy"), what="truth"), Y)


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
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match="a pickled array, whose reading could run code"):
            read_array(str(tmp_path / name), what="truth")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap(marker)))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Trap(marker)))
    for name in ("b.npy", "b.npz"):
        with pytest.raises(DataError):
            read_array(str(tmp_path / name), what="truth")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.npy", None, "no such file"),
        ("y.npy", b"", "cannot be read"),
        ("y.npy", b"text", "cannot be read"),
        ("y.npz", b"PK", "pickled|cannot be read"),
        ("y.h5", b"text", "cannot be read"),
        ("y.csv", b"", "cannot be read"),
        ("y.csv", b"\xff\xfe\x00", "cannot be read"),
        ("y.csv", b"0.5\n0.7\n", "numbers in its first line"),
        ("y.csv", b"g\nmay\n\n", "texts with an empty cell in row 1"),
        ("y.txt", b"1", r"a file named \*.txt .*; give one of .npy, .npz"),
        ("y.npy::y", b"", "an .npy file holds one array"),
    ],
)
def test_what_is_no_array_is_one_clear_error(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name.partition("::")[0]).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_array(str(tmp_path / name), what="truth")
    assert str(caught.value).startswith("truth must be an array in a file, got ") and "\n" not in str(caught.value)


def test_a_folder_single_values_and_odd_types_are_refused(tmp_path):
    (tmp_path / "y.npy").mkdir()
    np.save(tmp_path / "one.npy", np.float64(3))
    np.save(tmp_path / "complex.npy", np.array([1j]))
    for name, got in (("y.npy", "a folder"), ("one.npy", "a single value"), ("complex.npy", "complex128")):
        with pytest.raises(DataError, match=got):
            read_array(str(tmp_path / name), what="truth")


def test_labels_are_the_last_part_of_the_name():
    assert [label_of(place) for place in ("a/b.h5::c/d", "a/b.csv.gz", "t.csv::x y")] == ["d", "b", "x y"]

"""Opening: which kind a place is, and places and options that do not fit."""

import os
import pickle

import h5py
import numpy as np
import pytest
from PIL import Image

from mcdrop.errors import DataError, InputError, McdropError
from mcdrop.sources import ENDINGS, ImageOptions, open_source


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "x.txt").write_text("a,b\n1,2\n")
    (tmp_path / "images").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "images" / "a.png")
    return tmp_path


def refusal(kind, *args, **options):
    with pytest.raises(kind) as caught:
        open_source(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_ending_lists_the_known_ones(folder):
    message = refusal(InputError, folder / "x.txt")
    assert "got .txt; rename or convert it" in message
    assert all(ending in message for ending in ENDINGS)
    (folder / "x").write_text("1")
    assert "got no ending" in refusal(InputError, folder / "x")


def test_an_image_alone_is_told_to_be_named_by_its_folder(folder):
    image = folder / "images" / "a.png"
    assert f"got one image; name its folder, {image.parent}" in refusal(InputError, image)


def test_a_folder_of_parquet_files_is_told_so(folder):
    (folder / "ds.parquet" / "day=1").mkdir(parents=True)
    (folder / "ds.parquet" / "day=1" / "part-0.parquet").write_bytes(b"PAR1")
    message = refusal(DataError, f"{folder / 'ds.parquet'}/")
    assert "got a folder of Parquet files; name one of them, such as" in message and "part-0.parquet" in message


def test_large_letters_are_as_good(folder):
    (folder / "x.npy").rename(folder / "X.NPY")
    assert len(open_source(folder / "X.NPY")) == 2


def test_nothing_there(folder):
    assert "got nothing there; check the path" in refusal(DataError, folder / "y.h5::x")
    assert "y.h5:" in refusal(DataError, folder / "y.h5::x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_no_file(folder):
    os.mkfifo(folder / "x.h5")
    assert "something that is no file" in refusal(DataError, folder / "x.h5")


@pytest.mark.parametrize("name", ["x.npy", "x.csv", "images"])
def test_parts_of_what_has_none(folder, name):
    assert "expected no :: after it, since it has no parts, got ::a" in refusal(InputError, f"{folder / name}::a")


def test_a_part_of_a_table_is_a_column(folder):
    assert "name columns by the option columns" in refusal(InputError, f"{folder / 'x.csv'}::a")


@pytest.mark.parametrize("place", ["x.npz::", "::a", "::"])
def test_half_a_place(folder, monkeypatch, place):
    monkeypatch.chdir(folder)
    assert "must be a file, or file::name" in refusal(InputError, place)


@pytest.mark.parametrize("place", ["", None, 3, "a\0b", b"x.npy"])
def test_no_place(place):
    assert "a place must name a file or a folder, got" in refusal(InputError, place)


def test_a_file_whose_own_name_holds_the_mark(folder):
    np.save(folder / "a::b.npy", np.zeros((5, 1)))
    assert len(open_source(folder / "a::b.npy")) == 5


def test_single_colons_are_nothing_special(folder):
    with h5py.File(folder / "a:b.h5", "w") as file:
        file["c:d"] = np.zeros(4)
    with open_source(f"{folder / 'a:b.h5'}::c:d") as source:
        assert len(source) == 4


@pytest.mark.parametrize("name", ["x.npy", "images"])
def test_columns_of_what_has_none(folder, name):
    assert "expected no columns, which only tables have, and" in refusal(InputError, folder / name, columns=["a"])


@pytest.fixture(params=["h5", "npz"])
def arrays(request, tmp_path):
    """A file of arrays, one of which has rows of its own."""
    held = {"a": np.arange(12.0).reshape(6, 2), "b": np.arange(6), "g/b": np.arange(6) + 9, "long": np.zeros(7)}
    path = tmp_path / f"x.{request.param}"
    if request.param == "npz":
        np.savez(path, **held)
    else:
        with h5py.File(path, "w") as file:
            for name, values in held.items():
                file[name] = values
    return path, held


def test_arrays_that_are_chosen_are_keyword_inputs(arrays):
    path, held = arrays
    with open_source(path, columns=["g/b", "a"]) as source, pickle.loads(pickle.dumps(source)) as copy:
        assert source.by_name and list(source.arrays) == ["b", "a"] and len(source) == 6
        assert source.describe() == f"{path.name}, 6 rows of b () int64, a (2,) float64"
        assert source.about["options"] == {"columns": ["g/b", "a"]}
        for start, stop in ((4, 6), (1, 3), (2, 2)):
            for each in (source, copy):
                block = each.read(start, stop)
                assert list(block) == ["b", "a"]
                np.testing.assert_array_equal(block["a"], held["a"][start:stop])
                np.testing.assert_array_equal(block["b"], held["g/b"][start:stop])


def test_one_array_that_is_chosen_is_what_its_name_stands_for(arrays):
    path, held = arrays
    with open_source(path, columns=["a"]) as source, open_source(f"{path}::a") as named:
        assert source.about == named.about and not source.by_name
        np.testing.assert_array_equal(source.read(0, 6), held["a"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "c"], "'c', got "),
        (["c"], "'c', got "),
        (["a", "long"], "the same number of rows in all arrays, got a 6, long 7"),
        (["b", "g/b"], "arrays whose last names differ, since these are the keywords, got b, g/b; rename one"),
    ],
)
def test_arrays_that_do_not_go_together(arrays, columns, message):
    assert message in refusal(McdropError, arrays[0], columns=columns)


def test_a_name_and_columns_are_two_choices(arrays):
    assert "expected columns or a name after ::, got both" in refusal(InputError, f"{arrays[0]}::a", columns=["b"])


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv"])
def test_image_options_of_what_is_no_folder(folder, name):
    assert "expected no image options, which only folders" in refusal(InputError, folder / name, image=ImageOptions())


def test_image_options_must_be_such(folder):
    assert "image must be ImageOptions, got dict" in refusal(InputError, folder / "images", image={"size": (1, 1)})


@pytest.mark.parametrize(
    "columns, message",
    [
        ("a", "must be a list of names, got 'a'"),
        ([1], "must be a list of names"),
        ([], "at least one column, got none"),
        (["a", "b", "a"], "each column once, got a again"),
    ],
)
def test_columns_that_are_no_choice(folder, columns, message):
    assert message in refusal(InputError, folder / "x.csv", columns=columns)


def test_paths_are_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert open_source("x.npy").path == folder / "x.npy"

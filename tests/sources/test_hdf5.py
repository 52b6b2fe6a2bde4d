"""HDF5 files: which data sets are inputs, and those that cannot be."""

import h5py
import numpy as np
import pytest

from mcdrop.errors import DataError
from mcdrop.sources import hdf5, nan_rows, open_source


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(6.0).reshape(3, 2)
        file["ids"] = np.arange(3, dtype="u2")
        file["group/deep/z"] = np.zeros((5, 1))
        file["group/short"] = np.zeros(2)
    return tmp_path / "x.h5"


def edit(path, **items):
    with h5py.File(path, "a") as file:
        for name, item in items.items():
            file[name] = item


def refusal(place):
    with pytest.raises(DataError) as caught:
        open_source(place).close()
    return str(caught.value)


def test_without_a_name_the_root_group_counts(path):
    with open_source(path) as source:
        assert source.by_name
        block = source.read(1, 3)
        assert {name: array.tolist() for name, array in block.items()} == {"ids": [1, 2], "x": [[2, 3], [4, 5]]}
        assert source.describe() == "x.h5, 3 rows of ids () uint16, x (2,) float64"


@pytest.mark.parametrize("name", ["x", "/x", "x/"])
def test_a_named_data_set_is_one_positional_input(path, name):
    with open_source(f"{path}::{name}") as source:
        assert not source.by_name
        assert source.read(0, 1).tolist() == [[0, 1]]
        assert source.describe() == "x.h5::x, 3 rows of (2,) float64"
    with open_source(f"{path}::group/deep/z") as source:
        assert len(source) == 5


def test_texts_and_labels_of_axes_in_the_root_group_are_no_inputs(path):
    edit(path, notes=["a", "b", "c", "d"], time=np.arange(9))
    with h5py.File(path, "a") as file:
        file["time"].make_scale("time")
    with open_source(path) as source:
        assert list(source.arrays) == ["ids", "x"]


def test_a_name_that_is_not_there_lists_those_that_are(path):
    message = refusal(f"{path}::images")
    assert "expected a data set 'images', got no such name; there are group/deep/z, group/short, ids, x" in message
    assert "expected a data set 'group', got a group; there are group/deep/z" in refusal(f"{path}::group")
    assert "got no such name" in refusal(f"{path}::x/y")


def test_data_sets_of_different_lengths_list_each(path):
    edit(path, more=np.zeros(4))
    message = refusal(path)
    assert "expected the same number of rows in all arrays, got ids 3, more 4, x 3; name one with ::name" in message


def test_what_cannot_be_an_input(path):
    record = np.zeros(3, dtype=[("a", "f8")])
    edit(path, one=1.0, text=["a", "b", "c"], record=record, none=h5py.Empty("f8"), flat=np.zeros((3, 0)))
    assert "expected rows on the first axis of data set one, got a single number" in refusal(f"{path}::one")
    assert "expected numbers in data set text, got texts or other objects" in refusal(f"{path}::text")
    assert "expected numbers in data set record, got [('a', '<f8')]" in refusal(f"{path}::record")
    assert "data set /none, got an empty one" in refusal(f"{path}::none")
    assert "expected values in the rows of data set flat, got shape (3, 0)" in refusal(f"{path}::flat")
    with h5py.File(path, "a") as file:
        del file["flat"], file["none"]
    assert "data set one, got a single number without axes" in refusal(path)


def test_no_data_set_in_the_root_group(tmp_path):
    edit(tmp_path / "x.h5", text=["a"])
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["group/x"] = np.zeros(3)
    message = refusal(tmp_path / "x.h5")
    assert (
        "expected numeric data sets in the root group, got none; name one with ::, there are group/x, text" in message
    )


def test_no_rows(tmp_path):
    edit(tmp_path / "x.h5", x=np.zeros((0, 3)))
    assert "expected at least one row, got none" in refusal(tmp_path / "x.h5")


def test_a_file_that_is_no_hdf5(tmp_path):
    (tmp_path / "x.h5").write_text("a,b\n1,2\n")
    assert "expected an HDF5 file, got one that cannot be read" in refusal(tmp_path / "x.h5")


def test_a_damaged_chunk_is_an_error_where_it_is_read(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        x = np.random.default_rng(0).normal(size=(100, 10))
        data = file.create_dataset("x", data=x, chunks=(10, 10), fletcher32=True)
        where = data.id.get_chunk_info(5).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 8] ^= 1
    path.write_bytes(content)
    with open_source(path) as source:
        assert len(source.read(0, 50)) == 50
        with pytest.raises(DataError, match="expected an HDF5 file, got one that cannot be read"):
            source.read(50, 60)
        np.testing.assert_array_equal(source.read(60, 100), x[60:])


def test_truth_values_and_integers_keep_their_types(tmp_path):
    edit(tmp_path / "x.h5", x=np.array([True, False]))
    with open_source(tmp_path / "x.h5") as source:
        assert source.read(0, 2).dtype == np.bool_


def test_chunks_are_kept_within_a_bound(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        small = file.create_dataset("small", (100, 5, 7), "f8", chunks=(10, 2, 3))
        large = file.create_dataset("large", (2**20, 100), "f8", chunks=(2**20, 1))
        assert hdf5._band(small) == 10 * 6 * 9 * 8
        assert hdf5._band(large) == 2**20 * 100 * 8
        assert hdf5._band(file.create_dataset("whole", (3,), "f8")) == 0
    with open_source(f"{tmp_path / 'x.h5'}::large") as source:
        assert source._cache == 2**28
    with open_source(f"{tmp_path / 'x.h5'}::small") as source:
        assert source._cache == 2**20


def test_packed_numbers_are_what_they_stand_for(tmp_path):
    """As xarray reads them, which wrote them here."""
    xarray = pytest.importorskip("xarray")
    temperature = np.array([[271.5, np.nan], [280.25, 290.0], [np.nan, 300.5]])
    packed = {"dtype": "int16", "scale_factor": 0.25, "add_offset": 273.0, "_FillValue": -99}
    data = xarray.Dataset({"t": (("row", "place"), temperature), "depth": ("row", np.array([1.5, np.nan, 3.0], "f4"))})
    encoding = {"t": packed, "depth": {"_FillValue": np.float32(9.96921e36)}}
    data.to_netcdf(tmp_path / "x.nc", engine="h5netcdf", encoding=encoding)
    with h5py.File(tmp_path / "x.nc") as file:
        assert file["t"][:].tolist() == [[-6, -99], [29, 68], [-99, 110]]
    with open_source(tmp_path / "x.nc") as source:
        block = source.read(0, 3)
        np.testing.assert_array_equal(block["t"], temperature)
        np.testing.assert_array_equal(block["depth"], data["depth"].to_numpy())
        assert {name: str(row.dtype) for name, row in source.arrays.items()} == {"t": "float64", "depth": "float32"}
        assert nan_rows(block).tolist() == [True, True, True]
        assert nan_rows(source.read(1, 2) | {"depth": np.ones(1)}).tolist() == [False]


def test_another_program_that_writes_is_named(path):
    fcntl = pytest.importorskip("fcntl")
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "got one that another program writes to, or did not close; wait for it" in refusal(path)
    with open_source(path) as source:
        assert len(source) == 3


@pytest.mark.parametrize("version", [1, 2, 5])
def test_netcdf3_is_another_format(tmp_path, version):
    (tmp_path / "x.nc").write_bytes(b"CDF" + bytes([version]) + bytes(60))
    assert "expected NetCDF4, got NetCDF3, another format; convert it to NetCDF4" in refusal(tmp_path / "x.nc")

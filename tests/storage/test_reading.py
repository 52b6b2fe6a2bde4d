"""What a file says of itself, read without its arrays."""

import h5py
import numpy as np
import pytest

from mcdrop.errors import DataError
from mcdrop.storage import read, read_attributes, write
from storage.made import mean_of

SAID = {
    "seed": 0,
    "share": 0.5,
    "name": "é",
    "empty": "",
    "run": "0" * 16,
    "lines": "a\nb",
    "shape": [2, 3],
    "none": None,
    "large": 2**70,
    "deep": {"a": [1.5, "x"]},
}


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.h5", "Example", mean_of(np.arange(2000.0)), SAID)


def test_they_are_what_the_whole_file_gives(path):
    assert read_attributes(path) == read(path).attributes == SAID


def test_no_array_is_read(path):
    """So that damage in one goes unseen, which `read` finds."""
    data = bytearray(path.read_bytes())
    place = data.find(np.arange(900.0, 910).tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert read_attributes(path) == SAID
    with pytest.raises(DataError, match="a file whose checksum differs"):
        read(path)


@pytest.mark.parametrize("cut", [1, 20, 48, 60, 4000])
def test_a_file_that_is_cut_off_is_refused(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"cut off|checksum"):
        read_attributes(path)


def test_other_files_are_refused(path, tmp_path):
    for content, told in ((b"", "an empty file"), (b"year,ppm", "a file that is no HDF5")):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(DataError, match=told):
            read_attributes(tmp_path / "b")
    with pytest.raises(DataError, match="no such file"):
        read_attributes(tmp_path / "none")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="an HDF5 file that mcdrop did not write"):
        read_attributes(tmp_path / "c.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["mcdrop_format"] = 99
    with pytest.raises(DataError, match="format 99 of mcdrop"):
        read_attributes(path)

"""`.npz` archives: members by name, and those that are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mcdrop.errors import DataError
from mcdrop.sources import open_source


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npz"


def refusal(place, read=False):
    with pytest.raises(DataError) as caught, open_source(place) as source:
        source.read(0, len(source))
    return str(caught.value)


def test_one_member_is_positional_and_several_are_keywords(path):
    np.savez(path, x=np.arange(3))
    with open_source(path) as source:
        assert source.read(1, 3).tolist() == [1, 2]
    np.savez(path, x=np.arange(3), y=np.ones((3, 2)))
    with open_source(path) as source:
        assert source.read(1, 3)["y"].tolist() == [[1, 1], [1, 1]]
    with open_source(f"{path}::y") as source:
        assert source.read(1, 3).tolist() == [[1, 1], [1, 1]]
        assert source.describe() == "x.npz::y, 3 rows of (2,) float64"


def test_a_name_that_is_not_there_lists_those_that_are(path):
    np.savez(path, x=np.arange(3), y=np.ones(3))
    assert "expected an array 'z', got none; there are x, y" in refusal(f"{path}::z")


def test_fortran_order_is_refused_with_advice(path):
    np.savez(path, x=np.asfortranarray(np.zeros((3, 2))), y=np.zeros((3, 2)))
    assert "expected array x in C order, got Fortran order" in refusal(path)
    assert "np.ascontiguousarray" in refusal(f"{path}::x")
    with open_source(f"{path}::y") as source:
        assert len(source) == 3


def test_what_cannot_be_an_input(path):
    np.savez(path, one=np.array(1.0), text=np.array(["a"]), thing=np.array([None]), x=np.zeros(3), y=np.zeros(4))
    assert "expected rows on the first axis of array one" in refusal(f"{path}::one")
    assert "expected numbers in array text, got <U1" in refusal(f"{path}::text")
    assert "array thing, got a pickled array, which was refused" in refusal(f"{path}::thing")
    np.savez(path, x=np.zeros(3), y=np.zeros(4))
    assert "expected the same number of rows in all arrays, got x 3, y 4" in refusal(path)
    np.savez(path)
    assert "expected arrays of numbers, got none; there are none" in refusal(path)
    np.savez(path, text=np.array(["a"]), thing=np.array([None]))
    assert "expected arrays of numbers, got none; there are text, thing" in refusal(path)


def test_texts_and_objects_beside_numbers_are_no_inputs(path):
    np.savez(path, names=np.array(["a", "b", "c"]), x=np.arange(3), things=np.array([None]))
    with open_source(path) as source:
        assert not source.by_name
        assert source.read(0, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_in_rows_that_are_passed_over_is_noticed(path, compressed):
    (np.savez_compressed if compressed else np.savez)(path, x=np.random.default_rng(0).integers(0, 256, 5000, np.uint8))
    content = bytearray(path.read_bytes())
    content[2500] ^= 1
    path.write_bytes(content)
    with open_source(path) as source:
        for _ in range(2):  # also the second time: nothing goes on where the first left off
            with pytest.raises(DataError, match="got one that cannot be read") as caught:
                source.read(4000, 5000)
            assert str(path) not in descriptors(), caught  # which holds all that was in use


def test_reading_goes_on_after_an_interrupt(path, monkeypatch):
    np.savez(path, x=np.arange(100), y=np.arange(100.0))
    with open_source(path) as source:
        source.read(0, 10)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("mcdrop.sources.npz.read_rows", interrupted)
            source.read(20, 30)
        assert source.read(20, 30)["x"].tolist() == list(range(20, 30))


def descriptors():
    """Return what this process has open, where Linux tells."""
    places = Path("/proc/self/fd").glob("*")
    return {str(place.readlink()) for place in places if place.is_symlink()}  # the one that lists them is gone


def interrupted(stream, header, rows):
    stream.read(3)
    raise KeyboardInterrupt


def test_other_files_in_the_archive_are_no_arrays(path):
    np.savez(path, x=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "about x")
    with open_source(path) as source:
        assert not source.by_name


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_member_is_noticed_by_its_checksum(path, compressed):
    x = np.random.default_rng(0).integers(0, 256, 5000, np.uint8)
    (np.savez_compressed if compressed else np.savez)(path, x=x)
    content = bytearray(path.read_bytes())
    content[2500] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(DataError, match=r"expected a \.npz archive, got one that cannot be read"),
        open_source(path) as s,
    ):
        for start in range(0, 5000, 500):
            s.read(start, start + 500)


@pytest.mark.parametrize("extra", [-8, 8])
def test_a_member_shorter_or_longer_than_its_header_says(path, extra):
    np.savez(path, x=np.zeros(9))
    with zipfile.ZipFile(path) as archive:
        member = archive.read("x.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member[:extra] if extra < 0 else member + bytes(extra))
    assert f"{len(member) + extra:,} bytes in array x where its header says {len(member):,}" in refusal(path)

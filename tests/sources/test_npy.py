"""`.npy` files: those that are refused."""

import os
import pickle

import numpy as np
import pytest

from mcdrop.errors import DataError
from mcdrop.sources import open_source


def refusal(path, array, **options):
    np.save(path, array, **options)
    with pytest.raises(DataError) as caught:
        open_source(path)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.npy"


def test_a_pickled_array_is_refused_and_not_run(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    array = np.array([Trap(), None], dtype=object)
    assert "got a pickled array, which was refused since to read it would run code" in refusal(path, array)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"expected a \.npy file, got one that cannot be read"):
        open_source(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "array, got",
    [
        (np.array(["a", "b"]), "<U1"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        (np.zeros(2, dtype=[("a", "f8")]), "float64|f8|a"),
        (np.array(3.0), "a single number without axes"),
        (np.zeros((2, 0)), r"got shape \(2, 0\)"),
        (np.zeros((0, 2)), "at least one row, got none"),
    ],
)
def test_what_cannot_be_an_input(path, array, got):
    with pytest.raises(AssertionError, match=got):
        raise AssertionError(refusal(path, array))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_shorter_or_longer_than_its_header_says(path, change):
    np.save(path, np.zeros((4, 2)))
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(DataError, match=f"{192 + change} bytes where its header says 192"):
        open_source(path)


def test_later_versions_of_the_format(path):
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.zeros((3, 2)), version=(2, 0))
    assert open_source(path).read(0, 3).shape == (3, 2)


def test_nan_and_infinity_are_read_as_they_are(path):
    np.save(path, np.array([np.nan, np.inf, -0.0]))
    assert open_source(path).read(0, 3).tobytes() == np.array([np.nan, np.inf, -0.0]).tobytes()

"""Packed numbers: the conventions' formula, fill values as NaN, types, and attributes that cannot be."""

from pathlib import Path

import numpy as np
import pytest

from mcdrop.errors import DataError
from mcdrop.sources.packed import packing_of

NAN = float("nan")


def unpacked(values, dtype, **notes):
    array = np.array(values, dtype)
    found = packing_of(array.dtype, notes, place=Path("x.nc"), what="data set t").unpacked(array)
    return found.tolist(), str(found.dtype)


@pytest.mark.parametrize("dtype", ["i1", ">i2", "u4", "f4", ">f8"])
def test_without_attributes_nothing_changes(dtype):
    assert unpacked([1, 2], dtype) == ([1, 2], str(np.dtype(dtype).newbyteorder("=")))
    assert unpacked([1, 2], dtype, units="K", valid_min=2) == unpacked([1, 2], dtype)


@pytest.mark.parametrize(
    ("dtype", "notes", "found"),
    [
        ("i2", {"scale_factor": 0.5}, ([0.5, 1.0], "float64")),
        ("i2", {"scale_factor": np.float32(0.5), "add_offset": np.float32(3)}, ([3.5, 4.0], "float32")),
        ("i4", {"scale_factor": np.float32(0.5)}, ([0.5, 1.0], "float64")),
        (">i2", {"add_offset": np.int16(10), "scale_factor": np.int16(2)}, ([12, 14], "float64")),
        ("f4", {"add_offset": [10.0]}, ([11, 12], "float64")),
        ("f4", {"scale_factor": np.float32(2)}, ([2, 4], "float32")),
        ("u1", {"_FillValue": np.uint8(2)}, ([1, NAN], "float32")),
        ("i4", {"_FillValue": np.int32(2)}, ([1, NAN], "float64")),
        ("i2", {"_FillValue": np.int16(1), "missing_value": 2.0}, ([NAN, NAN], "float32")),
        ("i2", {"missing_value": [2, 7]}, ([1, NAN], "float32")),
        ("i2", {"_FillValue": np.int16(2), "scale_factor": 0.5}, ([0.5, NAN], "float64")),
        ("f4", {"_FillValue": NAN}, ([1, 2], "float32")),
    ],
)
def test_what_numbers_stand_for(dtype, notes, found):
    np.testing.assert_equal(unpacked([1, 2], dtype, **notes), found)


def test_a_fill_value_is_compared_in_the_type_of_the_numbers():
    np.testing.assert_equal(unpacked([-999.9, 1], "f4", missing_value=-999.9), ([NAN, 1], "float32"))


@pytest.mark.parametrize(
    ("dtype", "notes", "message"),
    [
        ("i2", {"scale_factor": "half"}, "expected a number in scale_factor beside data set t, got 'half'; mend"),
        ("i2", {"add_offset": NAN}, "expected a number in add_offset"),
        ("i2", {"scale_factor": [1.0, 2.0]}, "expected a number in scale_factor"),
        ("i2", {"_FillValue": b"x"}, "expected a number in _FillValue"),
        ("?", {"_FillValue": 1}, "expected no _FillValue beside data set t, which holds bool"),
        ("c8", {"scale_factor": 2.0}, "expected no scale_factor beside data set t, which holds complex64"),
    ],
)
def test_attributes_that_cannot_be(dtype, notes, message):
    with pytest.raises(DataError, match=message):
        unpacked([1, 0], dtype, **notes)

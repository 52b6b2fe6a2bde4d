"""The truth is read once, from any form an array has, and handed out by row numbers."""

import numpy as np
import pandas as pd
import pytest
import torch

from mcdrop import InputError
from mcdrop.execution import read_targets

VALUES = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def big_endian_and_read_only():
    array = np.array(VALUES, dtype=">f4")
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "y",
    [
        VALUES,
        np.array(VALUES),
        big_endian_and_read_only(),
        pd.DataFrame(VALUES),
        torch.tensor(VALUES, requires_grad=True),
        torch.tensor(VALUES).bfloat16(),
        torch.tensor(VALUES).int(),
    ],
    ids=["list", "array", "big-endian", "frame", "grad", "bfloat16", "int"],
)
def test_any_array_of_numbers_is_read_in_double(y):
    truth = read_targets(y, labels=False)
    assert len(truth) == 3
    assert truth.values.dtype == torch.float64
    assert truth.take(range(1, 3)).tolist() == VALUES[1:]


@pytest.mark.parametrize("y", [[2, 0], np.array([2, 0], dtype=np.uint8), torch.tensor([2, 0]), pd.Series([2, 0])])
def test_class_numbers_stay_whole(y):
    truth = read_targets(y, labels=True)
    assert truth.values.dtype == torch.int64
    assert truth.values.tolist() == [2, 0]


def test_writing_to_y_afterwards_changes_nothing():
    y = np.ones(2)
    truth = read_targets(y, labels=False)
    y[:] = 5
    assert truth.values.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, np.nan, np.inf], r"y must be finite, got NaN or infinity in 2 of 3 rows \(1, 2\)"),
        (np.full((9, 2), np.nan), r"in 9 of 9 rows \(0, 1, 2, 3, 4, \.\.\.\)"),
        ([], "y must hold at least one row, got shape"),
        (3.0, r"y must hold at least one row, got shape \(\)"),
        ([1 + 2j], "y must hold real numbers, got complex128"),
        ([1.0, 1e200], r"y must lie within 1e\+100 of 0, got 1 to 1e\+200; rescale"),
        (["a", "b"], "y must hold real numbers, got <U1"),
        (None, r"y must hold at least one row, got shape \(\)"),
        ([[1.0], [1.0, 2.0]], "y must be a rectangular array of numbers, got list"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "y must hold real numbers, got datetime64"),
    ],
)
def test_bad_values_are_refused(y, message):
    with pytest.raises(InputError, match=message):
        read_targets(y, labels=False)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, 2.0], r"y must hold class numbers, integers from 0, got float64; .*\.astype\(int\)"),
        ([1, -1], "y must hold class numbers, integers from 0, got -1; drop rows"),
        ([True, False], "y must hold class numbers.*got bool"),
        (np.array([0, 2**63], dtype=np.uint64), "y must hold class numbers, .*, got 9223372036854775808; no net"),
        (["cat"], "y must hold class numbers.*got <U3"),
    ],
)
def test_bad_labels_are_refused(y, message):
    with pytest.raises(InputError, match=message):
        read_targets(y, labels=True)


def test_x_and_y_must_be_equally_long():
    truth = read_targets(VALUES, labels=False)
    truth.check_length(3)
    truth.check_length(None)
    with pytest.raises(InputError, match="one row per example each, got 4 and 3"):
        truth.check_length(4)
    with pytest.raises(InputError, match="one row per example each, got at least 6 and 3"):
        truth.take(range(2, 6))

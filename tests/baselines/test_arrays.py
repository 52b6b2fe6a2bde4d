"""Arrays come back as finite floats of one shape, or the message says what was wrong with them."""

from datetime import date

import numpy as np
import pytest
import torch

from mcdrop import InputError
from mcdrop.baselines.arrays import check_floats, check_inputs, check_labels, check_rows, check_training


def test_inputs_become_columns_and_are_copied():
    x = np.arange(3)
    inputs = check_inputs(x)
    x[0] = 7
    np.testing.assert_array_equal(inputs, [[0.0], [1.0], [2.0]])
    assert inputs.dtype == np.float64


def test_rows_of_any_shape_are_laid_flat():
    images = np.arange(24).reshape(2, 1, 3, 4)
    np.testing.assert_array_equal(check_rows(images), np.arange(24.0).reshape(2, 12))


@pytest.mark.parametrize("check", [check_inputs, check_rows])
@pytest.mark.parametrize(("x", "message"), [
    (np.empty((0, 2)), r"at least one value, got shape \(0, 2\)"),
    (3.0, r"got shape \(\)"),
    ([[1.0, np.nan], [np.inf, 0.0]], r"x must be finite, got 2 NaN or infinite"),
    (["a", "b"], "x must be an array of numbers, got list"),
])  # fmt: skip
def test_bad_inputs(check, x, message):
    with pytest.raises(InputError, match=message):
        check(x)


def test_training_keeps_the_trailing_shape():
    assert check_training([1, 2], [[3], [4]])[2] == (1,)
    assert check_training([1, 2], [3, 4])[2] == ()


@pytest.mark.parametrize(("x", "y", "message"), [
    ([1, 2], [1, 2, 3], "same length, got 2 and 3"),
    ([1], [1], "at least 2 points, got 1"),
    ([1, 2], [5, 5], "y must vary, got 2 times 5"),
    ([1, 2], np.ones((2, 2)), r"y must have shape \(N,\) or \(N, 1\), got \(2, 2\)"),
])  # fmt: skip
def test_bad_training_data(x, y, message):
    with pytest.raises(InputError, match=message):
        check_training(x, y)


def test_floats_name_what_they_check():
    with pytest.raises(InputError, match="noise must be finite, got 1 NaN"):
        check_floats([np.nan], "noise")


@pytest.mark.parametrize("y", [[0, 1, 1], [0.0, 1.0, 1.0], [False, True, True], np.array([0, 1, 1], np.uint8)])
def test_labels_of_any_numeric_type_become_integers(y):
    labels, classes = check_labels(y, 3, classes=None)
    np.testing.assert_array_equal(labels, [0, 1, 1])
    assert labels.dtype == np.int64
    assert classes == 2


def test_more_classes_than_labels_may_be_named():
    assert check_labels([0, 2], 2, classes=None)[1] == 3
    assert check_labels([0, 2], 2, classes=10)[1] == 10


@pytest.mark.parametrize(("y", "count", "classes", "message"), [
    ([0, 1], 3, None, "same length, got 3 and 2"),
    ([0], 1, None, "at least 2 points, got 1"),
    ([1, 1], 2, None, "at least 2 classes, got 2 times 1"),
    ([0, np.nan], 2, None, "y must be finite"),
    ([0, 1.5], 2, None, "whole numbers from 0, got 1.5"),
    ([0, -1], 2, None, "whole numbers from 0, got -1"),
    ([0, 3, 1], 3, 3, "classes from 0 to 2, got 3"),
    (np.eye(3), 3, None, r"turn one-hot rows into labels with argmax\(axis=1\)"),
    ([[0], [1]], 2, None, r"one label per point, got \(2, 1\); flatten it with y\.ravel\(\)"),
    ([0, 2_000_000_000], 2, None, r"labels below 1000 for 2 points, got 2000000000; .*np\.unique.*classes=\.\.\."),
    ([0, 1000], 2, None, "labels below 1000 for 2 points, got 1000"),
    (["a", "b"], 2, None, "y must be an array of numbers"),
])  # fmt: skip
def test_bad_labels(y, count, classes, message):
    with pytest.raises(InputError, match=message):
        check_labels(y, count, classes=classes)


def test_labels_with_gaps_are_classes_where_they_may_be():
    assert check_labels([0, 999], 2, classes=None)[1] == 1000
    assert check_labels([0, 1999] * 100, 200, classes=None)[1] == 2000
    assert check_labels([0, 2_000_000_000], 2, classes=2_000_000_001)[1] == 2_000_000_001


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("values", "message"), [
    (np.ma.masked_greater([1.0, 2.0, 3.0], 1.5), r"x must hold a number everywhere, got 2 masked .*; drop"),
    ([1.0, 2j], r"x must be an array of numbers, got list \(dtype complex128\); convert it"),
    (torch.ones(2, dtype=torch.complex64), "x must be an array of numbers, got Tensor"),
    (np.array(["2020-01-01"], dtype="M8[D]"), r"got ndarray \(dtype datetime64\[D\]\)"),
    (np.array([1], dtype="m8[s]"), r"got ndarray \(dtype timedelta64\[s\]\)"),
    ([date(2020, 1, 1)], "x must be an array of numbers, got list"),
    (["1.5"], r"x must be an array of numbers, got list \(dtype <U3\)"),
    (torch.ones(2, requires_grad=True), r"x must be data, got a Tensor that requires its gradient; pass x\.detach\(\)"),
])  # fmt: skip
def test_what_holds_no_real_numbers_is_refused(values, message):
    with pytest.raises(InputError, match=message) as caught:
        check_floats(values, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_are_copied_without_a_warning(dtype):
    given = torch.ones(3, dtype=dtype)
    floats = check_floats(given, "x")
    given[0] = 0
    assert floats.dtype == np.float64
    np.testing.assert_array_equal(floats, [1.0, 1.0, 1.0])


def test_masked_arrays_without_masked_entries_are_copied():
    given = np.ma.masked_array([1.0, 2.0], mask=False)
    floats = check_floats(given, "x")
    given[0] = 7
    assert type(floats) is np.ndarray
    np.testing.assert_array_equal(floats, [1.0, 2.0])

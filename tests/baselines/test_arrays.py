"""Arrays come back as finite floats of one shape, or the message says what was wrong with them."""

import numpy as np
import pytest

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
    (np.eye(3), 3, None, "argmax"),
    (["a", "b"], 2, None, "y must be an array of numbers"),
])  # fmt: skip
def test_bad_labels(y, count, classes, message):
    with pytest.raises(InputError, match=message):
        check_labels(y, count, classes=classes)

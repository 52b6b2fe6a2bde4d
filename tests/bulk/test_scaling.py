"""Inputs divided by a number, block by block."""

import numpy as np
import pytest

from bulk import made
from bulk.made import assert_predicted, stopping_after, write_npy
from mcdrop import InputError
from mcdrop.bulk import DividedBy, predict_file


@pytest.mark.parametrize(
    ("kind", "expected"), [("u1", "f4"), ("i8", "f4"), ("?", "f4"), ("f2", "f2"), ("f4", "f4"), ("f8", "f8")]
)
def test_whole_numbers_become_decimal_and_others_keep_their_type(kind, expected):
    got = DividedBy(2)(np.array([[0, 1]], kind))
    assert got.dtype == expected
    np.testing.assert_array_equal(got, [[0, 0.5]])
    np.testing.assert_array_equal(DividedBy(2)({"a": np.array([3], kind)})["a"], np.array([3], kind) / 2)


@pytest.mark.parametrize("divisor", [0, np.inf, np.nan])
def test_what_nothing_can_be_divided_by_is_refused(divisor):
    with pytest.raises(InputError, match=f"must be divided by a finite number other than 0, got {divisor}"):
        DividedBy(divisor)


def test_a_file_of_bytes_is_predicted_as_what_they_stand_for(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3), np.uint8)
    x, out = write_npy(tmp_path, pixels), tmp_path / "y.h5"
    call = {"passes": 30, "batch_size": 8, "transform": DividedBy(255)}
    with pytest.raises(KeyboardInterrupt):
        predict_file(made.regression(), x, out, execute=stopping_after(1, KeyboardInterrupt()), **call)
    with pytest.raises(InputError, match="got another transform"):
        predict_file(made.regression(), x, out, resume=True, **call | {"transform": DividedBy(256)})
    predict_file(made.regression(), x, out, resume=True, **call)
    assert_predicted(out, made.regression().predict((pixels / 255).astype(np.float32), passes=30))


@pytest.mark.parametrize("divisor", [1e5, 1e-5, 3.0])
def test_half_precision_is_divided_by_what_it_cannot_hold(divisor):
    x = np.array([0.5, 2.0, 100.0], np.float16) if divisor > 1 else np.array([1e-3, 0.1], np.float16)
    got = DividedBy(divisor)(x)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, (x.astype(np.float64) / divisor).astype(np.float16))


def test_doubles_are_divided_as_doubles():
    np.testing.assert_array_equal(DividedBy(3)(np.array([1.0])), [1 / 3])

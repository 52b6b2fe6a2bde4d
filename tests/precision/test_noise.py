"""Tau and noise are one number in two forms."""

import numpy as np
import pytest

from mcdrop import InputError
from mcdrop.precision import noise_std_from_tau, one_tau, tau_from_noise_std


@pytest.mark.parametrize("tau", [1e-12, 0.25, 1, np.float32(4.0), 1e290])
def test_there_and_back(tau):
    assert tau_from_noise_std(noise_std_from_tau(tau)) == pytest.approx(float(tau))


def test_a_noise_of_two_is_a_precision_of_a_quarter():
    assert tau_from_noise_std(2) == 0.25
    assert noise_std_from_tau(0.25) == 2


def test_either_names_the_noise():
    assert one_tau(4, None) == one_tau(None, 0.5) == 4


@pytest.mark.parametrize(("given", "word"), [((None, None), "neither"), ((1.0, 1.0), "both")])
def test_one_of_them_must_be_given(given, word):
    with pytest.raises(InputError, match=f"needs either tau or noise_std, got {word}"):
        one_tau(*given)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", [1.0], True])
def test_what_is_no_positive_number_is_refused(value):
    for given, name in (((value, None), "tau"), ((None, value), "noise_std")):
        with pytest.raises(InputError, match=f"{name} must be a finite number above 0"):
            one_tau(*given)


@pytest.mark.parametrize("value", [1e-200, 1e200])
def test_noise_whose_square_is_no_number_is_refused(value):
    with pytest.raises(InputError, match=r"noise_std must lie in \(1e-150, 1e\+150\).*choose another unit"):
        tau_from_noise_std(value)

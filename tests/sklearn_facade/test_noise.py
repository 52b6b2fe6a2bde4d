"""The noise of observations: found on rows that the net has not seen, or given and checked."""

import numpy as np
import pytest

from mcdrop import InputError
from mcdrop.sklearn import MCDropoutRegressor

from .made import SIGMA, quick


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_noise_is_found_for_each_output(outputs, one, two):
    model = (one, two)[outputs - 1]
    np.testing.assert_allclose(model.noise_std_, [SIGMA, 50.0][:outputs], rtol=0.35)
    _, std = model.predict([[0.0]], return_std=True)
    assert (std > 0.99 * np.asarray(model.noise_std_)).all()


def test_the_noise_is_found_on_rows_that_the_net_has_not_seen():
    """Of nothing but noise, a net learns by heart what it sees."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    model = MCDropoutRegressor(noise_std="fit", dropout=0.02, steps=300).fit(x, y)
    assert np.sqrt(np.mean((model.predict(x) - y) ** 2)) < 0.3
    assert model.noise_std_ > 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_std": -1.0}, "noise_std must be a standard deviation in units of y"),
        ({"noise_std": "guess"}, "None, or in the constructor 'fit', got 'guess'"),
        ({"noise_std": [0.1, 0.2]}, "one for each output"),
        ({"validation_fraction": "half"}, "validation_fraction must lie strictly between 0 and 1, got 'half'"),
        ({"noise_std": "fit", "validation_fraction": 1.0}, "validation_fraction must lie strictly between 0 and 1"),
    ],
)
def test_noise_is_checked_in_fit(options, message):
    with pytest.raises(InputError, match=message):
        quick(**options).fit([[0.0], [1.0]], [0.0, 1.0])
    assert quick(noise_std="fit", validation_fraction=np.float32(0.5)).fit([[0.0], [1.0]], [0.0, 1.0]).noise_std_ > 0


def test_noise_needs_rows_to_hold_out():
    with pytest.raises(InputError, match="at least 2 rows"):
        quick(noise_std="fit").fit([[0.0]], [1.0])

"""Predictions of batches joined: the prediction of all rows."""

from dataclasses import fields

import numpy as np
import pytest

from mcdrop import InputError, MCDropout
from mcdrop.predictive import at_points

from .made import MARKS, ROWS, X, joined, make_net

pytestmark = MARKS


def test_nothing_and_half_kept_passes_cannot_be_joined():
    with pytest.raises(InputError, match="at least one prediction"):
        joined([])
    model = MCDropout(make_net())
    with pytest.raises(InputError, match="kept by all predictions or by none"):
        joined([model.predict(X, passes=4), model.predict(X, passes=4, keep_samples=True)])


@pytest.mark.parametrize("noise", [None, 0.5, [0.5, 0.1], "each"])
def test_parts_of_a_prediction_joined_are_the_prediction(noise):
    pred = MCDropout(make_net()).predict(X, passes=200, keep_samples=True)
    if noise is not None:
        pred = pred.with_noise(np.linspace(0, 1, 2 * ROWS).reshape(ROWS, 2) if noise == "each" else noise)
    parts = [at_points(pred, np.arange(start, min(start + 9, ROWS))) for start in range(0, ROWS, 9)]
    whole = joined(parts)
    for field in fields(pred):
        one, other = getattr(whole, field.name), getattr(pred, field.name)
        if field.name == "noise_std" and noise is not None:
            one, other = (np.broadcast_to(value, pred.mean.shape) for value in (one, other))
        np.testing.assert_array_equal(one, other)

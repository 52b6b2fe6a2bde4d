"""Predictions of batches joined: the prediction of all rows."""

from dataclasses import fields

import numpy as np
import pytest

from mcdrop import ClassificationPredictive, InputError, MCDropout, RegressionPredictive
from mcdrop.predictive import at_points

from .made import MARKS, ROWS, X, joined, make_net

pytestmark = MARKS


def regression(width=2, kept=0, **fields):
    """Return a prediction of two rows."""
    samples = {"samples": np.zeros((kept, 2, width)), "passes": kept} if kept else {"passes": 10}
    return RegressionPredictive(**{"mean": np.zeros((2, width)), "std": np.ones((2, width)), **samples, **fields})


@pytest.mark.parametrize("around", [lambda pred: pred, lambda pred: {"a": pred}])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (regression(kept=10), r"regression of shape \(2,\) per row at first .* with samples of 10 passes at place 1"),
        (regression(width=3), r"regression of shape \(3,\) per row at place 1; predict all rows with one net"),
        (regression(noise_std=0.1), "per row with noise_std at place 1"),
        (regression(passes=None), "with no number of passes at place 1"),
        (ClassificationPredictive.from_probs([[0.5, 0.5]]), r"classification of shape \(2,\) per row at place 1"),
        ({"b": regression()}, r"a dict of \['b'\] at place 1"),
        (3, "joined needs predictions, or dicts of them, got int"),
        (RegressionPredictive(0.0, 1.0), "of a single number; give it an axis of rows"),
    ],
)
def test_only_predictions_that_are_alike_are_joined(other, message, around):
    one = regression()
    with pytest.raises(InputError, match=message):
        joined([around(one), around(other)])
    with pytest.raises(InputError):
        joined([around(other), around(one)])


def test_targets_and_numbers_of_kept_passes_are_the_same_everywhere():
    with pytest.raises(InputError, match=r"samples of 10 passes at first .* samples of 20 passes at place 2"):
        joined([regression(kept=10), regression(kept=10), regression(kept=20)])
    with pytest.raises(InputError, match=r"a dict of \['a'\] at first and a dict of \['a', 'b'\]"):
        joined([{"a": regression()}, {"b": regression(), "a": regression()}])
    with pytest.raises(InputError, match="at least one prediction"):
        joined([])


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

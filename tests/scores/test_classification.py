"""Scores of a classification against their formulas and limits, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from mcdrop import InputError, scores

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(4), size=50)
Y = RNG.integers(4, size=50)


def test_correct_compares_the_most_probable_class_and_takes_the_first_of_equals():
    np.testing.assert_array_equal(scores.correct(Y, PROBS), PROBS.argmax(1) == Y)
    assert scores.correct([0, 1], [[0.5, 0.5], [0.5, 0.5]]).tolist() == [True, False]


def test_nll_is_minus_the_log_of_the_true_class_as_in_scikit_learn():
    nll = scores.categorical_nll(Y, PROBS)
    np.testing.assert_allclose(nll, [-math.log(p[k]) for p, k in zip(PROBS, Y, strict=True)])
    assert nll.mean() == pytest.approx(log_loss(Y, PROBS, labels=range(4)))


@pytest.mark.parametrize("k", [2, 3, 10])
def test_a_uniform_prediction_scores_log_k_and_1_minus_1_over_k(k):
    uniform = np.full((1, k), 1 / k)
    assert scores.categorical_nll([0], uniform) == pytest.approx(math.log(k))
    assert scores.brier([0], uniform) == pytest.approx(1 - 1 / k)


def test_nll_and_brier_at_their_ends():
    sure = np.eye(3)
    assert scores.brier([0, 1, 0], sure).tolist() == [0, 0, 2]
    nll = scores.categorical_nll([0, 1, 0], sure)
    assert nll.tolist() == [0, 0, math.inf]
    assert not np.signbit(nll).any()


def test_brier_is_the_sum_of_squares_over_all_classes():
    np.testing.assert_allclose(scores.brier(Y, PROBS), ((PROBS - np.eye(4)[Y]) ** 2).sum(1))


def test_a_small_brier_score_has_no_rounding_of_larger_numbers():
    miss = 1e-9
    assert scores.brier([1], [[miss, 1 - miss]])[0] == pytest.approx(2 * miss**2, rel=1e-6)


def test_brier_of_ten_forecasts_of_rain_worked_by_hand():
    """Rain at 70, 90, 80, 40, 20, 0, 0, 0, 0 and 10 percent; it rained on the 2nd, 3rd and 4th day."""
    rain = np.array([0.7, 0.9, 0.8, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0, 0.1])
    fell = np.array([0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert scores.brier(fell, np.stack([1 - rain, rain], axis=1)).mean() == pytest.approx(0.19)


@given(st.floats(0.02, 0.98))
def test_both_scores_are_proper(truth):
    """Of all forecasts, the true probability has the least expected score."""
    told = np.linspace(0.01, 0.99, 99)
    probs = np.stack([1 - told, told], axis=1)
    ones, zeros = np.ones(99, dtype=int), np.zeros(99, dtype=int)
    for score in (scores.brier, scores.categorical_nll):
        expected = truth * score(ones, probs) + (1 - truth) * score(zeros, probs)
        assert told[expected.argmin()] == pytest.approx(truth, abs=0.0101)


def test_dense_predictions_have_one_score_per_pixel():
    probs = np.random.default_rng(1).dirichlet(np.ones(3), size=(2, 4, 5))
    labels = np.zeros((2, 4, 5), dtype=int)
    for score in (scores.correct, scores.brier, scores.categorical_nll):
        assert score(labels, probs).shape == (2, 4, 5)


@pytest.mark.parametrize("score", [scores.correct, scores.brier, scores.categorical_nll, scores.reliability_curve])
@pytest.mark.parametrize(
    ("y", "probs", "message"),
    [
        ([0, 4], PROBS[:2], "labels from 0 to 3, the columns of probs, got 0 to 4"),
        ([-1, 0], PROBS[:2], "labels from 0 to 3, the columns of probs, got -1 to 0"),
        ([0, 1, 2], PROBS[:2], r"one label per point, shape \(2,\), got \(3,\)"),
        (np.eye(4, dtype=int)[:2], PROBS[:2], r"class numbers, not one-hot rows"),
        ([0.0, 1.0], PROBS[:2], "integer labels, got dtype float64"),
        ([0, [1]], PROBS[:2], "y must be an array of integer labels, got list"),
        ([0, 1], [[0.5, math.nan], [0.5, 0.5]], "probs must be finite, got 1 NaN"),
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], r"probs must lie in \[0, 1\], got -1 to 2; pass softmax output"),
        ([0, 1], [[0.5, 0.9], [0.5, 0.5]], "probs must sum to 1 over the last axis, got a sum of 1.4"),
        ([0, 1], [0.5, 0.5], r"probs must have shape \(N, K\), got \(2,\)"),
    ],
)
def test_bad_input_is_refused(score, y, probs, message):
    with pytest.raises(InputError, match=message):
        score(y, probs)

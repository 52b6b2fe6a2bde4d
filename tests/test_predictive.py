"""Result types: intervals, noise, shapes, and what they refuse."""

from dataclasses import FrozenInstanceError
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcdrop import ClassificationPredictive, InputError, RegressionPredictive

MEAN, STD = np.array([[0.0, 10.0], [-3.0, 1.0], [2.0, 5.0]]), np.array([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])


def gaussian(**options):
    return RegressionPredictive(mean=MEAN, std=STD, **({"passes": 100} | options))


@given(st.floats(0.001, 0.999))
def test_quantiles_of_a_gaussian(q):
    expected = [
        [NormalDist(m, s).inv_cdf(q) if s else m for m, s in zip(*row, strict=True)]
        for row in zip(MEAN, STD, strict=True)
    ]
    np.testing.assert_allclose(gaussian().quantile(q), expected, rtol=1e-9)


def test_quantiles_of_many_probabilities_come_first_in_shape():
    assert gaussian().quantile([0.1, 0.5, 0.9]).shape == (3, 3, 2)
    assert gaussian().quantile(np.full((4, 5), 0.5)).shape == (4, 5, 3, 2)
    np.testing.assert_array_equal(gaussian().quantile(0.5), MEAN)


def test_ends_of_the_range_are_infinite_but_never_nan():
    lower, upper = gaussian().quantile([0.0, 1.0])
    assert (lower[STD > 0] == -np.inf).all()
    assert (upper[STD > 0] == np.inf).all()
    assert lower[1, 1] == upper[1, 1] == 1.0


@given(st.floats(0.01, 0.98), st.floats(0.005, 0.015))
def test_intervals_are_central_and_nested(level, more):
    inner, outer = gaussian().interval(level), gaussian().interval(level + more)
    np.testing.assert_allclose(inner[0] + inner[1], 2 * MEAN, atol=1e-9)
    assert (outer[0] <= inner[0]).all()
    assert (outer[1] >= inner[1]).all()


def test_an_interval_of_95_percent_is_1_96_standard_deviations_wide():
    lower, upper = gaussian().interval()
    np.testing.assert_allclose((upper - lower)[STD > 0] / (2 * STD[STD > 0]), 1.959963984540054)


def test_kept_samples_give_their_own_quantiles_and_noise_the_gaussians():
    samples = np.random.default_rng(0).exponential(size=(101, 4, 1))
    pred = RegressionPredictive(samples.mean(0), samples.std(0, ddof=1), passes=101, samples=samples)
    np.testing.assert_allclose(pred.quantile(0.5), np.sort(samples, axis=0)[50])
    lower, upper = pred.interval(0.8)
    inside = ((samples >= lower) & (samples <= upper)).mean(0)
    np.testing.assert_allclose(inside, 0.8, atol=0.02)
    assert (lower >= 0).all()  # a Gaussian would go below
    noisy = pred.quantile(0.5, noise_std=0.0)
    np.testing.assert_allclose(noisy, pred.mean)


def test_noise_adds_in_variance():
    np.testing.assert_allclose(gaussian().total_std(2.0) ** 2, STD**2 + 4)
    np.testing.assert_allclose(gaussian(noise_std=2.0).total_std(), gaussian().total_std(2.0))
    np.testing.assert_allclose(gaussian(noise_std=2.0).total_std(0.0), STD)
    np.testing.assert_allclose(gaussian().total_std([1.0, 0.0]) ** 2, STD**2 + [1, 0])
    wide = gaussian().interval(0.5, noise_std=2.0)
    np.testing.assert_allclose((wide[1] - wide[0]) / gaussian().total_std(2.0), 2 * NormalDist().inv_cdf(0.75))


def test_standard_error_falls_with_the_root_of_t_and_vanishes_for_a_closed_form():
    np.testing.assert_allclose(gaussian(passes=400).mcse, STD / 20)
    assert (gaussian(passes=None).mcse == 0).all()


def test_length_is_the_number_of_points():
    assert len(gaussian()) == 3
    assert len(classification()) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.total_std(), "pass noise_std"),
        (lambda p: p.total_std(-1.0), "noise_std must be >= 0, got -1"),
        (lambda p: p.total_std(float("nan")), "noise_std must be >= 0, got nan"),
        (lambda p: p.total_std(np.ones(3)), r"must broadcast to the mean's shape \(3, 2\), got shape \(3,\)"),
        (lambda p: p.total_std(np.ones((5, 3, 2))), r"must broadcast to the mean's shape"),
        (lambda p: p.quantile(1.1), r"q must lie in \[0, 1\]"),
        (lambda p: p.quantile([0.5, float("nan")]), r"q must lie in \[0, 1\]"),
        (lambda p: p.interval(0.0), "strictly between 0 and 1"),
        (lambda p: p.interval(1.0), "strictly between 0 and 1"),
        (lambda p: p.interval(95), "strictly between 0 and 1"),
        (lambda p: RegressionPredictive(MEAN, STD[:2]), r"must have one shape, got \(3, 2\) and \(2, 2\)"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(gaussian())
    assert "\n" not in str(caught.value)


def test_noise_of_one_column_does_not_spread_over_points_by_accident():
    """(N,) noise with (N, 1) means would broadcast to (N, N)."""
    pred = RegressionPredictive(np.zeros((3, 1)), np.ones((3, 1)))
    with pytest.raises(InputError, match="must broadcast"):
        pred.total_std(np.ones(3))


def test_results_are_frozen_and_compare_by_identity():
    pred = gaussian()
    with pytest.raises(FrozenInstanceError):
        pred.mean = MEAN
    assert pred == pred
    assert pred != gaussian()
    assert len({pred, pred, classification()}) == 2


def classification(samples=None, seed=0):
    logits = 2 * np.random.default_rng(seed).standard_normal((30, 4, 3)) if samples is None else samples
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return ClassificationPredictive(
        probs=probs.mean(0),
        probs_std=probs.std(0, ddof=1),
        logit_mean=logits.mean(0),
        logit_std=logits.std(0, ddof=1),
        votes=np.stack([np.bincount(column, minlength=3) for column in logits.argmax(-1).T]),
        expected_entropy=-(probs * np.log(probs)).sum(-1).mean(0),
        passes=len(logits),
        samples=logits,
    )


def test_classification_measures_follow_from_the_passes():
    pred = classification()
    probs = np.exp(pred.samples) / np.exp(pred.samples).sum(-1, keepdims=True)
    np.testing.assert_allclose(pred.prob_samples, probs)
    entropy = -(pred.probs * np.log(pred.probs)).sum(-1)
    np.testing.assert_allclose(pred.entropy, entropy)
    # The mutual information is the mean Kullback-Leibler divergence of the passes from their mean.
    np.testing.assert_allclose(pred.mutual_information, (probs * np.log(probs / pred.probs)).sum(-1).mean(0))
    np.testing.assert_allclose(pred.mutual_information + pred.expected_entropy, entropy)
    winners = pred.samples.argmax(-1)
    mode = np.array([np.bincount(column).argmax() for column in winners.T])
    np.testing.assert_allclose(pred.variation_ratio, (winners != mode).mean(0))
    np.testing.assert_array_equal(pred.labels, pred.probs.argmax(-1))
    np.testing.assert_allclose(pred.mcse, pred.probs_std / np.sqrt(30))


def test_huge_logits_give_probabilities_not_nan():
    pred = classification()
    huge = ClassificationPredictive(
        pred.probs,
        pred.probs_std,
        pred.logit_mean,
        pred.logit_std,
        pred.votes,
        pred.expected_entropy,
        30,
        1e4 * pred.samples,
    )
    np.testing.assert_allclose(huge.prob_samples.sum(-1), 1)


def test_without_samples_there_are_no_probability_samples():
    pred = classification()
    bare = ClassificationPredictive(
        pred.probs, pred.probs_std, pred.logit_mean, pred.logit_std, pred.votes, pred.expected_entropy, 30
    )
    assert bare.prob_samples is None

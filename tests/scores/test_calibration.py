"""Coverage and reliability: calibrated models, those that are not, ties, and few points."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mcdrop import InputError, scores


def binary(confidence):
    """Return probabilities of two classes of which the first is the answer."""
    confidence = np.asarray(confidence, dtype=float)
    return np.stack([confidence, 1 - confidence], axis=-1)


def test_coverage_of_evenly_spread_pits_is_nominal():
    curve = scores.coverage_curve((np.arange(1000) + 0.5) / 1000)
    np.testing.assert_allclose(curve.observed, curve.nominal, atol=1e-12)
    np.testing.assert_allclose(curve.nominal, np.arange(1, 20) / 20)
    assert curve.error == pytest.approx(0, abs=1e-12)
    assert curve.count == 1000


def test_coverage_counts_the_central_intervals_that_hold_the_truth():
    rng = np.random.default_rng(0)
    y, mean, std = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), rng.uniform(0.5, 2, size=(50, 2))
    curve = scores.coverage_curve(scores.pit(y, mean, std=std), levels=[0.95, 0.5])
    assert curve.nominal.tolist() == [0.5, 0.95]
    for level, observed in zip(curve.nominal, curve.observed, strict=True):
        z = stats.norm.ppf((1 + level) / 2)
        inside = scores.covered(y, lower=mean - z * std, upper=mean + z * std)
        assert observed == inside.mean()


def test_the_ends_of_a_central_interval_belong_to_it():
    assert scores.coverage_curve([0.25, 0.75, 0.8], levels=[0.5]).observed == pytest.approx([2 / 3])


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_spread_that_is_off_by_a_factor_shows_its_closed_form(factor):
    y = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    curve = scores.coverage_curve(scores.pit(y, np.zeros_like(y), std=factor))
    expected = 2 * stats.norm.cdf(factor * stats.norm.ppf((1 + curve.nominal) / 2)) - 1
    np.testing.assert_allclose(curve.observed, expected, atol=2e-4)
    assert curve.error == pytest.approx(np.abs(expected - curve.nominal).mean(), abs=2e-4)


def test_a_correct_model_covers_within_the_binomial_error():
    count = 10_000
    y = np.random.default_rng(1).normal(size=count)
    curve = scores.coverage_curve(scores.pit(y, np.zeros(count), std=1.0))
    error = np.sqrt(curve.nominal * (1 - curve.nominal) / count)
    assert (np.abs(curve.observed - curve.nominal) < 4 * error).all()


def test_bins_hold_equally_many_points_and_the_error_is_the_sum_over_them():
    rng = np.random.default_rng(2)
    probs, y = rng.dirichlet(np.ones(5), size=1003), rng.integers(5, size=1003)
    curve = scores.reliability_curve(y, probs)
    assert len(curve.count) == 15
    assert curve.count.sum() == 1003
    assert np.ptp(curve.count) <= 1
    right, sure = (probs.argmax(1) == y)[probs.max(1).argsort()], np.sort(probs.max(1))
    cuts = np.concatenate([[0], curve.count.cumsum()])
    error = 0.0
    for k, (start, stop) in enumerate(pairwise(cuts)):
        assert curve.accuracy[k] == pytest.approx(right[start:stop].mean())
        assert curve.confidence[k] == pytest.approx(sure[start:stop].mean())
        error += abs(right[start:stop].sum() - sure[start:stop].sum()) / 1003
    assert curve.error == pytest.approx(error)


def test_a_model_that_is_right_as_often_as_it_says_has_no_error():
    confidence = np.repeat([0.6, 0.8, 1.0], 10)
    wrong = np.r_[np.arange(10) < 4, np.arange(10) < 2, np.zeros(10, dtype=bool)]
    curve = scores.reliability_curve(wrong.astype(int), binary(confidence))
    assert curve.error == pytest.approx(0, abs=1e-12)
    assert curve.count.tolist() == [10, 10, 10]
    np.testing.assert_allclose(curve.accuracy, [0.6, 0.8, 1.0])


def test_one_confidence_is_one_bin_and_its_error_the_gap():
    curve = scores.reliability_curve([0, 0, 0, 1], binary(np.full(4, 0.9)))
    assert curve.count.tolist() == [4]
    assert curve.error == pytest.approx(0.15)


@given(st.integers(2, 60), st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter_and_ties_stay_together(count, bins, random):
    confidence = np.array([random.choice([0.5, 0.6, 0.75, 0.9, 1.0]) for _ in range(count)])
    y = np.array([random.randint(0, 1) for _ in range(count)])
    order = np.array(random.sample(range(count), count))
    one, other = (
        scores.reliability_curve(a, binary(b), bins=bins) for a, b in ((y, confidence), (y[order], confidence[order]))
    )
    np.testing.assert_array_equal(one.count, other.count)
    assert one.error == pytest.approx(other.error)
    assert len(one.count) <= min(bins, len(np.unique(confidence)))
    assert (one.count > 0).all()
    assert (np.diff(one.confidence) > 0).all()
    assert one.error <= np.abs(one.accuracy - one.confidence).max() + 1e-12


@pytest.mark.parametrize("count", [1, 2, 7, 14])
def test_fewer_points_than_bins_get_one_bin_each(count):
    curve = scores.reliability_curve(np.zeros(count, dtype=int), binary(np.linspace(0.5, 0.9, count)))
    assert curve.count.tolist() == [1] * count


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores.coverage_curve([0.5, 1.2]), r"pit must lie in \[0, 1\], got 0.5 to 1.2"),
        (lambda: scores.coverage_curve([math.nan]), "pit must be finite"),
        (lambda: scores.coverage_curve([0.5], levels=[]), "at least one nominal coverage"),
        (lambda: scores.coverage_curve([0.5], levels=[95]), "strictly between 0 and 1, got 95"),
        (
            lambda: scores.coverage_curve([0.5], levels=0.95),
            r"levels must be a list .*, got 0.95; for 95% pass \[0.95\]",
        ),
        (lambda: scores.coverage_curve([0.5], levels=None), "levels must be a list of nominal coverages, got None"),
        (lambda: scores.reliability_curve([0], [[1.0, 0.0]], bins=0), "bins must be an integer of at least 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

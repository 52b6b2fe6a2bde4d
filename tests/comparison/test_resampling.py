"""The bootstrap: a statistic of weights is that of the repeated points, and its spread the standard error."""

import math

import numpy as np
import pytest
from scipy import stats

from mcdrop import scores
from mcdrop.comparison import resampling
from mcdrop.comparison.resampling import (
    auroc_of,
    calibration_of,
    ece_of,
    kept_accuracy_of,
    mean_of,
    replicate,
    resample,
    root_mean_of,
)

POINTS = 60
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=POINTS)
TIED = RNG.integers(0, 8, size=POINTS) / 8.0
RIGHT = RNG.random(POINTS) < 0.7
PIT = RNG.random((POINTS, 2))
CONFIDENCE = np.r_[RNG.uniform(0.5, 1.0, size=POINTS - 20), np.full(20, 1.0)]
BINARY = np.stack([CONFIDENCE, 1 - CONFIDENCE], axis=1)
LABELS = (~RIGHT).astype(int)  # the answer is class 0

ORACLES = {
    "mean": (mean_of(VALUES), lambda i: VALUES[i].mean()),
    "root mean": (root_mean_of(VALUES**2), lambda i: math.sqrt((VALUES[i] ** 2).mean())),
    "calibration": (
        calibration_of(PIT, [0.25, 0.5, 0.9]),
        lambda i: scores.coverage_curve(PIT[i], levels=[0.25, 0.5, 0.9]).error,
    ),
    "ECE": (ece_of(RIGHT, CONFIDENCE, 15), lambda i: scores.reliability_curve(LABELS[i], BINARY[i]).error),
    "ECE, more bins than points": (
        ece_of(RIGHT, CONFIDENCE, 100),
        lambda i: scores.reliability_curve(LABELS[i], BINARY[i], bins=100).error,
    ),
    "AUROC": (auroc_of(VALUES, RIGHT), lambda i: scores.auroc(VALUES[i], RIGHT[i])),
    "AUROC with ties": (auroc_of(TIED, ~RIGHT), lambda i: scores.auroc(TIED[i], ~RIGHT[i])),
    "kept": (
        kept_accuracy_of(RIGHT, VALUES, 0.3),
        lambda i: scores.refusal_curve(RIGHT[i], VALUES[i], shares=[0.3]).accuracy[0],
    ),
    "kept with ties": (
        kept_accuracy_of(RIGHT, TIED, 0.25),
        lambda i: scores.refusal_curve(RIGHT[i], TIED[i], shares=[0.25]).accuracy[0],
    ),
}


def weights_of(points, count):
    return np.concatenate(list(resample(np.arange(points), resamples=count, seed=1)))


@pytest.mark.parametrize("name", ORACLES)
def test_a_statistic_of_weights_is_the_score_of_the_repeated_points(name):
    statistic, oracle = ORACLES[name]
    weights = np.vstack([np.ones((1, POINTS), dtype=np.int64), weights_of(POINTS, 50)])
    expected = [oracle(np.repeat(np.arange(POINTS), row)) for row in weights]
    np.testing.assert_allclose(statistic(weights), expected, rtol=1e-10, atol=1e-12)


def test_resamples_draw_n_points_each_equally_often_whatever_the_block(monkeypatch):
    weights = weights_of(20, 5000)
    assert weights.shape == (5000, 20)
    assert (weights.sum(axis=1) == 20).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=4 / math.sqrt(5000))
    assert weights.var() == pytest.approx(1 - 1 / 20, rel=0.03)  # multinomial
    monkeypatch.setattr(resampling, "_BLOCK", 300)
    np.testing.assert_array_equal(weights_of(20, 5000), weights)


def test_the_standard_error_of_a_mean_is_that_of_the_textbook():
    values = np.random.default_rng(2).normal(5.0, 3.0, size=400)
    value, drawn = replicate([mean_of(values), root_mean_of(values**2)], np.arange(400), resamples=4000, seed=0)
    assert value[0] == pytest.approx(values.mean())
    assert drawn[0].std() == pytest.approx(values.std() / 20, rel=4 / math.sqrt(8000))
    delta = (values**2).std() / 20 / (2 * value[1])  # the root's derivative
    assert drawn[1].std() == pytest.approx(delta, rel=0.07)


def test_the_standard_error_of_the_auroc_is_that_of_its_structural_components():
    """DeLong, DeLong and Clarke-Pearson (1988), https://doi.org/10.2307/2531595."""
    rng = np.random.default_rng(3)
    positive = np.arange(300) < 100
    doubt = rng.normal(size=300) + positive
    drawn = replicate([auroc_of(doubt, positive)], np.arange(300), resamples=4000, seed=0)[1][0]
    above = doubt[positive][:, None] > doubt[~positive]
    deviation = math.sqrt(above.mean(1).var(ddof=1) / 100 + above.mean(0).var(ddof=1) / 200)
    assert drawn.std() == pytest.approx(deviation, rel=0.07)


def test_a_coverage_has_the_binomial_error():
    inside = np.arange(1000) < 900
    drawn = replicate([mean_of(inside)], np.arange(1000), resamples=4000, seed=0)[1][0]
    assert drawn.std() == pytest.approx(math.sqrt(0.9 * 0.1 / 1000), rel=0.06)


def test_what_is_the_same_at_every_point_has_no_error_at_all():
    drawn = replicate([mean_of(np.full(77, 0.1))], np.arange(77), resamples=200, seed=0)[1]
    assert (drawn == 0.1).all()


@pytest.mark.parametrize(("other", "same"), [(0.1 + 0.2, True), (0.3 + 1e-12, False)])
def test_values_that_differ_by_rounding_have_no_error_and_others_do(other, same):
    values = np.where(np.arange(77) % 2, 0.3, other)
    drawn = replicate([mean_of(values)], np.arange(77), resamples=200, seed=0)[1]
    assert (np.ptp(drawn) == 0) == same


def test_an_auroc_is_undefined_in_a_resample_without_positive_points():
    positive = np.arange(50) < 1
    drawn = replicate([auroc_of(np.arange(50.0), positive)], np.arange(50), resamples=2000, seed=0)[1][0]
    missing = np.isnan(drawn).mean()
    assert missing == pytest.approx((1 - 1 / 50) ** 50, abs=4 * math.sqrt(0.25 / 2000))
    assert (drawn[~np.isnan(drawn)] == 0).all()


def test_a_share_refuses_as_many_answers_as_it_says():
    """0.29 x 100 is a little less than 29 in floating point."""
    statistic = kept_accuracy_of(np.arange(100) < 60, np.arange(100.0), 0.29)
    assert statistic(np.ones((1, 100), dtype=np.int64)) == pytest.approx(60 / 71)


def test_equal_shares_are_equal_numbers_wherever_the_points_are():
    first, last = np.arange(400) < 191, np.arange(400) >= 209
    values = replicate([mean_of(first), mean_of(last)], np.arange(400), resamples=100, seed=0)[0]
    assert values.tolist() == [0.4775, 0.4775]


def test_all_statistics_see_the_same_resamples():
    _, drawn = replicate([mean_of(VALUES), mean_of(2 * VALUES + 1)], np.arange(POINTS), resamples=300, seed=0)
    np.testing.assert_allclose(drawn[1], 2 * drawn[0] + 1)
    assert stats.pearsonr(*drawn).statistic == pytest.approx(1)


def test_groups_are_drawn_whole():
    groups = np.repeat(np.arange(30), 4)
    weights = np.concatenate(list(resample(groups, resamples=50, seed=3)))
    np.testing.assert_array_equal(weights.reshape(50, 30, 4), np.repeat(weights[:, ::4, None], 4, axis=2))
    np.testing.assert_array_equal(weights.sum(axis=1), 120)


def test_repeating_every_point_in_a_group_leaves_the_error_as_it_was():
    """Copies are no news: with groups the standard error is that of the originals, without it is halved."""
    values = np.random.default_rng(5).normal(size=500)
    copies, groups = np.repeat(values, 4), np.repeat(np.arange(500), 4)
    honest = replicate([mean_of(copies)], groups, resamples=4000, seed=0)[1].std()
    naive = replicate([mean_of(copies)], np.arange(2000), resamples=4000, seed=0)[1].std()
    assert honest == pytest.approx(values.std() / math.sqrt(500), rel=0.05)
    assert naive == pytest.approx(honest / 2, rel=0.05)


@pytest.mark.parametrize("name", ORACLES)
def test_with_groups_of_several_sizes_a_statistic_is_that_of_the_points_drawn(name):
    statistic, oracle = ORACLES[name]
    groups = np.minimum(np.arange(POINTS) // 7, 6)
    for weights in np.concatenate(list(resample(groups, resamples=20, seed=2))):
        repeated = np.repeat(np.arange(POINTS), weights)
        value = statistic(weights[None])[0]
        assert value == pytest.approx(oracle(repeated), abs=1e-12)

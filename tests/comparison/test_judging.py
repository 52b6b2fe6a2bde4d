"""Judging: who is best, who is within noise, in every direction and with gaps."""

import numpy as np
import pytest
from scipy import stats

from mcdrop.comparison.judging import judge, noise_limit


def one(values, replicates, direction, units=10**9):
    tables = (np.array(array, dtype=float)[:, None] for array in (values, replicates))
    judgment = judge(*tables, [direction], units=units)
    return judgment.errors[:, 0], judgment.best[:, 0].tolist(), judgment.tied[:, 0].tolist()


def paired(values, difference, count=400, seed=0):
    """Replicates that share a large spread and differ by a small one."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=count)
    return [value + common + difference * rng.normal(size=count) * (k > 0) for k, value in enumerate(values)]


@pytest.mark.parametrize(
    ("direction", "best"),
    [
        ("lower", [True, False, False]),
        ("higher", [False, False, True]),
        (2.1, [False, True, False]),
        (None, [False] * 3),
    ],
)
def test_the_best_depends_on_the_direction(direction, best):
    values = [1.0, 2.0, 3.0]
    assert one(values, np.array(values)[:, None] + np.zeros((3, 100)), direction)[1] == best


def test_errors_are_standard_deviations_over_resamples():
    replicates = np.random.default_rng(0).normal(size=(2, 500)) * [[1.0], [3.0]]
    np.testing.assert_allclose(one([0, 0], replicates, "lower")[0], replicates.std(axis=1, ddof=1))


@pytest.mark.parametrize(("gap", "tied"), [(0.15, True), (0.25, False)])
def test_noise_is_two_standard_errors_of_the_paired_difference_and_not_of_the_values(gap, tied):
    """The values' own errors are 1, the error of their difference is 0.1."""
    values = [1.0, 1.0 + gap]
    errors, best, within = one(values, paired(values, 0.1), "lower")
    assert errors == pytest.approx(1, rel=0.1)
    assert (best, within) == ([True, False], [False, tied])


def test_a_target_is_approached_from_both_sides():
    values = [0.94, 0.965, 0.5]
    replicates = np.array(values)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(3, 400))
    _, best, tied = one(values, replicates, 0.95)
    assert (best, tied) == ([True, False, False], [False, True, False])


def test_equal_models_are_equally_best_and_not_tied():
    replicates = np.tile(np.random.default_rng(0).normal(size=100), (2, 1))
    assert one([1, 1], replicates, "lower")[1:] == ([True, True], [False, False])


def test_a_model_without_the_score_is_left_out():
    replicates = np.random.default_rng(0).normal(size=(3, 100))
    replicates[0] = np.nan
    errors, best, tied = one([np.nan, 1, 9], replicates, "lower")
    assert np.isnan(errors).tolist() == [True, False, False]
    assert (best, tied) == ([False, True, False], [False, False, False])


def test_infinity_is_worse_than_any_number_and_never_within_noise():
    replicates = np.random.default_rng(0).normal(size=(2, 100))
    replicates[0] = np.nan
    assert one([np.inf, 1], replicates, "lower")[1:] == ([False, True], [False, False])


@pytest.mark.parametrize("values", [[1.0], [np.nan, 1.0], [np.nan, np.nan]])
def test_there_is_no_best_of_fewer_than_two(values):
    _, best, tied = one(values, np.zeros((len(values), 100)), "lower")
    assert not any(best)
    assert not any(tied)


def test_resamples_in_which_a_score_is_undefined_do_not_count():
    rng = np.random.default_rng(0)
    replicates = rng.normal(size=(2, 200))
    replicates[0, :50] = np.nan
    errors, _, _ = one([0, 0.1], replicates, "lower")
    assert errors[0] == pytest.approx(replicates[0, 50:].std(ddof=1))


def test_equal_replicates_have_an_error_of_exactly_zero():
    assert one([0.1], np.full((1, 1000), 0.1), "lower")[0].tolist() == [0.0]


def test_errors_of_few_points_are_widened_to_the_textbooks():
    replicates = np.random.default_rng(0).normal(size=(1, 500))
    assert one([0], replicates, "lower", units=5)[0] == pytest.approx(replicates.std(ddof=1) * np.sqrt(5 / 4))


@pytest.mark.parametrize("units", [2, 10, 200])
def test_the_limit_is_that_of_students_t(units):
    limit, scale = stats.t.ppf(0.975, units - 1), np.sqrt(units / (units - 1))
    assert noise_limit(units) == pytest.approx(limit)
    drawn = np.random.default_rng(0).normal(size=400)
    error = scale * drawn.std(ddof=1)
    for gap, tied in ((0.99 * limit * error, True), (1.01 * limit * error, False)):
        assert one([0, gap], [0 * drawn, drawn], "lower", units)[2] == [False, tied]


@pytest.mark.parametrize(("units", "tied"), [(5, True), (6, False)])
def test_the_same_difference_at_every_one_of_few_points_proves_nothing(units, tied):
    assert one([1, 2], np.array([[1.0], [2.0]]) + np.zeros((2, 100)), "lower", units)[1:] == (
        [True, False],
        [False, tied],
    )


def test_several_infinite_values_are_not_best_and_a_finite_one_among_them_is():
    nothing, some = np.full((2, 100), np.nan), np.random.default_rng(0).normal(size=(1, 100))
    assert one([np.inf, np.inf], nothing, "lower")[1:] == ([False, False], [False, False])
    got = one([np.inf, 1.0, np.inf], np.vstack([nothing[:1], some, nothing[1:]]), "lower")
    assert got[1:] == ([False, True, False], [False] * 3)


def test_a_value_without_error_is_not_judged_and_leaves_the_others_to_be():
    replicates = np.random.default_rng(0).normal(size=(3, 100))
    replicates[0] = np.nan
    assert one([0, 1, 99], replicates, "lower")[1:] == ([False, True, False], [False, False, False])
    assert one([0, 1], replicates[:2], "lower")[1:] == ([False, False], [False, False])


def test_values_that_differ_by_rounding_are_equally_best():
    replicates = np.full((2, 100), 0.3)
    assert one([0.3, 0.1 + 0.2], replicates, "lower")[1] == [True, True]

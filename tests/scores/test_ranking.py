"""AUROC and refusal: counted pairs, ties, limits, and what they refuse."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcdrop import InputError, scores


def test_auroc_of_scikit_learns_example():
    assert scores.auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order_with_ties_for_half(points):
    doubt, positive = (np.array(column) for column in zip(*points, strict=True))
    if positive.all() or not positive.any() or len(set(doubt)) == 1:
        with pytest.raises(InputError):
            scores.auroc(doubt, positive)
        return
    above = doubt[positive][:, None] - doubt[~positive]
    assert scores.auroc(doubt, positive) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert scores.auroc(-doubt, positive) == pytest.approx(1 - scores.auroc(doubt, positive))


def test_refusal_in_a_perfect_order_takes_the_wrong_answers_first():
    right = np.r_[np.ones(8, dtype=bool), np.zeros(2, dtype=bool)]
    curve = scores.refusal_curve(right, np.arange(10.0), shares=[0, 0.1, 0.2, 0.5])
    np.testing.assert_allclose(curve.accuracy, [0.8, 8 / 9, 1, 1])
    worst = scores.refusal_curve(right, -np.arange(10.0), shares=[0.5])
    np.testing.assert_allclose(worst.accuracy, [0.6])


def test_a_constant_uncertainty_refuses_at_random():
    right = np.random.default_rng(0).random(97) < 0.7
    np.testing.assert_allclose(scores.refusal_curve(right, np.ones(97)).accuracy, right.mean())


def test_equal_uncertainties_are_refused_in_the_average_over_their_orders():
    right, doubt = np.array([1, 1, 0, 1, 0]), np.array([0, 1, 1, 1, 2])
    for share, kept in ((0.4, 3), (0.6, 2), (0.2, 4)):
        means = []
        for order in permutations(range(5)):
            if all(doubt[a] <= doubt[b] for a, b in pairwise(order)):
                means.append(right[list(order)][:kept].mean())
        curve = scores.refusal_curve(right, doubt, shares=[share])
        assert curve.accuracy == pytest.approx(np.mean(means))


def test_a_share_refuses_as_many_answers_as_it_says():
    """0.29 x 100 is a little less than 29 in floating point."""
    right = np.arange(100) < 60
    for count in range(100):
        accuracy = scores.refusal_curve(right, np.arange(100.0), shares=[count / 100]).accuracy
        assert accuracy == pytest.approx(min(60, 100 - count) / (100 - count))


def test_one_answer_at_least_is_kept():
    assert scores.refusal_curve([True, False], [0.0, 1.0], shares=[1 - 1e-11]).accuracy.tolist() == [1.0]


def test_the_standard_shares_go_from_nothing_to_95_percent():
    curve = scores.refusal_curve([True, False], [0.0, 1.0])
    np.testing.assert_allclose(curve.refused, np.arange(20) / 20)
    assert curve.accuracy[0] == 0.5
    assert curve.accuracy[-1] == 1.0


RNG = np.random.default_rng(0)
ERRORS, DOUBT = RNG.normal(size=40), RNG.permutation(40).astype(float)


def rmse(errors, doubt, **options):
    return scores.refused_error_curve(errors, doubt, **options).rmse


def test_the_errors_kept_are_those_of_the_most_certain():
    shares = [0, 0.29, 0.5, 0.975]
    kept = [40, 29, 20, 1]  # 40 - floor(0.29 * 40) = 40 - 11
    ranked = ERRORS[np.argsort(DOUBT)]
    expected = [np.sqrt(np.mean(ranked[:count] ** 2)) for count in kept]
    np.testing.assert_allclose(rmse(ERRORS, DOUBT, shares=shares), expected)


def test_errors_of_equally_uncertain_points_count_by_their_average_over_all_orders():
    errors, doubt = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 2.0, 2.0, 2.0])
    squares = [np.mean(errors[[0, *order]][:2] ** 2) for order in permutations([1, 2, 3])]
    assert rmse(errors, doubt, shares=[0.5]) == pytest.approx(np.sqrt(np.mean(squares)))
    shuffled = [2, 0, 3, 1]
    np.testing.assert_allclose(rmse(errors[shuffled], doubt[shuffled]), rmse(errors, doubt))


def test_an_uncertainty_that_knows_all_makes_the_error_fall_and_a_constant_leaves_it_as_it_is():
    assert (np.diff(rmse(ERRORS, np.abs(ERRORS))) < 0).all()
    np.testing.assert_allclose(rmse(ERRORS, np.ones(40)), np.sqrt(np.mean(ERRORS**2)))
    assert rmse(10 * ERRORS, DOUBT) == pytest.approx(10 * rmse(ERRORS, DOUBT))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores.auroc([1.0, 2.0], [1, 1]), r"got 2 positive one\(s\); it is undefined"),
        (lambda: scores.auroc([1.0, 2.0], [0, 0]), r"got 2 negative one\(s\); it is undefined"),
        (lambda: scores.auroc([0.0, 0.0], [0, 1]), "uncertainty must vary, got 0 at all 2 points"),
        (lambda: scores.auroc([0.0, 1.0, 2.0], [0, 1]), r"shape of positive, \(2,\), got \(3,\)"),
        (lambda: scores.auroc([0.0, np.nan], [0, 1]), "uncertainty must be finite"),
        (lambda: scores.auroc([0.0, 1.0], [0, 2]), "positive must be True or False"),
        (lambda: scores.auroc([[0.0], [1.0]], [[0], [1]]), r"shape \(N,\), got shape \(2, 1\)"),
        (lambda: scores.refusal_curve([0, 1], [0.0, 1.0], shares=[1.0]), "refusing every answer"),
        (lambda: scores.refusal_curve([0, 1], [0.0, 1.0], shares=[-0.1]), "from 0 to below 1, got -0.1"),
        (lambda: scores.refusal_curve([0, 1], [0.0, 1.0], shares=[]), "at least one value"),
        (lambda: scores.refusal_curve([0, 1], [0.0, 1.0], shares=0.2), r"shares must be a list .* got 0.2; .* \[0.2\]"),
        (lambda: scores.refusal_curve([0, 1], [0.0, 1.0], shares=None), "shares must be an array of real numbers"),
        (lambda: scores.refusal_curve([0, 3], [0.0, 1.0]), "right must be True or False"),
        (lambda: scores.refused_error_curve([0, 3], [0.0]), r"one shape \(N,\), got \(2,\) and \(1,\)"),
        (lambda: scores.refused_error_curve([[0, 3]], [[0.0, 1]]), r"one shape \(N,\), got \(1, 2\)"),
        (lambda: scores.refused_error_curve([0, np.inf], [0.0, 1]), "errors must be finite"),
        (lambda: scores.refused_error_curve([0, 3], [np.nan, 1]), "uncertainty must be finite"),
        (lambda: scores.refused_error_curve([0, 3], [0.0, 1], shares=[0, 1]), "from 0 to below 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Orderings: closed forms of the two-way table, false verdicts under the null, power, and Holm's rule by hand."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from mcdrop.demos.regularization.orderings import (
    Ordering,
    adjust,
    compare_errors,
    mean_error,
    spread_errors,
    state_orderings,
)
from mcdrop.errors import InputError

TITLES = {"a": "LeNet with 50% dropout", "b": "LeNet without dropout"}


def pair(**changes):
    known = {"difference": 12.34, "error": 3.1, "dof": 8.0, "p_value": 0.002, "p_adjusted": 0.004, "supported": True}
    return Ordering("a", "b", **(known | changes))


def draw_wrong(rng, *, count, repeats, digits, seeds, better=0.0):
    """Draw two nets' errors: digits are hard for both, hard for one of them, and seeds shift a whole repeat.

    Args:
        rng: Source of the draws.
        count: How often to draw both.
        repeats: Number of repeats R.
        digits: Number of digits N.
        seeds: Standard deviation of a seed's shift, in logits.
        better: By how much the second net is better, in logits.

    Returns:
        Shape (2, count, R, N).
    """
    hard = -3.5 + 2.0 * rng.standard_normal((count, 1, digits))
    own = rng.standard_normal((2, count, 1, digits))
    cell = rng.standard_normal((2, count, repeats, digits))
    shift = seeds * rng.standard_normal((2, count, repeats, 1)) - better * np.arange(2)[:, None, None, None]
    return rng.random((2, count, repeats, digits)) < 1 / (1 + np.exp(-(hard + own + cell + shift)))


def p_values(differences):
    mean, error, dof = mean_error(differences)
    return 2 * t.sf(abs(mean) / error, dof)


# The error of a mean


def test_additive_table_in_closed_form():
    """d = a_i + b_r without a residual: MS_a = R var(a), MS_b = N var(b), MS_e = 0."""
    a, b = np.array([-1.0, 0.0, 1.0, 2.0]), np.array([-0.5, 0.5, 3.0])
    mean, error, dof = mean_error(a + b[:, None])
    variance = [a.var(ddof=1) / 4, b.var(ddof=1) / 3]
    assert mean == pytest.approx(a.mean() + b.mean())
    assert error**2 == pytest.approx(sum(variance))
    assert dof == pytest.approx(sum(variance) ** 2 / (variance[0] ** 2 / 3 + variance[1] ** 2 / 2))


def test_worked_table():
    """Two repeats of three digits, [[1, 0, 0], [0, 1, 1]]: MS_a = 0, MS_b = 1/6, MS_e = 2/3, so the last counts."""
    mean, error, dof = mean_error(np.array([[1, 0, 0], [0, 1, 1]]))
    assert mean == pytest.approx(0.5)
    assert error**2 == pytest.approx(2 / 3 / 6)
    assert dof == pytest.approx((2 / 3) ** 2 / (1 / 36 + (2 / 3) ** 2 / 2))


def test_a_residual_beside_both_effects_is_taken_off_once():
    rng = np.random.default_rng(0)
    table = 2 * rng.standard_normal(50) + rng.standard_normal((4, 1)) + rng.standard_normal((4, 50))
    a, b = table.mean(0), table.mean(1)
    rest = table - a - b[:, None] + table.mean()
    squares = 4 * a.var(ddof=1), 50 * b.var(ddof=1), (rest**2).sum() / (3 * 49)
    _, error, dof = mean_error(table)
    scaled = squares[0] + squares[1] - squares[2]
    assert scaled > max(squares)
    assert error**2 == pytest.approx(scaled / 200)
    assert dof == pytest.approx(scaled**2 / (squares[0] ** 2 / 49 + squares[1] ** 2 / 3 + squares[2] ** 2 / 147))


def test_effects_of_one_side_alone_are_the_ordinary_t_test():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(30), rng.standard_normal(4)
    for table, sample in ((np.tile(a, (3, 1)), a), (np.tile(b[:, None], (1, 20)), b), (a[None], a)):
        assert p_values(table) == pytest.approx(ttest_1samp(sample, 0).pvalue)


def test_tables_side_by_side_are_taken_one_by_one():
    tables = np.random.default_rng(2).integers(-1, 2, (5, 3, 40))
    together = mean_error(tables)
    for k, table in enumerate(tables):
        np.testing.assert_allclose([part[k] for part in together], mean_error(table))


# False verdicts, and true ones


@pytest.mark.parametrize("seeds", [0.0, 0.3, 1.0])
def test_nets_of_one_law_are_told_apart_in_about_5_percent(seeds):
    rng = np.random.default_rng(3)
    tables = [draw_wrong(rng, count=100, repeats=3, digits=1000, seeds=seeds) for _ in range(10)]
    a, b = np.concatenate(tables, axis=1).astype(np.int8)
    assert (p_values(a - b) <= 0.05).mean() <= 0.08
    if seeds >= 0.3:  # the digits' error alone takes every seed's luck for a difference
        pooled = (a - b).mean(1, keepdims=True)
        assert (p_values(pooled) <= 0.05).mean() > 0.3


def test_a_real_difference_is_found():
    rng = np.random.default_rng(4)
    a, b = draw_wrong(rng, count=40, repeats=3, digits=1000, seeds=0.1, better=0.8)
    found = [compare_errors({"plain": x, "dropout": y})[0] for x, y in zip(a, b, strict=True)]
    assert np.mean([one.better == "dropout" and bool(one.supported) for one in found]) > 0.8


def test_five_errors_in_4000_digits_are_noise():
    """In every repeat 150 errors against 145, on hard digits of which each net gets some right by chance."""
    rng = np.random.default_rng(5)
    hard = rng.choice(4000, 250, replace=False)
    a, b = np.zeros((2, 3, 4000), dtype=bool)
    for row in range(3):
        a[row, rng.choice(hard, 150, replace=False)] = True
        b[row, rng.choice(hard, 145, replace=False)] = True
    (one,) = compare_errors({"a": a, "b": b})
    assert (one.better, one.difference, one.supported) == ("b", 5, False)


# Pairs


def test_orderings_are_in_digits_with_the_better_net_first():
    rng = np.random.default_rng(6)
    wrong = {name: rng.random((4, 300)) < share for name, share in {"a": 0.3, "b": 0.1, "c": 0.2}.items()}
    pairs = compare_errors(wrong)
    assert [(one.better, one.worse) for one in pairs] == [("b", "a"), ("c", "a"), ("b", "c")]
    for one in pairs:
        differences = wrong[one.worse].astype(int) - wrong[one.better]
        mean, error, dof = map(float, mean_error(differences))
        assert (one.difference, one.error, one.dof) == pytest.approx((300 * mean, 300 * error, dof))
        assert one.p_value == pytest.approx(p_values(differences))
    assert [one.p_adjusted for one in pairs] == adjust([one.p_value for one in pairs])
    assert [one.supported for one in pairs] == [one.p_adjusted <= 0.05 for one in pairs]


def test_the_order_of_the_nets_does_not_matter():
    a, b = np.random.default_rng(7).random((2, 3, 200)) < [[[0.2]], [[0.3]]]
    assert compare_errors({"a": a, "b": b}) == compare_errors({"b": b, "a": a})


def test_holm_by_hand():
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([0.6, 0.5]) == [1.0, 1.0]
    assert adjust([]) == []


def test_equal_nets_are_no_ordering():
    a = np.random.default_rng(8).random((3, 50)) < 0.2
    (one,) = compare_errors({"a": a, "b": a})
    assert one == Ordering("a", "b", 0.0, 0.0, 0.0, 1.0, 1.0, False)
    (other,) = compare_errors({"a": a, "b": a[:, ::-1]})  # as many errors, on other digits
    assert (other.difference, other.p_value, other.supported) == (0.0, 1.0, False)
    assert other.error > 0


def test_a_difference_without_any_spread_is_not_judged_and_takes_no_part_in_the_adjustment():
    never, always = np.zeros((3, 4), dtype=bool), np.ones((3, 4), dtype=bool)
    (one,) = compare_errors({"a": always, "b": never})
    assert one == Ordering("b", "a", 4.0, 0.0, 0.0, None, None, None)
    some = np.array([[True, False, False, False]] * 2 + [[True, True, False, False]])
    pairs = compare_errors({"a": always, "b": never, "c": some})
    assert [one.p_value is None for one in pairs] == [True, False, False]
    assert [one.p_adjusted for one in pairs[1:]] == adjust([one.p_value for one in pairs[1:]])


def test_one_repeat_has_the_error_of_the_digits_and_no_verdict():
    rng = np.random.default_rng(9)
    a, b = rng.random((1, 500)) < 0.3, rng.random((1, 500)) < 0.05
    (one,) = compare_errors({"a": a, "b": b})
    difference = (a.astype(int) - b)[0]
    assert one.error == pytest.approx(500 * difference.std(ddof=1) / 500**0.5)
    assert one.dof == pytest.approx(499)
    assert one.supported is None
    assert one.p_value == pytest.approx(ttest_1samp(difference, 0).pvalue)
    (text,) = state_orderings([one], digits=500)
    assert text.endswith("errors than a in 500 digits (digits' error alone): not judged, one repeat shows nothing of "
                         "the seeds.")  # fmt: skip


def test_a_single_net_has_no_orderings():
    assert compare_errors({"a": np.zeros((2, 5), dtype=bool)}) == ()


# Sentences


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "LeNet with 50% dropout beats LeNet without dropout by 12.3 ± 3.1 errors in 1,000 digits: supported (p = "
         "0.004)."),
        ({"p_adjusted": 1e-5}, "LeNet with 50% dropout beats LeNet without dropout by 12.3 ± 3.1 errors in 1,000 "
         "digits: supported (p < 0.001)."),
        ({"p_adjusted": 0.0521, "supported": False}, "LeNet with 50% dropout makes 12.3 ± 3.1 fewer errors than LeNet "
         "without dropout in 1,000 digits: noise (p = 0.052)."),
        ({"difference": 0.0, "p_adjusted": 1.0, "supported": False}, "LeNet with 50% dropout and LeNet without dropout "
         "make equally many errors in 1,000 digits: noise (p = 1)."),
        ({"p_value": None, "p_adjusted": None, "supported": None, "error": 0.0}, "LeNet with 50% dropout makes 12.3 ± "
         "0.0 fewer errors than LeNet without dropout in 1,000 digits: not judged, all digits and repeats differ alike "
         "and show no error of the difference."),
        ({"supported": None}, "LeNet with 50% dropout makes 12.3 ± 3.1 fewer errors than LeNet without dropout in "
         "1,000 digits (digits' error alone): not judged, one repeat shows nothing of the seeds."),
    ],
)  # fmt: skip
def test_sentences(changes, text):
    assert state_orderings([pair(**changes)], TITLES, digits=1000) == (text,)


def test_without_titles_the_names_are_used():
    assert state_orderings([pair()], digits=10)[0].startswith("a beats b by")
    assert state_orderings([], TITLES, digits=10) == ()


# Spread


def test_spread_of_the_errors_over_repeats():
    wrong = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)
    spread = spread_errors({"a": wrong, "b": ~wrong})
    assert (spread["a"].least, spread["a"].greatest, spread["a"].repeats) == (1, 4, 3)
    assert spread["a"].mean == pytest.approx(7 / 3)
    assert spread["a"].std == pytest.approx(np.std([2, 1, 4], ddof=1))
    assert spread["b"].mean == pytest.approx(5 / 3)
    assert spread_errors({"a": wrong[:1]})["a"].std is None


@pytest.mark.parametrize("function", [compare_errors, spread_errors])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "wrong must map the name of each net .*, got nothing; pass one array per net"),
        ([[True, False]], "wrong must map .*, got list"),
        ({"a": np.zeros((2, 5))}, "got float64 of shape .2, 5. for 'a'; compare the answers with the labels"),
        ({"a": np.zeros(5, dtype=bool)}, r"got bool of shape \(5,\) for 'a'"),
        ({"a": np.zeros((2, 1), dtype=bool)}, r"got bool of shape \(2, 1\) for 'a'"),
        ({"a": np.zeros((0, 5), dtype=bool)}, r"got bool of shape \(0, 5\) for 'a'"),
        (
            {"a": np.zeros((2, 5), dtype=bool), "b": np.zeros((3, 5), dtype=bool)},
            r"the same digits and seeds for all, got \(3, 5\) for 'b' beside \(2, 5\); leave out",
        ),
    ],
)
def test_bad_tables_are_refused(function, wrong, message):
    with pytest.raises(InputError, match=message):
        function(wrong)


def test_sentences_need_a_number_of_digits():
    with pytest.raises(InputError, match="digits must be an integer of at least 1"):
        state_orderings([pair()], digits=0)

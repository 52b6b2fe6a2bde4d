"""Crossed effects: closed forms of the two-way table, false verdicts under the null, power, and Holm's rule by hand."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from mcdrop.demos.regularization.crossed import LEAST, LEVEL, adjust, judge, mean_error, mean_test, state_p


def draw_wrong(rng, *, nets=2, count, repeats, digits, seeds, better=0.0):
    """Draw errors of nets of one law: digits are hard for all, hard for one of them, and seeds shift a whole repeat.

    Args:
        rng: Source of the draws.
        nets: How many nets.
        count: How often to draw them all.
        repeats: Number of repeats R.
        digits: Number of digits N.
        seeds: Standard deviation of a seed's shift, in logits.
        better: By how much each net is better than the one before it, in logits.

    Returns:
        Shape (nets, count, R, N).
    """

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    logits = normal(nets, count, repeats, digits)
    logits += -3.5 + 2.0 * normal(count, 1, digits) + normal(nets, count, 1, digits)
    logits += seeds * normal(nets, count, repeats, 1) - np.float32(better) * np.arange(nets).reshape(-1, 1, 1, 1)
    return rng.random(logits.shape, dtype=np.float32) < 1 / (1 + np.exp(-logits))


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
        assert mean_test(table)[2] == pytest.approx(ttest_1samp(sample, 0).pvalue)


def test_tables_side_by_side_are_taken_one_by_one():
    tables = np.random.default_rng(2).integers(-1, 2, (5, 3, 40))
    together = mean_error(tables)
    for k, table in enumerate(tables):
        np.testing.assert_allclose([part[k] for part in together], mean_error(table))
        mean, error, p = mean_test(table)
        np.testing.assert_allclose([mean, error], [part[k] for part in together[:2]])
        assert p == pytest.approx(p_values(table))


def test_a_mean_of_zero_is_no_surprise_and_one_that_never_varies_has_no_p():
    assert mean_test(np.zeros((3, 4), dtype=int)) == (0.0, 0.0, 1.0)
    mean, error, p = mean_test(np.array([[1, -1, 0, 0]] * 3))
    assert (mean, p) == (0.0, 1.0) and error > 0
    assert mean_test(np.full((3, 4), -1)) == (-1.0, 0.0, None)
    assert [float(part) for part in mean_error(np.full((3, 4), -1))] == [-1.0, 0.0, 0.0]


# False verdicts, and true ones


@pytest.mark.parametrize("seeds", [0.0, 0.3, 1.0])
def test_nets_of_one_law_are_told_apart_in_about_5_percent(seeds):
    rng = np.random.default_rng(3)
    tables = [draw_wrong(rng, count=100, repeats=3, digits=1000, seeds=seeds) for _ in range(8)]
    a, b = np.concatenate(tables, axis=1).astype(np.int8)
    assert (p_values(a - b) <= LEVEL).mean() <= 0.08
    if seeds >= 0.3:  # the digits' error alone takes every seed's luck for a difference
        pooled = (a - b).mean(1, keepdims=True)
        assert (p_values(pooled) <= LEVEL).mean() > 0.3


@pytest.mark.parametrize("seeds", [0.0, 0.3])
def test_a_family_of_nets_of_one_law_has_a_false_verdict_in_about_5_percent(seeds):
    rng = np.random.default_rng(4)
    judged = []
    for _ in range(20):
        a, b, c = draw_wrong(rng, nets=3, count=50, repeats=3, digits=1000, seeds=seeds).astype(np.int8)
        families = p_values(np.stack([a - b, a - c, b - c])).T
        judged += [[judge(p, 3) for p in adjust(family.tolist())] for family in families]
    assert len(judged) == 1000
    assert 0 < np.any(judged, axis=1).mean() <= 0.10


def test_a_real_difference_is_found():
    a, b = draw_wrong(np.random.default_rng(5), count=40, repeats=3, digits=1000, seeds=0.1, better=0.8).astype(np.int8)
    found = [mean_test(difference) for difference in a - b]
    assert np.mean([mean > 0 and judge(p, 3) for mean, _, p in found]) > 0.8


# Verdicts


def test_holm_by_hand():
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([0.6, 0.5]) == [1.0, 1.0]
    assert adjust([0.3]) == [0.3]
    assert adjust([]) == []


def test_a_verdict_takes_three_repeats_and_a_p_value():
    assert LEAST == 3
    assert [judge(1e-12, repeats) for repeats in (1, 2, 3, 10)] == [None, None, True, True]
    assert [judge(p, 3) for p in (0.0, LEVEL, np.nextafter(LEVEL, 1), 1.0, None)] == [True, True, False, False, None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "p unknown"),
        (0.0, "p < 0.001"),
        (0.000999, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.0123, "p = 0.012"),
        (0.0494, "p = 0.049"),
        (0.0496, "p = 0.05"),
        (0.0499999, "p = 0.05"),
        (0.05, "p = 0.05"),
        (0.0504, "p = 0.0504"),
        (0.0500012, "p = 0.050001"),
        (float(np.nextafter(0.05, 1)), "p = 0.05000000000000001"),
        (0.0506, "p = 0.051"),
        (0.994, "p = 0.99"),
        (0.996, "p = 1"),
        (1.0, "p = 1"),
    ],
)
def test_p_values_as_text(value, text):
    assert state_p(value) == text


def test_a_p_value_as_text_is_near_and_on_the_same_side_of_the_level():
    for value in (*np.linspace(0.045, 0.055, 1001), *np.geomspace(0.001, 0.99, 300)):
        said = float(state_p(float(value)).removeprefix("p = "))
        assert (said <= LEVEL) == (value <= LEVEL)
        assert said == pytest.approx(value, rel=0.05)

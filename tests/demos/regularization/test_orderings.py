"""Orderings: which net comes first, by how much, what may be judged, and the sentences that say it."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from mcdrop.demos.regularization.crossed import adjust, mean_error, mean_test
from mcdrop.demos.regularization.orderings import Ordering, compare_errors, spread_errors, state_orderings
from mcdrop.errors import InputError

TITLES = {"a": "the LeNet with 50% dropout", "b": "the LeNet without dropout"}


def pair(**changes):
    known = {"difference": 12.34, "error": 3.1, "p_value": 0.002, "p_adjusted": 0.004, "supported": True}
    return Ordering("a", "b", **(known | changes))


def draw(seed=6, repeats=4):
    rng = np.random.default_rng(seed)
    return {name: rng.random((repeats, 300)) < share for name, share in {"a": 0.22, "b": 0.1, "c": 0.17}.items()}


# Pairs


def test_orderings_are_in_digits_with_the_better_net_first():
    wrong = draw()
    pairs = compare_errors(wrong)
    assert [(one.better, one.worse) for one in pairs] == [("b", "a"), ("c", "a"), ("b", "c")]
    for one in pairs:
        differences = wrong[one.worse].astype(int) - wrong[one.better]
        mean, error, _ = map(float, mean_error(differences))
        assert (one.difference, one.error) == pytest.approx((300 * mean, 300 * error))
        assert one.p_value == pytest.approx(mean_test(differences)[2])
    assert [one.p_adjusted for one in pairs] == adjust([one.p_value for one in pairs])
    assert [one.supported for one in pairs] == [one.p_adjusted <= 0.05 for one in pairs]
    assert {one.supported for one in pairs} == {True, False}


def test_pairs_are_those_asked_for_in_their_order_and_adjusted_for_their_number():
    wrong = draw()
    ab, ac, bc = compare_errors(wrong)
    found = compare_errors(wrong, pairs=[("c", "b"), ("a", "b")])
    assert [{one.better, one.worse} for one in found] == [{"b", "c"}, {"a", "b"}]
    assert [one.p_value for one in found] == [bc.p_value, ab.p_value]
    assert [one.p_adjusted for one in found] == adjust([bc.p_value, ab.p_value])
    (alone,) = compare_errors(wrong, pairs=iter([("a", "c")]))
    assert alone.p_adjusted == alone.p_value == ac.p_value
    assert compare_errors(wrong, pairs=[]) == ()


def test_comparisons_made_beside_take_part_in_holms_rule():
    wrong = draw(5)
    (alone,) = compare_errors(wrong, pairs=[("a", "c")])
    p = alone.p_value
    assert 0.02 < p < 0.025 and alone.supported
    for beside, expected in (
        ((2 * p,), 2 * p),
        ((p / 2,), p),
        ((p / 4, p / 3), p),
        ((p / 2, 2 * p, 3 * p), 3 * p),  # second of four
        ((p * 0.9,), 1.8 * p),  # no smaller than that of a smaller one
    ):
        (one,) = compare_errors(wrong, pairs=[("a", "c")], beside=beside)
        assert one.p_adjusted == pytest.approx(expected)
        assert one.supported == (expected <= 0.05)
        assert (one.p_value, one.difference, one.error) == (alone.p_value, alone.difference, alone.error)


def test_the_order_of_the_nets_does_not_matter():
    a, b = np.random.default_rng(7).random((2, 3, 200)) < [[[0.2]], [[0.3]]]
    assert compare_errors({"a": a, "b": b}) == compare_errors({"b": b, "a": a})


def test_five_errors_in_4000_digits_are_told_apart_from_nothing():
    """In every repeat 150 errors against 145, on hard digits of which each net gets some right by chance."""
    rng = np.random.default_rng(5)
    hard = rng.choice(4000, 250, replace=False)
    a, b = np.zeros((2, 3, 4000), dtype=bool)
    for row in range(3):
        a[row, rng.choice(hard, 150, replace=False)] = True
        b[row, rng.choice(hard, 145, replace=False)] = True
    (one,) = compare_errors({"a": a, "b": b})
    assert (one.better, one.difference, one.supported) == ("b", 5, False)


def test_equal_nets_are_no_ordering():
    a = np.random.default_rng(8).random((3, 50)) < 0.2
    (one,) = compare_errors({"a": a, "b": a})
    assert one == Ordering("a", "b", 0.0, 0.0, 1.0, 1.0, False)
    (other,) = compare_errors({"a": a, "b": a[:, ::-1]})  # as many errors, on other digits
    assert (other.difference, other.p_value, other.supported) == (0.0, 1.0, False)
    assert other.error > 0


def test_a_difference_without_any_spread_is_not_judged_and_takes_no_part_in_the_adjustment():
    never, always = np.zeros((3, 4), dtype=bool), np.ones((3, 4), dtype=bool)
    (one,) = compare_errors({"a": always, "b": never})
    assert one == Ordering("b", "a", 4.0, 0.0, None, None, None)
    some = np.array([[True, False, False, False]] * 2 + [[True, True, False, False]])
    for beside in ((), (0.001, 0.9)):
        pairs = compare_errors({"a": always, "b": never, "c": some}, beside=beside)
        assert [one.p_value is None for one in pairs] == [True, False, False]
        known = [one.p_value for one in pairs[1:]]
        assert [one.p_adjusted for one in pairs] == [None, *adjust([*known, *beside])[:2]]


def test_one_repeat_has_the_error_of_the_digits_and_no_verdict():
    rng = np.random.default_rng(9)
    a, b = rng.random((1, 500)) < 0.3, rng.random((1, 500)) < 0.05
    (one,) = compare_errors({"a": a, "b": b})
    difference = (a.astype(int) - b)[0]
    assert one.error == pytest.approx(500 * difference.std(ddof=1) / 500**0.5)
    assert one.supported is None
    assert one.p_value == pytest.approx(ttest_1samp(difference, 0).pvalue)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_a_verdict_takes_three_repeats(repeats):
    rng = np.random.default_rng(9)
    (one,) = compare_errors({"a": rng.random((repeats, 500)) < 0.4, "b": rng.random((repeats, 500)) < 0.05})
    assert one.p_adjusted < 0.01
    assert one.supported is (True if repeats == 3 else None)
    (text,) = state_orderings([one], digits=500)
    judged = ": supported (" if repeats == 3 else " fewer errors in 500 digits than a: not judged, which takes 3 seeds."
    assert judged in text


def test_a_single_net_has_no_orderings():
    assert compare_errors({"a": np.zeros((2, 5), dtype=bool)}) == ()


# Sentences


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "The LeNet with 50% dropout beats the LeNet without dropout by 12.3 ± 3.1 errors in 1,000 digits: "
         "supported (p = 0.004)."),
        ({"p_adjusted": 1e-5}, "The LeNet with 50% dropout beats the LeNet without dropout by 12.3 ± 3.1 errors in "
         "1,000 digits: supported (p < 0.001)."),
        ({"p_adjusted": 0.0521, "supported": False}, "The LeNet with 50% dropout makes 12.3 ± 3.1 fewer errors in 1,000"
         " digits than the LeNet without dropout: not told apart from chance (p = 0.052)."),
        ({"p_adjusted": 0.0501, "supported": False}, "The LeNet with 50% dropout makes 12.3 ± 3.1 fewer errors in 1,000"
         " digits than the LeNet without dropout: not told apart from chance (p = 0.0501)."),
        ({"difference": 0.0, "p_adjusted": 1.0, "supported": False}, "The LeNet with 50% dropout makes as many errors "
         "in 1,000 digits as the LeNet without dropout: not told apart from chance (p = 1)."),
        ({"p_value": None, "p_adjusted": None, "supported": None, "error": 0.0}, "The LeNet with 50% dropout makes 12.3"
         " ± 0.0 fewer errors in 1,000 digits than the LeNet without dropout: not judged, all digits and repeats differ"
         " alike and show no error of the difference."),
        ({"supported": None}, "The LeNet with 50% dropout makes 12.3 ± 3.1 fewer errors in 1,000 digits than the LeNet "
         "without dropout: not judged, which takes 3 seeds."),
        ({"supported": None, "difference": 0.0, "p_adjusted": 1.0}, "The LeNet with 50% dropout makes as many errors "
         "in 1,000 digits as the LeNet without dropout: not judged, which takes 3 seeds."),
    ],
)  # fmt: skip
def test_sentences(changes, text):
    assert state_orderings([pair(**changes)], TITLES, digits=1000) == (text,)


def test_without_titles_the_names_are_used():
    assert state_orderings([pair()], digits=10)[0].startswith("A beats b by")
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

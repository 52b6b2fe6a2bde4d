"""Measures at their limits: certainty, uniformity, agreement, disagreement; and Jensen between them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcdrop import InputError, measures

passes = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-30, 30)
)


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 10, 1000])
def test_entropy_is_zero_when_certain_and_log_k_when_uniform(k):
    assert measures.entropy(np.eye(k)).max() == 0
    assert measures.entropy(np.full(k, 1 / k)) == pytest.approx(math.log(k))


def test_entropy_of_a_fair_coin_against_a_loaded_one():
    assert measures.entropy([0.5, 0.5]) == pytest.approx(math.log(2))
    assert measures.entropy([0.9, 0.1]) == pytest.approx(0.3250829733914482)


@given(passes)
def test_bounds_and_jensen(logits):
    probs = softmax(logits)
    k, mean = probs.shape[-1], probs.mean(0)
    total, expected = measures.entropy(mean), measures.expected_entropy(probs)
    information = measures.mutual_information(mean, expected)
    assert total.shape == expected.shape == information.shape == probs.shape[1:-1]
    assert ((total >= 0) & (total <= math.log(k) + 1e-9)).all()
    assert (expected <= total + 1e-9).all()
    assert ((information >= 0) & (information <= total + 1e-9)).all()
    assert (information <= math.log(len(probs)) + 1e-9).all()  # T passes can tell at most log T nats


@given(passes)
def test_order_of_classes_and_passes_does_not_matter(logits):
    probs = softmax(logits)
    for again in (probs[..., ::-1], probs[::-1]):
        np.testing.assert_allclose(measures.expected_entropy(again), measures.expected_entropy(probs), atol=1e-12)


def test_passes_that_agree_carry_no_information_and_certain_ones_that_differ_carry_all():
    agree = np.tile([[0.7, 0.2, 0.1]], (8, 1, 1))
    assert measures.mutual_information(agree.mean(0), measures.expected_entropy(agree)) == pytest.approx(0, abs=1e-12)
    differ = np.eye(4)[:, None]
    information = measures.mutual_information(differ.mean(0), measures.expected_entropy(differ))
    assert information == pytest.approx(math.log(4))


def test_variation_ratio_from_agreement_to_a_tie():
    assert measures.variation_ratio([10, 0, 0]) == 0
    assert measures.variation_ratio([5, 3, 2]) == pytest.approx(0.5)
    assert measures.variation_ratio([[3, 3, 3], [0, 0, 9]]) == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize("probs", [[1.5, -0.5], [math.nan, 1.0], [3.0, -2.0, 1.0]])
def test_logits_are_refused_where_probabilities_are_needed(probs):
    for measure in (measures.entropy, lambda p: measures.expected_entropy([p])):
        with pytest.raises(InputError, match=r"probs must lie in \[0, 1\]"):
            measure(probs)


def test_no_votes_are_refused():
    with pytest.raises(InputError, match="at least one vote"):
        measures.variation_ratio([[1, 2], [0, 0]])

"""What is asked of the nets: which comparisons, adjusted together, and the interplay's numbers by hand."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from mcdrop.demos.regularization.crossed import adjust, mean_error, mean_test
from mcdrop.demos.regularization.questions import Answers, answer

from .hand_made import DECAYS, DIGITS, FINALS, FIVE, make_results

NETS = [("mlp_none", "mlp_hidden"), ("mlp_none", "mlp"), ("mlp_hidden", "mlp"), ("lenet_none", "lenet")]
RATES = [("rates_0_0", "rates_20_50"), ("rates_0_0", "rates_50_20"), ("rates_20_50", "rates_50_20")]
DROPS = [("rates_0_0", "rates_50_50"), ("rates_0_0", "weights"), ("rates_50_50", "weights")]
CROSSED = ("rates_20_50_decay_0.001", "rates_0_0_decay_0.001", "rates_20_50", "rates_0_0")
"""Both, weight decay alone, dropout alone, neither."""


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.fixture(scope="module")
def answers(results):
    return answer(results)


def names(orderings):
    return [{one.better, one.worse} for one in orderings]


def p_value(results, a, b):
    return mean_test(results.wrong(a).astype(int) - results.wrong(b))[2]


def excess(results):
    both, decayed, dropped, plain = (results.wrong(name).astype(int) for name in CROSSED)
    return (both - dropped) - (decayed - plain)


def test_hand_made_numbers_differ():
    for number in (np.mean, lambda errors: np.std(errors, ddof=1)):
        assert len({round(float(number(FINALS[name])), 9) for name in FIVE}) == len(FIVE)
    assert len({round(np.mean(errors), 9) for errors in FINALS.values()}) == len(FINALS)
    assert make_results().final("weights").tolist() == list(FINALS["weights"])


def test_the_pairs_and_their_order(answers):
    assert list(answers.nets) == ["MLP", "LeNet"]
    assert names(answers.nets["MLP"]) == [set(pair) for pair in NETS[:3]]
    assert names(answers.nets["LeNet"]) == [set(NETS[3])]
    assert names(answers.rates) == [set(pair) for pair in RATES]
    assert names(answers.drops) == [set(pair) for pair in DROPS]


def test_every_pair_is_of_these_nets_with_their_difference(results, answers):
    for one in (*answers.nets["MLP"], *answers.nets["LeNet"], *answers.rates, *answers.drops):
        assert one.difference == pytest.approx(np.mean(FINALS[one.worse]) - np.mean(FINALS[one.better]))
        assert one.difference >= 0
        assert one.p_value == pytest.approx(p_value(results, one.better, one.worse))
        assert one.supported == (one.p_adjusted <= 0.05)


def test_the_four_pairs_of_the_nets_are_adjusted_together(results, answers):
    found = [one.p_adjusted for one in (*answers.nets["MLP"], *answers.nets["LeNet"])]
    p = [p_value(results, *pair) for pair in NETS]
    assert found == pytest.approx(adjust(p))
    assert found != pytest.approx(adjust(p[:3]) + adjust(p[3:]))


def test_the_exercises_are_adjusted_together_with_the_interplay(results, answers):
    found = [one.p_adjusted for one in (*answers.rates, *answers.drops)] + [answers.interplay.p_adjusted]
    p = [p_value(results, *pair) for pair in [*RATES, *DROPS]] + [mean_test(excess(results))[2]]
    assert found == pytest.approx(adjust(p))
    assert found[:6] != pytest.approx(adjust(p[:6]))


def test_the_interplay_by_hand(results, answers):
    """Means of 72 1/3 errors with neither, 71 1/3 with decay, 50 2/3 with dropout, 42 with both."""
    found = answers.interplay
    assert found.weight_decay == DECAYS[1] == 0.001
    assert found.decayed == pytest.approx(-1)
    assert found.dropped == pytest.approx(-65 / 3)
    assert found.both == pytest.approx(-91 / 3)
    assert found.excess == pytest.approx(-23 / 3)  # more than the sum of -22 2/3 saves
    assert found.excess == pytest.approx(found.both - found.decayed - found.dropped)
    mean, error, _ = mean_error(excess(results))
    assert (found.excess, found.error) == pytest.approx((DIGITS * mean, DIGITS * error))
    assert found.supported == (found.p_adjusted <= 0.05)


@pytest.mark.parametrize(("both", "sign"), [((70, 75, 78), 1), ((5, 9, 7), -1)])
def test_an_interplay_that_is_large_is_supported_either_way(both, sign):
    found = answer(make_results(finals=FINALS | {CROSSED[0]: both})).interplay
    assert found.excess == pytest.approx(np.mean(both) - 71 - 1 / 3 - 50 - 2 / 3 + 72 + 1 / 3)
    assert np.sign(found.excess) == sign
    assert found.p_adjusted < 0.05 and found.supported is True


@pytest.mark.parametrize("best", [1, 2])
def test_the_weight_decay_is_not_chosen_by_its_errors(best):
    """Whichever decay errs least, alone and with dropout, the first above 0 is asked for."""
    finals = dict(FINALS)
    for name in ("rates_0_0", "rates_20_50"):
        finals[f"{name}_decay_{DECAYS[best]:g}"] = (3, 1, 2)
        finals[f"{name}_decay_{DECAYS[3 - best]:g}"] = (90, 97, 95)
    found = answer(make_results(finals=finals)).interplay
    assert found.weight_decay == 0.001
    assert found.decayed == pytest.approx(np.mean(finals[CROSSED[1]]) - np.mean(FINALS["rates_0_0"]))
    assert found.both == pytest.approx(np.mean(finals[CROSSED[0]]) - np.mean(FINALS["rates_0_0"]))


def test_an_interplay_that_does_not_vary_is_not_judged_and_takes_no_part():
    none, every = np.zeros((3, DIGITS), dtype=bool), np.ones((3, DIGITS), dtype=bool)
    rng = np.random.default_rng(0)
    tables = {name: rng.random((3, DIGITS)) < 0.4 for name in ("rates_50_20", "rates_50_50", "weights")}
    wrong = tables | dict(zip(CROSSED, (every, none, none, none), strict=True))
    results = make_results(wrong=wrong)
    found = answer(results)
    assert (found.interplay.excess, found.interplay.error) == (DIGITS, 0)
    assert (found.interplay.p_adjusted, found.interplay.supported) == (None, None)
    pairs = [*RATES, *DROPS]
    assert [one.p_adjusted for one in (*found.rates, *found.drops)] == adjust([p_value(results, *p) for p in pairs])


@pytest.mark.parametrize("repeats", [1, 2])
def test_fewer_than_three_seeds_are_not_judged(repeats):
    found = answer(make_results(repeats=repeats))
    pairs = (*found.nets["MLP"], *found.nets["LeNet"], *found.rates, *found.drops)
    assert len(pairs) == 10
    assert all(one.supported is None and one.p_adjusted is not None for one in (*pairs, found.interplay))


def test_without_the_exercises_there_are_the_nets_alone(answers):
    assert answer(make_results(exercises=False)) == Answers(answers.nets) == replace(
        answers, rates=(), drops=(), interplay=None
    )  # fmt: skip


def test_nets_are_compared_within_families_alone(answers):
    families = {name: name.split("_")[0] for name in FIVE}
    assert all(families[one.better] == families[one.worse] for pairs in answers.nets.values() for one in pairs)
    within = [pair for pair in combinations(FIVE, 2) if families[pair[0]] == families[pair[1]]]
    assert sum(len(pairs) for pairs in answers.nets.values()) == len(within) == 4

"""What the demo says: every cell of its tables, its sentences, its checks by hand, and its numbers as plain data."""

import json
from dataclasses import asdict, replace
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.stats import norm

from mcdrop.demos.regularization.nets import SPOKEN
from mcdrop.demos.regularization.orderings import state_orderings
from mcdrop.demos.regularization.questions import Interplay, answer
from mcdrop.demos.regularization.report import check_errors, number_results, tabulate_results, write_verdict

from .hand_made import DECAY_NAMES, FINALS, FIVE, MATCHES, RATE_NAMES, make_results


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.fixture(scope="module")
def answers(results):
    return answer(results)


@pytest.fixture(scope="module")
def verdict(results, answers):
    return write_verdict(results, answers)


def cell(name):
    return f"{fmean(FINALS[name]):.1f} ± {stdev(FINALS[name]):.1f}"


def interplay(**changes):
    known = {"weight_decay": 0.003, "decayed": -2.0, "dropped": -20.5, "both": -17.25, "excess": 5.25, "error": 1.5}
    return Interplay(**(known | {"p_adjusted": 0.0312, "supported": True} | changes))


# Tables


def test_errors_of_the_five_nets(results):
    table = tabulate_results(results)[0]
    assert table.title == "Errors on 200 held-out digits (mean ± standard deviation of 3 seeds)"
    assert table.columns == ("net", "errors", "share", "least to greatest", "tutorial's share")
    assert table.rows == (
        ("MLP, no dropout", "61.0 ± 4.6", "30.5%", "57 to 66", "1.87%"),
        ("MLP, 50% hidden", "52.0 ± 2.0", "26.0%", "50 to 54", "1.69%"),
        ("MLP, 50% hidden + 20% input", "30.7 ± 2.1", "15.3%", "29 to 33", "1.14%"),
        ("LeNet, no dropout", "24.7 ± 3.1", "12.3%", "22 to 28", "1.09%"),
        ("LeNet, 50%", "22.3 ± 3.2", "11.2%", "20 to 26", "0.72%"),
    )


def test_averages_over_passes(results):
    table = tabulate_results(results)[1]
    assert table.title == "Errors of the average over T passes, and of averaged weights (first seed)"
    assert table.columns == ("net", "weight averaging", "T = 1", "T = 3", "T = 10", "T = 20", "T = 100")
    assert table.rows == (
        ("MLP, 50% hidden", "50", "92.0", "73.0", "59.0", "53.5", "47.5"),
        ("MLP, 50% hidden + 20% input", "33", "60.5", "50.5", "44.5", "41.5", "38.5"),
        ("LeNet, 50%", "24", "21.5", "19.0", "17.5", "17.5", "15.5"),
    )


def test_rates_are_by_the_first_layer_down_and_the_second_across(results):
    table = tabulate_results(results)[2]
    assert table.title == "Which rate where: errors of a 256-256 perceptron after training on 1,000 digits"
    assert table.columns == ("after the first layer", "0% after the second", "20% after the second",
                             "50% after the second")  # fmt: skip
    rows = zip(("0%", "20%", "50%"), RATE_NAMES, strict=True)
    assert table.rows == tuple((rate, *map(cell, names)) for rate, names in rows)
    assert table.rows[0][3] == "64.0 ± 3.6" and table.rows[2][1] == "56.3 ± 3.1"


def test_weight_decay_is_by_decay_down_and_dropout_across(results):
    table = tabulate_results(results)[3]
    assert table.title.startswith("Dropout and weight decay: ")
    assert table.columns == ("weight decay", "no dropout", "dropout, 20% and 50%")
    rows = zip(("0", "0.001", "0.01"), DECAY_NAMES, strict=True)
    assert table.rows == tuple((decay, *map(cell, names)) for decay, names in rows)


def test_what_is_dropped(results):
    table = tabulate_results(results)[4]
    assert table.title.startswith("Units or weights: ")
    assert table.columns == ("dropped", "errors")
    assert [row[1] for row in table.rows] == [cell("rates_0_0"), cell("rates_50_50"), cell("weights")]
    assert [row[0].split(" (")[0] for row in table.rows] == ["nothing", "50% of units", "50% of weights"]


def test_one_seed_has_no_spread():
    tables = tabulate_results(make_results(repeats=1))
    assert tables[0].title == "Errors on 200 held-out digits (one seed)"
    assert tables[0].rows[0] == ("MLP, no dropout", "60", "30.0%", "60 to 60", "1.87%")
    assert [row[1:] for row in tables[2].rows] == [tuple(str(FINALS[n][0]) for n in names) for names in RATE_NAMES]
    assert not any("±" in text for table in tables for row in table.rows for text in row)


def test_tables_are_whole(results):
    for repeats in (1, 3):
        for table in tabulate_results(make_results(repeats=repeats)):
            assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(tabulate_results(results)) == 5
    assert tabulate_results(make_results(exercises=False)) == tabulate_results(results)[:2]


# Sentences


def test_the_verdict_begins_with_what_its_signs_mean(verdict):
    assert verdict[0] == (
        "Errors are compared on the same 200 digits and with the same seeds. ± is one standard error of the "
        "difference, for other digits and other seeds; p says how often so large a difference would come up if the "
        "nets were equally good, adjusted for all comparisons of the same kind. 3 seeds or more are judged."
    )


def test_the_verdict_states_all_orderings_in_order(verdict, answers):
    nets = [*answers.nets["MLP"], *answers.nets["LeNet"]]
    assert verdict[1:5] == state_orderings(nets, SPOKEN, digits=200)
    assert verdict[2].startswith(
        "The MLP with 50% hidden and 20% input dropout beats the MLP without dropout by 30.3 ± "
    )
    assert verdict[4].startswith("The LeNet with 50% dropout makes 2.3 ± ")
    assert verdict[8] == "The exercises, a 256-256 perceptron trained on 1,000 digits:"
    assert [text.split(" by ")[0].split(" makes ")[0].split(" beats ")[0] for text in verdict[9:15]] == [
        "The net that drops 20%, then 50%",
        "The net that drops 50%, then 20%",
        "The net that drops 50%, then 20%",
        "The net that drops 50% of its units",
        "The net that drops 50% of its weights",
        "The net that drops 50% of its units",
    ]
    assert all("the net without dropout" in verdict[k] for k in (9, 10, 12, 13))
    assert len(verdict) == 16


def test_from_which_number_of_passes_on_averages_match(verdict):
    assert verdict[5:8] == (
        "The MLP with 50% hidden dropout: from T = 50 on, of 100 tried, the average of T passes errs as little as "
        "averaged weights, to within one standard deviation of such averages; at T = 100, 47.5 errors against 50 "
        "(first seed).",
        "The MLP with 50% hidden and 20% input dropout: the average of 100 passes still does worse than averaged "
        "weights, 38.5 errors against 33 (first seed).",
        "The LeNet with 50% dropout: from T = 1 on, of 100 tried, the average of T passes errs as little as averaged "
        "weights, to within one standard deviation of such averages; at T = 100, 15.5 errors against 24 (first seed).",
    )


def test_the_interplay_of_the_results(verdict, answers):
    assert verdict[15].startswith(
        "Weight decay 0.001 alone changes the errors by -1.0, dropout alone by -21.7, both by -30.3. If effects added "
        f"up, it would be -22.7; the difference of -7.7 ± {answers.interplay.error:.1f} is "
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, "-2.0, dropout alone by -20.5, both by -17.2. If effects added up, it would be -22.5; the difference of "
         "+5.2 ± 1.5 is supported (p = 0.031)."),
        ({"p_adjusted": 0.31, "supported": False}, "the difference of +5.2 ± 1.5 is not told apart from chance "
         "(p = 0.31)."),
        ({"p_adjusted": 0.0502, "supported": False}, " is not told apart from chance (p = 0.0502)."),
        ({"supported": None}, "the difference of +5.2 ± 1.5 is not judged."),
        ({"p_adjusted": None, "supported": None}, "the difference of +5.2 ± 1.5 is not judged."),
        ({"decayed": 3.0, "excess": -4.96}, "+3.0, dropout alone by -20.5, both by -17.2. If effects added up, it would"
         " be -17.5; the difference of -5.0 ± 1.5 is supported (p = 0.031)."),
    ],
)  # fmt: skip
def test_sentences_of_the_interplay(results, answers, changes, end):
    last = write_verdict(results, replace(answers, interplay=interplay(**changes)))[-1]
    assert last.startswith("Weight decay 0.003 alone changes the errors by ")
    assert last.endswith(end)


def test_fewer_than_three_seeds_are_said_not_to_be_judged():
    for repeats in (1, 2):
        few = make_results(repeats=repeats)
        said = write_verdict(few, answer(few))
        assert sum(text.endswith("not judged, which takes 3 seeds.") for text in said) == 10
        assert said[-1].endswith(" is not judged.")
        assert not any("supported" in text or "apart from chance" in text for text in said)


def test_without_exercises_nothing_is_said_of_them(verdict):
    few = make_results(exercises=False)
    assert write_verdict(few, answer(few)) == verdict[:8]


# Checks


def test_checks_by_hand(results):
    mlp, lenet = check_errors(results)
    assert mlp.name == "MLP: errors that dropout spares, against two standard deviations over the seeds"
    assert mlp.value == pytest.approx(61 - 92 / 3)
    assert mlp.bound == pytest.approx(2 * 21**0.5)  # of 60, 66 and 57
    assert mlp.at_least and mlp.met
    assert lenet.name.startswith("LeNet: ")
    assert lenet.value == pytest.approx(7 / 3)
    assert lenet.bound == pytest.approx(2 * (31 / 3) ** 0.5)  # of 21, 26 and 20
    assert not lenet.met


def checks_of(plain, dropped):
    return check_errors(make_results(finals=dict.fromkeys(FIVE, plain) | {"mlp": dropped, "lenet": dropped},
                                     exercises=False))  # fmt: skip


@pytest.mark.parametrize(
    ("plain", "dropped", "met"),
    [
        ((30, 30, 30), (30, 30, 30), False),  # equal nets, also without any spread
        ((30, 32, 34), (30, 32, 34), False),
        ((30, 30, 30), (29, 29, 29), True),  # one digit at least
        ((31, 30, 30), (30, 30, 30), False),
        ((30, 32, 34), (26, 28, 30), True),
        ((30, 32, 34), (27, 28, 30), False),
        ((26, 28, 30), (30, 32, 34), False),  # dropout is worse
        ((40, 40, 40), (30, 32, 34), True),
        ((36, 36, 36), (30, 32, 35), False),  # the larger spread counts, of either net
    ],
)
def test_when_checks_are_met(plain, dropped, met):
    assert [check.met for check in checks_of(plain, dropped)] == [met, met]


def test_more_seeds_of_one_law_do_not_miss_what_few_meet():
    """Normal quantiles of a standard deviation of 4, 12 errors apart: their range grows, the bound does not."""
    bounds = []
    for repeats in (5, 20, 80):
        plain = np.round(60 + 4 * norm.ppf((np.arange(repeats) + 0.5) / repeats)).astype(int)
        checks = checks_of(plain, plain - 12)
        assert [check.value for check in checks] == [12, 12]
        assert all(check.met for check in checks)
        bounds.append(checks[0].bound)
    assert np.ptp(plain) > 12
    np.testing.assert_allclose(bounds, 8, rtol=0.15)


def test_one_seed_has_no_checks():
    assert check_errors(make_results(repeats=1)) == ()


# Numbers


def test_numbers_are_plain_and_hold_every_comparison(results, answers):
    numbers = number_results(results, answers)
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers  # lists and no tuples, as the summary is read
    assert list(numbers) == ["tested_on", "nets", "averaging", "comparisons"]
    assert numbers["tested_on"] == 200
    found = numbers["comparisons"]
    assert found["nets"] == {family: [asdict(one) for one in pairs] for family, pairs in answers.nets.items()}
    assert found["rates"] == [asdict(one) for one in answers.rates]
    assert found["drops"] == [asdict(one) for one in answers.drops]
    assert found["interplay"] == asdict(answers.interplay)
    assert [len(pairs) for pairs in found["nets"].values()] == [3, 1]
    assert {type(one["supported"]) for one in found["rates"]} == {bool}
    assert {name: net["errors"] for name, net in numbers["nets"].items()} == {n: list(e) for n, e in FINALS.items()}
    assert numbers["nets"]["mlp"] == {
        "mean": pytest.approx(92 / 3), "std": pytest.approx((13 / 3) ** 0.5), "least": 29, "greatest": 33, "repeats": 3,
        "errors": [30, 33, 29], "seconds": [1.5, 2.5, 3.5],
    }  # fmt: skip
    assert list(numbers["averaging"]) == list(MATCHES)
    assert [part["passes_to_match"] for part in numbers["averaging"].values()] == [50, None, 1]


def test_numbers_without_exercises():
    few = make_results(repeats=1, exercises=False)
    numbers = json.loads(json.dumps(number_results(few, answer(few)), allow_nan=False))
    assert list(numbers["nets"]) == list(FIVE)
    assert numbers["nets"]["mlp"]["std"] is None
    assert numbers["comparisons"]["interplay"] is None
    assert numbers["comparisons"]["rates"] == numbers["comparisons"]["drops"] == []

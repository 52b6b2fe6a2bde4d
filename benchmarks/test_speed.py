"""How fast passes run, against what people do without mcdrop; see `report.py` for the table and the plot.

    python -m pytest benchmarks/test_speed.py && python benchmarks/report.py

The contestants of a case take turns, so that a machine that drifts slows all of them alike, and ratios are taken turn
by turn. pytest-benchmark times `execution="auto"`, what users get, in every turn right after the others had theirs.
A run takes about a quarter of an hour on two cores; `--quick` is over in a few minutes and shows no more than that
everything runs.
"""

from dataclasses import replace
from typing import Any

import pytest
from cases import CASES, Case
from contest import AUTO, BASELINES, EVAL, Contest, quartiles
from startup import startup_milliseconds

SECONDS = 40.0  # what a case of the suite may take; more where its least number of turns takes longer
SWEEP_SECONDS = 12.0
MOST_TURNS = 9


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace("=", ""))
def test_speed(case: Case, benchmark: Any, results: Any) -> None:
    if results.quick:
        case = replace(case, passes=min(case.passes, 4), least=2)
    work = case.count(case.build(), case.inputs())
    results.measure_machine()
    contest = Contest(case)
    turns = _turns(case, contest.warm_up(), quick=results.quick)
    starts = [startup_milliseconds(contest) for _ in range(2 if results.quick else 7)]

    benchmark.group = "sweeps" if case.sweep else "suite"
    benchmark.pedantic(contest.auto_turn, setup=contest.others_take_their_turn, rounds=turns, iterations=1)
    contest.seconds[AUTO] = [*benchmark.stats.stats.data]

    contest.check_equal_numbers()
    record = _record(contest, starts, products=work.each + work.once / case.passes)
    results.cases.append(record)
    benchmark.extra_info.update(record)


def _turns(case: Case, seconds: float, *, quick: bool) -> int:
    if quick:
        return case.least
    return max(case.least, min(MOST_TURNS, int((SWEEP_SECONDS if case.sweep else SECONDS) / seconds)))


def _record(contest: Contest, starts: list[float], *, products: float) -> dict[str, Any]:
    """Return what a contest found, in plain data."""
    case, fastest = contest.case, contest.fastest_baseline()
    contestants = {}
    for name, values in contest.per_pass().items():
        contestants[name] = {"ms_per_pass": quartiles(values)}
        if name == EVAL:
            continue
        contestants[name]["times_train_loop"] = contest.ratios(name, BASELINES[0])
        contestants[name]["times_fastest_baseline"] = contest.ratios(name, fastest)
        if EVAL in contest.seconds:
            contestants[name]["all_passes_in_eval_forwards"] = contest.in_eval_forwards(name)
    return {
        "name": case.name,
        "series": case.series,
        "sweep": case.sweep,
        "at": case.at,
        "task": case.task,
        "passes": case.passes,
        "rows": len(contest.x),
        "turns": len(contest.seconds[AUTO]),
        "multiply_adds_per_pass": products,
        "copies": contest.copies,
        "fastest_baseline": fastest,
        "startup_ms": quartiles(starts),
        "contestants": contestants,
        "refused": contest.refused,
    }

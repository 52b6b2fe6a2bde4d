"""What the regularization demo says: tables for the screen, sentences, and checks of what the tutorial shows."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mcdrop.demos.regularization.exercises import (
    DECAY_RATES,
    NONE,
    RATES,
    SWAPPED,
    UNITS_OR_WEIGHTS,
    name_decay,
    name_rates,
)
from mcdrop.demos.regularization.nets import FAMILIES, PUBLISHED, TITLES
from mcdrop.demos.regularization.orderings import LEVEL, compare_errors, mean_error, spread_errors, state_orderings
from mcdrop.demos.regularization.results import Results
from mcdrop.demos.report import Check, Table

__all__ = ["check_errors", "number_results", "tabulate_results", "write_verdict"]


_SHOWN = 5
"""Numbers of passes in the table."""


def check_errors(results: Results) -> tuple[Check, ...]:
    """Return the checks: in each family, all its dropout spares more errors than the seeds differ by.

    The bound is the wider of both nets' ranges over the seeds. With one seed there is none, and so no check.
    """
    if results.repeats == 1:
        return ()
    checks = []
    for family, names in FAMILIES.items():
        plain, dropped = results.final(names[0]), results.final(names[-1])
        bound = max(float(np.ptp(plain)), float(np.ptp(dropped)))
        title = f"{family}: errors that dropout spares, against the range over seeds"
        checks.append(Check(title, float(plain.mean() - dropped.mean()), bound, at_least=True))
    return tuple(checks)


def tabulate_results(results: Results) -> tuple[Table, ...]:
    """Return the tables."""
    tables = [_errors(results), _averages(results)]
    if results.exercises:
        tables += [_rates(results), _decay(results), _connect(results)]
    return tuple(tables)


def write_verdict(results: Results) -> tuple[str, ...]:
    """Return which orderings the data supports; p values are adjusted within each question."""
    questions: list[Mapping[str, str]] = [{name: TITLES[name] for name in names} for names in FAMILIES.values()]
    if results.exercises:
        questions += [SWAPPED, UNITS_OR_WEIGHTS]
    return (*_orderings(results, questions), *_matches(results), *(_interplay(results) if results.exercises else ()))


def number_results(results: Results) -> dict[str, Any]:
    """Return the numbers as plain data."""
    wrong = {name: results.wrong(name) for name in results.runs}
    nets = {
        name: asdict(spread)
        | {"errors": [int(count) for count in results.final(name)]}
        | {"seconds": [run.seconds for run in results.runs[name]]}
        for name, spread in spread_errors(wrong).items()
    }
    families = {
        family: [asdict(pair) for pair in compare_errors({name: wrong[name] for name in names})]
        for family, names in FAMILIES.items()
    }
    averages = {name: averaging.numbers() for name, averaging in results.averagings.items()}
    return {"tested_on": results.tested_on, "nets": nets, "orderings": families, "averaging": averages}


def _errors(results: Results) -> Table:
    columns = ("net", "errors", "least to greatest", "tutorial, of 10,000")
    rows = []
    for names in FAMILIES.values():
        for name in names:
            errors = results.final(name)
            span = f"{errors.min():.0f} to {errors.max():.0f}"
            rows.append((TITLES[name], results.plus_minus(name), span, str(PUBLISHED[name])))
    seeds = f"mean ± standard deviation of {results.repeats} seeds" if results.repeats > 1 else "one seed"
    return Table(f"Errors on {results.tested_on:,} held-out digits ({seeds})", columns, tuple(rows))


def _averages(results: Results) -> Table:
    averagings = results.averagings
    grid = next(iter(averagings.values())).passes
    shown = np.unique(np.linspace(0, len(grid) - 1, _SHOWN).round().astype(int))
    columns = ("net", "weight averaging", *(f"T = {t}" for t in grid[shown]))
    rows = []
    for name, averaging in averagings.items():
        means = (f"{mean:.1f}" for mean in averaging.errors.mean(axis=0)[shown])
        rows.append((TITLES[name], str(averaging.weight_averaging_errors), *means))
    return Table("Errors of the average over T passes, and of averaged weights (first seed)", columns, tuple(rows))


def _small(results: Results) -> str:
    return f"errors of a 256-256 perceptron after training on {results.exercise_on:,} digits"


def _rates(results: Results) -> Table:
    columns = ("after the first layer", *(f"{rate:.0%} after the second" for rate in RATES))
    rows = tuple((f"{a:.0%}", *(results.plus_minus(name_rates(a, b)) for b in RATES)) for a in RATES)
    return Table(f"Which rate where: {_small(results)}", columns, rows)


def _decay(results: Results) -> Table:
    columns = ("weight decay", "no dropout", "dropout, 20% and 50%")
    rows = tuple(
        (f"{decay:g}", *(results.plus_minus(name_decay(rates, decay)) for rates in ((0.0, 0.0), DECAY_RATES)))
        for decay in results.decays
    )
    return Table(f"Dropout and weight decay: {_small(results)}", columns, rows)


def _connect(results: Results) -> Table:
    rows = tuple((title, results.plus_minus(name)) for name, title in UNITS_OR_WEIGHTS.items())
    return Table(f"Units or weights: {_small(results)}", ("dropped", "errors"), rows)


def _orderings(results: Results, questions: list[Mapping[str, str]]) -> Iterator[str]:
    for titles in questions:
        pairs = compare_errors({name: results.wrong(name) for name in titles})
        yield from state_orderings(pairs, titles, digits=results.tested_on)


def _matches(results: Results) -> Iterator[str]:
    for name, averaging in results.averagings.items():
        match, most = averaging.passes_to_match, int(averaging.passes[-1])
        if match is None:
            yield f"{TITLES[name]}: averages of T = {most} passes or fewer make more errors than averaged weights."
        else:
            yield f"{TITLES[name]}: averages of T = {match} passes or more err as little as averaged weights."


def _interplay(results: Results) -> Iterator[str]:
    """Say whether dropout and weight decay, the one that is best without dropout, spare together what each spares."""
    decay = min(results.decays[1:], key=lambda decay: results.final(name_decay((0.0, 0.0), decay)).mean())
    names = (NONE, name_decay((0.0, 0.0), decay), name_rates(*DECAY_RATES), name_decay(DECAY_RATES, decay))
    plain, decayed, dropped, both = (results.wrong(name).astype(int) for name in names)
    alone = [float(plain.sum(1).mean() - other.sum(1).mean()) for other in (decayed, dropped, both)]
    mean, error, dof = (float(value) for value in mean_error(both - decayed - dropped + plain))
    missing, wide = mean * results.tested_on, error * results.tested_on
    yield (
        f"Weight decay {decay:g} alone spares {alone[0]:.1f} errors, dropout alone {alone[1]:.1f}, both "
        f"{alone[2]:.1f}; that is {abs(missing):.1f} ± {wide:.1f} {'less' if missing > 0 else 'more'} than their sum: "
        f"{_judge(mean, error, dof, results.repeats)}."
    )


def _judge(mean: float, error: float, dof: float, repeats: int) -> str:
    from scipy.stats import t

    if repeats == 1 or error == 0:
        return "not judged"
    p = 2 * float(t.sf(abs(mean) / error, dof))
    return f"supported (p = {p:.1g})" if p <= LEVEL else f"noise (p = {p:.1g})"

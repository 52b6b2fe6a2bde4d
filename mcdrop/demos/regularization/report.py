"""What the regularization demo says: tables for the screen, sentences, and checks of what the tutorial shows."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from mcdrop.demos.regularization.crossed import LEAST, state_p
from mcdrop.demos.regularization.exercises import (
    DECAY_RATES,
    RATES,
    SPOKEN_EXERCISES,
    UNITS_OR_WEIGHTS,
    name_decay,
    name_rates,
)
from mcdrop.demos.regularization.nets import FAMILIES, PUBLISHED, SPOKEN, TITLES
from mcdrop.demos.regularization.orderings import spread_errors, state_orderings
from mcdrop.demos.regularization.questions import Answers, Interplay
from mcdrop.demos.regularization.results import Results
from mcdrop.demos.report import Check, Table
from mcdrop.sealed import plain

__all__ = ["check_errors", "number_results", "tabulate_results", "write_verdict"]

_SHOWN = 5
"""Numbers of passes in the table."""


def check_errors(results: Results) -> tuple[Check, ...]:
    """Return the checks: in each family, all its dropout spares more errors than the seeds differ by.

    The bound is two standard deviations over the seeds, of the net whose are larger, and one digit at least. With one
    seed there is none, and so no check.
    """
    if results.repeats == 1:
        return ()
    checks = []
    for family, names in FAMILIES.items():
        plain, dropped = results.final(names[0]), results.final(names[-1])
        bound = max(1.0, 2 * float(plain.std(ddof=1)), 2 * float(dropped.std(ddof=1)))
        title = f"{family}: errors that dropout spares, against two standard deviations over the seeds"
        checks.append(Check(title, float(plain.mean() - dropped.mean()), bound, at_least=True))
    return tuple(checks)


def tabulate_results(results: Results) -> tuple[Table, ...]:
    """Return the tables."""
    tables = [_errors(results), _averages(results)]
    if results.exercises:
        tables += [_rates(results), _decay(results), _connect(results)]
    return tuple(tables)


def write_verdict(results: Results, answers: Answers) -> tuple[str, ...]:
    """Return what can be said, in sentences."""
    digits = results.tested_on
    nets = [pair for pairs in answers.nets.values() for pair in pairs]
    small = [*state_orderings([*answers.rates, *answers.drops], SPOKEN_EXERCISES, digits=digits)]
    return (
        f"Errors are compared on the same {digits:,} digits and with the same seeds. ± is one standard error of the "
        "difference, for other digits and other seeds; p says how often so large a difference would come up if the "
        f"nets were equally good, adjusted for all comparisons of the same kind. {LEAST} seeds or more are judged.",
        *state_orderings(nets, SPOKEN, digits=digits),
        *_matches(results),
        *([f"The exercises, a 256-256 perceptron trained on {results.exercise_on:,} digits:"] if small else []),
        *small,
        *([] if answers.interplay is None else [_state_interplay(answers.interplay)]),
    )


def number_results(results: Results, answers: Answers) -> dict[str, Any]:
    """Return the numbers as plain data."""
    nets = {
        name: asdict(spread)
        | {"errors": [int(count) for count in results.final(name)]}
        | {"seconds": [run.seconds for run in results.runs[name]]}
        for name, spread in spread_errors({name: results.wrong(name) for name in results.runs}).items()
    }
    averages = {name: averaging.numbers() for name, averaging in results.averagings.items()}
    return {
        "tested_on": results.tested_on,
        "nets": nets,
        "averaging": averages,
        "comparisons": plain(asdict(answers)),
    }


def _errors(results: Results) -> Table:
    columns = ("net", "errors", "share", "least to greatest", "tutorial's share")
    rows = []
    for name in (name for names in FAMILIES.values() for name in names):
        errors = results.final(name)
        span = f"{errors.min():.0f} to {errors.max():.0f}"
        share = f"{errors.mean() / results.tested_on:.1%}"
        rows.append((TITLES[name], results.plus_minus(name), share, span, f"{PUBLISHED[name] / 10_000:.2%}"))
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


def _small(results: Results) -> str:
    return f"errors of a 256-256 perceptron after training on {results.exercise_on:,} digits"


def _matches(results: Results) -> Iterator[str]:
    for name, averaging in results.averagings.items():
        match, most = averaging.passes_to_match, int(averaging.passes[-1])
        errors = f"{averaging.errors.mean(axis=0)[-1]:.1f} errors against {averaging.weight_averaging_errors}"
        net = SPOKEN[name][:1].upper() + SPOKEN[name][1:]
        if match is None:
            yield f"{net}: the average of {most} passes still does worse than averaged weights, {errors} (first seed)."
        else:
            yield (
                f"{net}: from T = {match} on, of {most} tried, the average of T passes errs as little as averaged "
                f"weights, to within one standard deviation of such averages; at T = {most}, {errors} (first seed)."
            )


def _state_interplay(found: Interplay) -> str:
    told = "not judged"
    if found.supported is not None:
        told = "supported" if found.supported else "not told apart from chance"
        told += f" ({state_p(found.p_adjusted)})"
    return (
        f"Weight decay {found.weight_decay:g} alone changes the errors by {found.decayed:+.1f}, dropout alone by "
        f"{found.dropped:+.1f}, both by {found.both:+.1f}. If effects added up, it would be "
        f"{found.decayed + found.dropped:+.1f}; the difference of {found.excess:+.1f} ± {found.error:.1f} is {told}."
    )

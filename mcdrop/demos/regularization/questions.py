"""What is asked of the trained nets, and what their errors answer, as numbers.

The five nets are compared within their families, and all four p values are adjusted together; so are those of the
exercises. Which comparisons are made is fixed beforehand, the weight decay among them: chosen by its errors, it would
be flattered by the very digits on which it is tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from mcdrop.demos.regularization.crossed import adjust, judge, mean_test
from mcdrop.demos.regularization.exercises import DECAY_RATES, NONE, SWAPPED, UNITS_OR_WEIGHTS, name_decay, name_rates
from mcdrop.demos.regularization.nets import FAMILIES
from mcdrop.demos.regularization.orderings import Ordering, compare_errors
from mcdrop.demos.regularization.results import Results

__all__ = ["Answers", "Interplay", "answer"]


@dataclass(frozen=True, slots=True)
class Interplay:
    """What weight decay and dropout change alone and together, in digits out of N; below 0 is fewer errors.

    Attributes:
        weight_decay: How much decay.
        decayed: Change by weight decay alone.
        dropped: Change by dropout alone.
        both: Change by both.
        excess: By how much the last exceeds the sum of the others.
        error: Standard error of the excess.
        p_adjusted: Adjusted p value of the excess being zero.
        supported: Whether the data supports that it is not; None if it was not judged.
    """

    weight_decay: float
    decayed: float
    dropped: float
    both: float
    excess: float
    error: float
    p_adjusted: float | None
    supported: bool | None


@dataclass(frozen=True, slots=True)
class Answers:
    """Every comparison that was made.

    Attributes:
        nets: The five nets, by family.
        rates: The exercise on swapped rates; empty where the exercises were left out.
        drops: The exercise on dropping units or weights; as above.
        interplay: The exercise on weight decay; as above.
    """

    nets: Mapping[str, tuple[Ordering, ...]]
    rates: tuple[Ordering, ...] = ()
    drops: tuple[Ordering, ...] = ()
    interplay: Interplay | None = None


def answer(results: Results) -> Answers:
    """Make all comparisons."""
    wrong = {name: results.wrong(name) for name in results.runs}
    wanted = {family: list(combinations(names, 2)) for family, names in FAMILIES.items()}
    found = iter(compare_errors(wrong, pairs=[pair for pairs in wanted.values() for pair in pairs]))
    nets = {family: tuple(next(found) for _ in pairs) for family, pairs in wanted.items()}
    if not results.exercises:
        return Answers(nets)
    swapped, dropped = list(combinations(SWAPPED, 2)), list(combinations(UNITS_OR_WEIGHTS, 2))
    excess, error, p = _test_interplay(results)
    pairs = compare_errors(wrong, pairs=[*swapped, *dropped], beside=() if p is None else (p,))
    known = [pair.p_value for pair in pairs if pair.p_value is not None]
    adjusted = None if p is None else adjust([*known, p])[-1]
    interplay = _weigh_interplay(results, excess, error, adjusted)
    return Answers(nets, pairs[: len(swapped)], pairs[len(swapped) :], interplay)


def _test_interplay(results: Results) -> tuple[float, float, float | None]:
    """Return the excess, its error, both as shares, and its p value."""
    plain, decayed, dropped, both = (results.wrong(name).astype(int) for name in _crossed_nets(results))
    return mean_test(both - decayed - dropped + plain)


def _weigh_interplay(results: Results, excess: float, error: float, p_adjusted: float | None) -> Interplay:
    plain, *others = (results.final(name).mean() for name in _crossed_nets(results))
    decayed, dropped, both = (float(other - plain) for other in others)
    return Interplay(
        weight_decay=results.decays[1],
        decayed=decayed,
        dropped=dropped,
        both=both,
        excess=excess * results.tested_on,
        error=error * results.tested_on,
        p_adjusted=p_adjusted,
        supported=judge(p_adjusted, results.repeats),
    )


def _crossed_nets(results: Results) -> tuple[str, str, str, str]:
    """Return the nets with neither, with weight decay, with dropout, and with both."""
    decay = results.decays[1]
    return NONE, name_decay((0.0, 0.0), decay), name_rates(*DECAY_RATES), name_decay(DECAY_RATES, decay)

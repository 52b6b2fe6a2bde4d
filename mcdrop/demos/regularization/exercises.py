"""The exercises of Dive into Deep Learning's chapter on dropout, as trainings of a 256-256 perceptron.

Which rate where; the variance of activations; dropout and weight decay together; weights dropped in place of units.

References:
    Zhang, A., Lipton, Z. C., Li, M. and Smola, A. J. (2023). Dive into Deep Learning. https://d2l.ai/ (the exercises
    of the section "Dropout").
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mcdrop.demos.recipe import Recipe
from mcdrop.demos.regularization.nets import TwoLayers

__all__ = [
    "DECAY_RATES",
    "HALF",
    "NONE",
    "RATES",
    "SPOKEN_EXERCISES",
    "SWAPPED",
    "UNITS_OR_WEIGHTS",
    "Variant",
    "name_decay",
    "name_rates",
    "plan",
]

RATES = (0.0, 0.2, 0.5)
"""Dropout rates that are tried in either layer."""

DECAY_RATES = (0.2, 0.5)
"""Dropout rates beside weight decay: the chapter's own."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One net of an exercise and how it is trained."""

    net: TwoLayers
    recipe: Recipe


def name_rates(first: float, second: float) -> str:
    """Return the name of the net with these dropout rates after its first and second hidden layer."""
    return f"rates_{100 * first:.0f}_{100 * second:.0f}"


def name_decay(rates: tuple[float, float], decay: float) -> str:
    """Return the name of the net with these rates that is trained with a weight decay."""
    return name_rates(*rates) + (f"_decay_{decay:g}" if decay else "")


NONE = name_rates(0.0, 0.0)
HALF = name_rates(0.5, 0.5)
SWAPPED = MappingProxyType(
    {NONE: "no dropout", name_rates(0.2, 0.5): "20%, then 50%", name_rates(0.5, 0.2): "50%, then 20%"}
)
"""The chapter's rates and the same rates swapped, beside no dropout, and what they are called."""

UNITS_OR_WEIGHTS = MappingProxyType(
    {
        NONE: "nothing",
        HALF: "50% of units (dropout, a mask for every digit)",
        "weights": "50% of weights (DropConnect, a mask for every batch)",
    }
)
"""What is dropped at the same places and rates, and what it is called."""

SPOKEN_EXERCISES = MappingProxyType(
    {
        NONE: "the net without dropout",
        name_rates(0.2, 0.5): "the net that drops 20%, then 50%",
        name_rates(0.5, 0.2): "the net that drops 50%, then 20%",
        HALF: "the net that drops 50% of its units",
        "weights": "the net that drops 50% of its weights",
    }
)
"""What the nets that are compared are called in sentences."""


def plan(recipe: Recipe, decays: tuple[float, ...]) -> Mapping[str, Variant]:
    """Return every net of the exercises by its name; a net that two exercises need is trained once.

    Args:
        recipe: How they are trained, without weight decay.
        decays: Weight decays, 0 among them.
    """
    variants = {name_rates(a, b): Variant(TwoLayers((a, b)), recipe) for a in RATES for b in RATES}
    for rates in ((0.0, 0.0), DECAY_RATES):
        for decay in decays:
            variants[name_decay(rates, decay)] = Variant(TwoLayers(rates), replace(recipe, weight_decay=decay))
    variants["weights"] = Variant(TwoLayers((0.5, 0.5), drops="weights"), recipe)
    return variants

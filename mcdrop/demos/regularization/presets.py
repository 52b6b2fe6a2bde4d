"""How much the regularization demo computes: its presets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mcdrop.demos.recipe import Recipe

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """How the nets are trained, how often, and on how much.

    Attributes:
        mlp: How the three perceptrons are trained.
        lenet: How the two LeNets are trained.
        exercise: How the small perceptrons of the exercises are trained.
        repeats: With how many seeds.
        exercise_on: How many digits the small perceptrons learn from (None: all). On few, regularization has more to
            do, and a training is short.
        decays: Weight decays of the exercise on them, 0 first.
        passes: Greatest number of averaged passes.
        groups: How many averages of that many passes are taken.
        trained_on: How many digits the nets learn from (None: all).
        tested_on: How many held-out digits are used (None: all).
    """

    mlp: Recipe
    lenet: Recipe
    exercise: Recipe
    repeats: int = 3
    exercise_on: int | None = 1000
    decays: tuple[float, ...] = (0.0, 1e-3, 3e-3, 1e-2)
    passes: int = 100
    groups: int = 5
    trained_on: int | None = None
    tested_on: int | None = None

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes by the family of nets."""
        return {"mlp": self.mlp, "lenet": self.lenet, "exercise": self.exercise}


_SGD = Recipe(1500, 0.1, optimizer="sgd", schedule="constant")
_EXERCISE = Recipe(100, 0.5, optimizer="sgd", schedule="cosine", batch_size=256)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "default": Preset(
            Recipe(30, 1e-3, schedule="cosine"),
            Recipe(14, 2e-3, batch_size=64),
            Recipe(40, 0.2, optimizer="sgd", schedule="cosine", batch_size=32),
        ),
        "paper": Preset(_SGD, replace(_SGD, lr=0.01), _EXERCISE, repeats=1, passes=1000, exercise_on=None),
        "tiny": Preset(
            Recipe(3, 2e-3, schedule="cosine"),
            Recipe(2, 2e-3, schedule="cosine"),
            Recipe(3, 0.2, optimizer="sgd", schedule="cosine", batch_size=32),
            repeats=2,
            exercise_on=200,
            decays=(0.0, 1e-3),
            passes=5,
            groups=2,
            trained_on=300,
            tested_on=100,
        ),
    }
)
"""default: under six minutes on two cores; paper: the tutorial's SGD and 1,500 epochs, for a GPU; tiny: seconds,
to see that it works."""

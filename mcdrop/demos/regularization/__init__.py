"""The tutorial's first half: dropout as regularization."""

from mcdrop.demos.regularization.demo import run_regularization
from mcdrop.demos.regularization.presets import PRESETS, Preset

__all__ = ["PRESETS", "Preset", "run_regularization"]

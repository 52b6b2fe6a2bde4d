"""The tutorial's classification demo: digits that are turned until the nets no longer know them."""

from mcdrop.demos.digits.demo import run_digits
from mcdrop.demos.digits.recipes import PRESETS, Preset, Recipe

__all__ = ["PRESETS", "Preset", "Recipe", "run_digits"]

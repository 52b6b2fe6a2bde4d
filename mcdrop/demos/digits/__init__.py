"""The tutorial's classification demo: digits that are turned until the nets no longer know them."""

from mcdrop.demos.digits.demo import run_digits
from mcdrop.demos.digits.presets import PRESETS, Preset

__all__ = ["PRESETS", "Preset", "run_digits"]

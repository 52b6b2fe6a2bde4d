"""The tutorial's regression demo: the Mauna Loa CO2 series, extrapolated."""

from mcdrop.demos.co2.demo import PRESETS, Preset, Recipe, run_co2

__all__ = ["PRESETS", "Preset", "Recipe", "run_co2"]

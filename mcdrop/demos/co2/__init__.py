"""The tutorial's regression demo: the Mauna Loa CO2 series, extrapolated."""

from mcdrop.demos.co2.demo import GP, PRESETS, Preset, run_co2

__all__ = ["GP", "PRESETS", "Preset", "run_co2"]

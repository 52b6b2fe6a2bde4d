"""Comparison: predictions of several models for the same points, scored in one table with its uncertainty."""

from mcdrop.comparison.contest import compare
from mcdrop.comparison.table import Comparison

__all__ = ["Comparison", "compare"]

"""Passes on thinned networks, by ideas: tracing, what acts on units, layers on slices, running, whether it pays."""

from mcdrop.execution.thinning.promise import is_promising, is_worth
from mcdrop.execution.thinning.thinned import Thinned, make_thinned

__all__ = ["Thinned", "is_promising", "is_worth", "make_thinned"]

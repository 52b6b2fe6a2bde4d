"""Passes on thinned networks, by ideas: tracing, what acts on units, layers on slices, running."""

from mcdrop.execution.thinning.thinned import Thinned, make_thinned

__all__ = ["Thinned", "make_thinned"]

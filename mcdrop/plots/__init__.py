"""Figures: one file each; every function draws what it is given and returns its Axes (ArviZ: figure), no statistics."""

from mcdrop.plots.band import plot_band
from mcdrop.plots.bands import plot_bands
from mcdrop.plots.class_probs import plot_class_probs
from mcdrop.plots.coverage import plot_coverage
from mcdrop.plots.curves import plot_curves
from mcdrop.plots.envelope import plot_envelope
from mcdrop.plots.image_strip import plot_image_strip
from mcdrop.plots.measure_distribution import plot_measure_distribution
from mcdrop.plots.measures import plot_measures
from mcdrop.plots.posterior import plot_autocorrelation, plot_forest, plot_trace
from mcdrop.plots.refusal import plot_refusal
from mcdrop.plots.refused_error import plot_refused_error
from mcdrop.plots.reliability import plot_reliability
from mcdrop.plots.shift import plot_shift
from mcdrop.plots.softmax_scatter import plot_softmax_scatter

__all__ = [
    "plot_autocorrelation",
    "plot_band",
    "plot_bands",
    "plot_class_probs",
    "plot_coverage",
    "plot_curves",
    "plot_envelope",
    "plot_forest",
    "plot_image_strip",
    "plot_measure_distribution",
    "plot_measures",
    "plot_refusal",
    "plot_refused_error",
    "plot_reliability",
    "plot_shift",
    "plot_softmax_scatter",
    "plot_trace",
]

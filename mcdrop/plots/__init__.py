"""Figures: one file each; every function draws on an Axes and returns it, and computes no statistics."""

from mcdrop.plots.band import plot_band
from mcdrop.plots.class_probs import plot_class_probs
from mcdrop.plots.image_strip import plot_image_strip
from mcdrop.plots.measures import plot_measures
from mcdrop.plots.softmax_scatter import plot_softmax_scatter

__all__ = ["plot_band", "plot_class_probs", "plot_image_strip", "plot_measures", "plot_softmax_scatter"]

"""Scores: numbers per point that come from a prediction and the truth, and the curves drawn from them."""

from mcdrop.scores.calibration import CoverageCurve, ReliabilityCurve, coverage_curve, reliability_curve
from mcdrop.scores.classification import brier, categorical_nll, correct
from mcdrop.scores.ranking import RefusalCurve, RefusedErrorCurve, auroc, refusal_curve, refused_error_curve
from mcdrop.scores.regression import (
    covered,
    crps_gaussian,
    crps_samples,
    gaussian_nll,
    interval_score,
    pit,
    squared_error,
)

__all__ = [
    "CoverageCurve",
    "RefusalCurve",
    "RefusedErrorCurve",
    "ReliabilityCurve",
    "auroc",
    "brier",
    "categorical_nll",
    "correct",
    "coverage_curve",
    "covered",
    "crps_gaussian",
    "crps_samples",
    "gaussian_nll",
    "interval_score",
    "pit",
    "refusal_curve",
    "refused_error_curve",
    "reliability_curve",
    "squared_error",
]

"""Baselines to compare MC dropout with: fitted models that give the same result types."""

from mcdrop.baselines.gp_classification import GPClassifier
from mcdrop.baselines.gp_regression import GPRegressor

__all__ = ["GPClassifier", "GPRegressor"]

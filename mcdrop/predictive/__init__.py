"""The result types: what T passes say about N points."""

from mcdrop.predictive.classification import ClassificationPredictive
from mcdrop.predictive.regression import RegressionPredictive

__all__ = ["ClassificationPredictive", "RegressionPredictive"]

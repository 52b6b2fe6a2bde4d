"""Estimators for scikit-learn: MC dropout wherever its pipelines, searches and scores go."""

from mcdrop.sklearn.classifier import MCDropoutClassifier
from mcdrop.sklearn.regressor import MCDropoutRegressor

__all__ = ["MCDropoutClassifier", "MCDropoutRegressor"]

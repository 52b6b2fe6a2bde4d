"""Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""

from mcdrop.errors import (
    DataError,
    ExecutionError,
    InputError,
    McdropError,
    NetError,
    NoDropoutError,
    OutputError,
    SilentDropoutWarning,
    TrainingError,
)
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sampler import MCDropout

__all__ = [
    "ClassificationPredictive",
    "DataError",
    "ExecutionError",
    "InputError",
    "MCDropout",
    "McdropError",
    "NetError",
    "NoDropoutError",
    "OutputError",
    "RegressionPredictive",
    "SilentDropoutWarning",
    "TrainingError",
]

"""Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcdrop.errors import (
    ConvergenceWarning,
    DataError,
    DependencyError,
    ExecutionError,
    InputError,
    McdropError,
    NetError,
    NoDropoutError,
    OutputError,
    RowMaskWarning,
    SilentDropoutWarning,
    TrainingError,
    UncountedDrawsWarning,
)
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sampler import MCDropout

if TYPE_CHECKING:
    from mcdrop import baselines, datasets, layers, networks, plots, precision, scores, training
    from mcdrop.comparison import compare
    from mcdrop.loading import load

__all__ = [
    "ClassificationPredictive",
    "ConvergenceWarning",
    "DataError",
    "DependencyError",
    "ExecutionError",
    "InputError",
    "MCDropout",
    "McdropError",
    "NetError",
    "NoDropoutError",
    "OutputError",
    "RegressionPredictive",
    "RowMaskWarning",
    "SilentDropoutWarning",
    "TrainingError",
    "UncountedDrawsWarning",
    "baselines",
    "compare",
    "datasets",
    "layers",
    "load",
    "networks",
    "plots",
    "precision",
    "scores",
    "training",
]

_FUNCTIONS = {"compare": "mcdrop.comparison", "load": "mcdrop.loading"}


def __getattr__(name: str) -> Any:
    """Import a submodule or function when it is first asked for, so that `import mcdrop` stays light."""
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    if name in {"baselines", "datasets", "layers", "networks", "plots", "precision", "scores", "training"}:
        return import_module(f"mcdrop.{name}")
    raise AttributeError(f"module 'mcdrop' has no attribute {name!r}")

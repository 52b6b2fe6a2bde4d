"""Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcdrop.errors import (
    DataError,
    ExecutionError,
    InputError,
    McdropError,
    NetError,
    NoDropoutError,
    OutputError,
    RowMaskWarning,
    SilentDropoutWarning,
    TrainingError,
)
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sampler import MCDropout

if TYPE_CHECKING:
    from mcdrop import baselines, datasets, networks, plots, training

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
    "RowMaskWarning",
    "SilentDropoutWarning",
    "TrainingError",
    "baselines",
    "datasets",
    "networks",
    "plots",
    "training",
]


def __getattr__(name: str) -> Any:
    """Import a submodule when it is first asked for, so that `import mcdrop` stays light."""
    if name in {"baselines", "datasets", "networks", "plots", "training"}:
        return import_module(f"mcdrop.{name}")
    raise AttributeError(f"module 'mcdrop' has no attribute {name!r}")

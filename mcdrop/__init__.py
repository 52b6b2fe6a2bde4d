"""Monte Carlo dropout: honest uncertainty from any trained PyTorch network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcdrop.errors import (
    ClusterError,
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
    UnsettledRowsWarning,
)
from mcdrop.predictive import ClassificationPredictive, RegressionPredictive
from mcdrop.sampler import MCDropout

if TYPE_CHECKING:
    from mcdrop import (
        baselines,
        datasets,
        distributed,
        layers,
        lightning,
        models,
        networks,
        plots,
        precision,
        scores,
        sklearn,
        sources,
        training,
    )
    from mcdrop.bulk import predict_file
    from mcdrop.comparison import compare
    from mcdrop.loading import load

__all__ = [
    "ClassificationPredictive",
    "ClusterError",
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
    "UnsettledRowsWarning",
    "baselines",
    "compare",
    "datasets",
    "distributed",
    "layers",
    "lightning",
    "load",
    "models",
    "networks",
    "plots",
    "precision",
    "predict_file",
    "scores",
    "sklearn",
    "sources",
    "training",
]

_FUNCTIONS = {"compare": "mcdrop.comparison", "load": "mcdrop.loading", "predict_file": "mcdrop.bulk"}

if not TYPE_CHECKING:  # else any name would do

    def __getattr__(name: str) -> Any:
        """Import a submodule or function when it is first asked for, so that `import mcdrop` stays light."""
        if name in _FUNCTIONS:
            return getattr(import_module(_FUNCTIONS[name]), name)
        if name in __all__ and name.islower():
            return import_module(f"mcdrop.{name}")
        raise AttributeError(f"module 'mcdrop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

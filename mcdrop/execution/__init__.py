"""How T passes run: one file a strategy."""

from mcdrop.execution.asked import Asked, read_predict_options
from mcdrop.execution.likelihood import fit_precision, log_likelihood
from mcdrop.execution.noise import Masks
from mcdrop.execution.options import Execution, LastLayer, Options, PredictOptions, RunOptions, Sampling, read_options
from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.recall import Recall
from mcdrop.execution.rounds import Stopping
from mcdrop.execution.run import Run
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.targets import Targets, read_targets
from mcdrop.execution.twin import make_twin, structural_twin

__all__ = [
    "PROBE_ROWS",
    "Asked",
    "Execution",
    "LastLayer",
    "Masks",
    "Options",
    "Plan",
    "PredictOptions",
    "Recall",
    "Run",
    "RunOptions",
    "Sampling",
    "Stopping",
    "Targets",
    "Twin",
    "fit_precision",
    "log_likelihood",
    "make_twin",
    "read_options",
    "read_predict_options",
    "read_targets",
    "structural_twin",
    "survey",
]

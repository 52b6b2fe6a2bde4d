"""How T passes run: one file a strategy."""

from mcdrop.execution.noise import Masks
from mcdrop.execution.plan import Plan
from mcdrop.execution.run import Run
from mcdrop.execution.strategy import Execution
from mcdrop.execution.survey import PROBE_ROWS, survey
from mcdrop.execution.twin import structural_twin

__all__ = ["PROBE_ROWS", "Execution", "Masks", "Plan", "Run", "structural_twin", "survey"]

"""Training of networks on arrays that fit in memory, which may be interrupted and resumed."""

from mcdrop.training.fitting import fit
from mcdrop.training.history import History
from mcdrop.training.schedules import Schedule
from mcdrop.training.steps import Optimizer

__all__ = ["History", "Optimizer", "Schedule", "fit"]

"""MC dropout in Lightning: `trainer.predict` gives predictives, by a callback or by a mixin of the module."""

from mcdrop.lightning.callback import MCDropoutCallback
from mcdrop.lightning.mixin import PredictMixin
from mcdrop.predictive import joined

__all__ = ["MCDropoutCallback", "PredictMixin", "joined"]

"""What a net returns: which part of it to predict, and what the numbers mean."""

from mcdrop.outputs.choice import Output, Selection, check_output, one_tensor
from mcdrop.outputs.gaussian import GaussianReader
from mcdrop.outputs.logits import LogitReader, Outputs, is_model_output, put_classes_last
from mcdrop.outputs.numbers import (
    check_finite,
    check_log_variances,
    require_floating,
    require_real,
    rows_numbered,
)
from mcdrop.outputs.packing import Packing

__all__ = [
    "GaussianReader",
    "LogitReader",
    "Output",
    "Outputs",
    "Packing",
    "Selection",
    "check_finite",
    "check_log_variances",
    "check_output",
    "is_model_output",
    "one_tensor",
    "put_classes_last",
    "require_floating",
    "require_real",
    "rows_numbered",
]

"""Data sets larger than memory: from a file of inputs, block by block, to a file of predictions."""

from mcdrop.bulk.blocks import OnNan, Reader, Rows, complete_row
from mcdrop.bulk.files import Written, predict_file
from mcdrop.bulk.output import Format
from mcdrop.bulk.scaling import DividedBy
from mcdrop.bulk.unsettled import gathered, warn_of_all
from mcdrop.bulk.work import Done, Execute, advising, in_process, predicted

__all__ = [
    "DividedBy",
    "Done",
    "Execute",
    "Format",
    "OnNan",
    "Reader",
    "Rows",
    "Written",
    "advising",
    "complete_row",
    "gathered",
    "in_process",
    "predict_file",
    "predicted",
    "warn_of_all",
]

"""The tutorial end to end: one file a demo."""

from mcdrop.demos.co2 import run_co2
from mcdrop.demos.digits import run_digits
from mcdrop.demos.regularization import run_regularization
from mcdrop.demos.report import Check, Report, Table

__all__ = ["Check", "Report", "Table", "run_co2", "run_digits", "run_regularization"]

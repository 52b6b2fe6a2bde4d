"""The tutorial end to end: one folder a demo."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcdrop.demos.report import Check, Report, Table

if TYPE_CHECKING:
    from mcdrop.demos.co2 import run_co2
    from mcdrop.demos.digits import run_digits
    from mcdrop.demos.regularization import run_regularization

__all__ = ["Check", "Report", "Table", "run_co2", "run_digits", "run_regularization"]

if not TYPE_CHECKING:  # else any name would do

    def __getattr__(name: str) -> Any:
        """Import a demo when it is first asked for: a process that trains needs one of them at most."""
        if name in __all__:
            return getattr(import_module(f"mcdrop.demos.{name.removeprefix('run_')}"), name)
        raise AttributeError(f"module 'mcdrop.demos' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

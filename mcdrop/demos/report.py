"""What a demo reports: rows to print, checks of what the tutorial shows, and the same as plain data."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["Check", "Report", "Table", "read_versions"]


def read_versions() -> dict[str, str]:
    """Return the versions that the numbers depend on."""
    return {name: version(name) for name in ("mcdrop", "torch", "numpy")}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the demo should show.

    Attributes:
        name: What is looked at.
        value: What came out.
        bound: Where the line is drawn.
        at_least: Whether the value must be at least the bound, rather than at most.
    """

    name: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the demo shows it."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of text cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of a demo.

    Attributes:
        demo: Name of the demo.
        settings: What it ran with.
        results: Its numbers, nested by model.
        checks: What it should show, and whether it does.
        tables: The numbers to print.
        verdict: Who wins where, in sentences.
        files: The files written.
    """

    demo: str
    settings: dict[str, Any]
    results: dict[str, Any]
    checks: tuple[Check, ...]
    tables: tuple[Table, ...]
    verdict: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def attributes(self) -> dict[str, Any]:
        """Return what tells the run: demo, preset, seed and number of passes."""
        return {"demo": self.demo} | {name: self.settings[name] for name in ("preset", "seed", "passes")}

    def as_dict(self) -> dict[str, Any]:
        """Return what `summary.json` holds."""
        return {
            "demo": self.demo,
            "settings": self.settings,
            "results": self.results,
            "checks": [{**asdict(check), "met": check.met} for check in self.checks],
            "verdict": list(self.verdict),
            "tables": [
                {"title": table.title, "columns": list(table.columns), "rows": [list(row) for row in table.rows]}
                for table in self.tables
            ],
        }

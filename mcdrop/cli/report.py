"""A comparison as text: a table for the screen, CSV or JSON for other programs."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console

    from mcdrop.comparison import Comparison

__all__ = ["judgment", "print_table", "to_csv", "to_json"]


def print_table(console: "Console", table: "Comparison", remarks: Sequence[str] = ()) -> None:
    """Print scores as rows and models as columns, how to read them, and what can be said of them.

    Args:
        console: Where to.
        table: The comparison.
        remarks: What else is to be known, as sentences.
    """
    from rich.markup import escape
    from rich.table import Table

    drawn = Table("score", *map(escape, table.index))
    for column in drawn.columns[1:]:
        column.justify = "right"
    cells = table.cells()
    for score in table.columns:
        unit = table.attrs["units"][score]
        name = score if unit == "1" else f"{score} ({unit})"
        drawn.add_row(escape(name), *(escape(cells.at[model, score]) for model in table.index))
    console.print(drawn)
    legend = str(table).rpartition("\n\n")[2].splitlines()  # what the comparison prints below its own cells
    for sentence in (*remarks, *legend, "", *table.verdict()):
        console.print(sentence, highlight=False, markup=False)


def to_csv(table: "Comparison") -> str:
    """Return one line per model and score, every number to its last digit; an empty cell where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "score", "unit", "value", "error", "judgment"))
    for model in table.index:
        for score in table.columns:
            value, error = _number(table.at[model, score]), _number(table.errors.at[model, score])
            unit = table.attrs["units"][score]
            writer.writerow((model, score, unit, value, error, judgment(table, model, score)))
    return text.getvalue()


def to_json(table: "Comparison", files: Mapping[str, Path], remarks: Sequence[str] = ()) -> str:
    """Return the comparison as JSON, with files, verdict and notes; an infinite number is the text "inf".

    Args:
        table: The comparison.
        files: The file of each model.
        remarks: What else is to be known, as sentences.
    """
    scores: dict[str, Any] = {}
    for score in table.columns:
        scores[score] = {"unit": table.attrs["units"][score], "better": table.directions[score], "models": {}}
        for model in table.index:
            value, error = _plain(table.at[model, score]), _plain(table.errors.at[model, score])
            cell = {"value": value, "error": error, "judgment": judgment(table, model, score)}
            scores[score]["models"][model] = cell
    about = {name: table.attrs[name] for name in ("points", "groups", "resamples", "seed")}
    said = {"verdict": table.verdict(), "notes": [*remarks, *table.notes]}
    named = {model: str(path) for model, path in files.items()}
    return json.dumps({"files": named, **about, "scores": scores, **said}, indent=2, allow_nan=False) + "\n"


def judgment(table: "Comparison", model: str, score: str) -> str:
    """Return "best", "within noise" (of the best) or "worse" (farther from a target); empty where nobody can say."""
    if not table.best[score].any():
        return ""
    if table.best.at[model, score]:
        return "best"
    if table.tied.at[model, score]:
        return "within noise"
    value, error = _number(table.at[model, score]), _number(table.errors.at[model, score])
    return "worse" if value is not None and (error is not None or math.isinf(value)) else ""


def _number(value: Any) -> float | None:
    """Return a cell's number; a gap, which is `pandas.NA` or NaN, is None."""
    return float(value) if isinstance(value, float | np.floating) and not math.isnan(value) else None


def _plain(value: Any) -> float | str | None:
    number = _number(value)
    return str(number) if number is not None and math.isinf(number) else number

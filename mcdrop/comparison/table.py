"""The table of a comparison: scores with their errors, the best marked, and what can be said of the others."""

import math
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mcdrop.comparison.columns import Direction
from mcdrop.comparison.judging import noise_limit
from mcdrop.errors import InputError

__all__ = ["Comparison"]

Floats = NDArray[np.float64]


class Comparison(pd.DataFrame):  # type: ignore[misc]  # pandas has no types
    """Scores of several models at the same points: a DataFrame, one row per model, one column per score.

    Printed, it shows each value with its standard error, `*` at the best and `~` at those within noise of it.
    Selections and copies of it are plain DataFrames. It may be sorted in place; once values or labels were changed in
    place, it prints as a plain DataFrame and has no verdict. Where a model does not have a score, the cell is
    `pandas.NA` and a note says why. `attrs["units"]` holds the unit of every score, `attrs["points"]`,
    `attrs["groups"]` and `attrs["resamples"]` how many points, groups of them and bootstrap resamples it rests on.

    Attributes:
        errors: Bootstrap standard error of every value.
        best: Which value is the best of its column; nowhere with a single model, or if no direction is better.
        tied: Which value is not the best, but differs from it by no more than noise: about 2 standard errors of the
            difference, for few points more (see `compare`). A finite value without error is neither best nor tied.
        directions: For each score "lower" or "higher", whichever is better, the target value it should come
            close to, or None if it is neither good nor bad by itself.
        notes: What the reader should know, as sentences.
    """

    _metadata = ["errors", "best", "tied", "directions", "notes", "_scored"]  # noqa: RUF012  # pandas wants a list

    errors: pd.DataFrame
    best: pd.DataFrame
    tied: pd.DataFrame
    directions: dict[str, Direction]
    notes: list[str]
    _scored: pd.DataFrame

    def __init__(
        self,
        values: Floats,
        errors: Floats,
        *,
        best: NDArray[np.bool_],
        tied: NDArray[np.bool_],
        models: Sequence[str],
        directions: Mapping[str, Direction],
        notes: Sequence[str],
        attrs: Mapping[str, Any],
    ) -> None:
        """Make the table of (M, S) arrays; NaN marks a score that a model does not have."""
        axes = {"index": pd.Index(models, name="model"), "columns": pd.Index(list(directions), name=None)}
        super().__init__(_nullable(values, **axes))
        self.errors = _nullable(errors, **axes)
        self.best, self.tied = pd.DataFrame(best, **axes), pd.DataFrame(tied, **axes)
        self.directions, self.notes = dict(directions), list(notes)
        self.attrs = dict(attrs)
        self._scored = pd.DataFrame(self, copy=True)

    def verdict(self) -> list[str]:
        """Return one sentence per score: who is best, who is within noise of that, and who is worse.

        Raises:
            InputError: If values or labels were changed in place.
        """
        self._check_unchanged()
        return [self._judge(score) for score in self.columns]

    def __repr__(self) -> str:
        if not self._unchanged():
            return str(super().__repr__())
        width = shutil.get_terminal_size((120, 24)).columns
        return "\n".join([self.cells().to_string(line_width=width), "", *self._legend()])

    def _repr_html_(self) -> str:
        if not self._unchanged():
            return str(super()._repr_html_())
        lines = "<br>\n".join(escape(line) for line in self._legend())
        return f"{self.cells().to_html()}\n<p>{lines}</p>"

    def cells(self) -> pd.DataFrame:
        """Return what is shown: value, error and mark as text.

        Raises:
            InputError: If values or labels were changed in place.
        """
        self._check_unchanged()
        texts = [
            [self._text(model, score) + self._mark(model, score) for score in self.columns] for model in self.index
        ]
        return pd.DataFrame(texts, index=self.index, columns=self.columns, dtype=object).rename_axis(index=None)

    def _unchanged(self) -> bool:
        """Return whether this is still what was scored, in whatever order."""
        for axis, scored in ((self.index, self._scored.index), (self.columns, self._scored.columns)):
            if len(axis) != len(scored) or not set(axis) == set(scored):
                return False
        return bool(self._scored.loc[list(self.index), list(self.columns)].equals(pd.DataFrame(self)))

    def _check_unchanged(self) -> None:
        if not self._unchanged():
            raise InputError(
                "a comparison can be judged as long as it holds what was scored, got one whose values or labels were "
                "changed in place; change a copy of it, table.copy()"
            )

    def _legend(self) -> list[str]:
        points, groups = self.attrs["points"], self.attrs["groups"]
        together = "" if points == groups else f" in {groups:,} groups"
        rests = f"{points:,} points{together}, {self.attrs['resamples']:,} bootstrap resamples"
        lines = [f"value ± standard error ({rests})"]
        if len(self) > 1:
            lines.append(
                f"* best; ~ within noise of the best: they differ by at most {noise_limit(groups):.2f} standard errors "
                f"of the difference (95% of Student's t, {groups - 1:,} degrees of freedom)"
            )
        return [*lines, *self.notes]

    def _mark(self, model: str, score: str) -> str:
        return "*" if self.best.at[model, score] else "~" if self.tied.at[model, score] else " "

    def _text(self, model: str, score: str) -> str:
        value, error = self.at[model, score], self.errors.at[model, score]
        return "-" if pd.isna(value) else _format(float(value), None if pd.isna(error) else float(error))

    def _judge(self, score: str) -> str:
        texts = {model: self._text(model, score) for model in self.index}
        scored = [model for model in self.index if texts[model] != "-"]
        winners = [model for model in scored if self.best.at[model, score]]
        if not winners:
            return f"{score}: " + (", ".join(f"{model} {texts[model]}" for model in scored) or "no model has it")
        direction = self.directions[score]
        title = f"closest to {direction:g}" if isinstance(direction, float) else "best"
        judged = [m for m in scored if pd.notna(self.errors.at[m, score]) or math.isinf(self.at[m, score])]
        parts = [f"{_join(winners)} {'is' if len(winners) == 1 else 'are equally'} {title}, {texts[winners[0]]}"]
        for predicate, chosen in (
            ("within noise", [model for model in judged if self.tied.at[model, score]]),
            (
                "farther" if isinstance(direction, float) else "worse",
                [model for model in judged if model not in winners and not self.tied.at[model, score]],
            ),
            ("not judged", [model for model in scored if model not in judged]),
        ):
            if chosen:
                named = _join([f"{model} ({texts[model]})" for model in chosen])
                parts.append(f"{named} {'is' if len(chosen) == 1 else 'are'} {predicate}")
        return f"{score}: " + "; ".join(parts)


def _nullable(values: Floats, **axes: pd.Index) -> pd.DataFrame:
    """Return a table of floats; columns with gaps hold pandas.NA, which no sum or comparison passes over in silence."""
    table = pd.DataFrame(values, **axes)
    gaps = dict.fromkeys(table.columns[np.isnan(values).any(axis=0)], "Float64")
    return table.astype(gaps)


def _format(value: float, error: float | None) -> str:
    """Return value and error with as many decimals as give the error two digits."""
    if error is None:
        return f"{value:.4g}"
    if error == 0:
        return f"{value:.4g} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    if decimals > 6 or abs(value) >= 1e6:
        return f"{value:.4g} ± {error:.2g}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _join(names: Sequence[str]) -> str:
    """Return a list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""What the shift protocol shows: tables for the screen, and who wins where in sentences."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mcdrop.demos.digits.shift import MODELS, SHIFT_ANGLES
from mcdrop.demos.digits.shift_scores import MEASURES, REFUSED, SCORES, TURNED, WRONG, ShiftScores
from mcdrop.demos.digits.sweep import TITLES
from mcdrop.demos.report import Table

__all__ = ["tabulate_shift", "write_verdict"]

_SHOWN = (0, 45, 90, 180)
"""Angles of the table."""

_UNITS = {"NLL": "NLL (nats)"}
_SHARES = ("accuracy", "ECE")
_LEGEND = "* best, ~ within noise of it"


def tabulate_shift(scores: ShiftScores) -> tuple[Table, ...]:
    """Return the tables: by angle, over all angles, AUROC, and what refusing the least certain answers gains."""
    kept = [f"accuracy at {share:.0%} refused" for share in REFUSED]
    every = f"over all {len(SHIFT_ANGLES)} angles"
    return (
        _by_angle(scores),
        _overall(scores, f"Scores {every} ({_LEGEND})", SCORES, [_UNITS.get(name, name) for name in SCORES]),
        _overall(scores, f"AUROC, turned from upright digits, {every} ({_LEGEND})", TURNED, MEASURES),
        _overall(scores, f"AUROC, wrong from right answers, {every} ({_LEGEND})", WRONG, MEASURES),
        _overall(
            scores,
            f"Accuracy of the answers kept, {every}, when those of highest entropy are refused ({_LEGEND})",
            ("accuracy", *kept),
            [f"{share:.0%} refused" for share in (0.0, *REFUSED)],
        ),
    )


def write_verdict(
    scores: ShiftScores, *, trained_on: int, gp_trained_on: int | None, brought: Collection[str] = ()
) -> tuple[str, ...]:
    """Say who wins where.

    Args:
        scores: The protocol's scores.
        trained_on: How many digits the nets that were trained learned from.
        gp_trained_on: How many the Gaussian process learned from; None without one.
        brought: Names of the nets whose weights were brought.
    """
    sentences = [
        f"Shift protocol: {scores.digits:,} held-out digits, each turned by 0° to 180°; the right answer stays that of "
        "the digit as written, although a 6 and a 9 turn into each other, and a 0, 1 or 8 into itself."
    ]
    learned = dict.fromkeys((TITLES[name] for name in brought), "brought with its weights")
    learned |= {title: f"learned from {trained_on:,} digits" for name, title in TITLES.items() if name not in brought}
    if gp_trained_on is not None:
        learned[MODELS["gp"]] = f"learned from {gp_trained_on:,} digits"
    sentences.append("; ".join(f"{title}: {how}" for title, how in learned.items()) + ".")
    sentences += [_winners_by_angle(scores, score) for score in SCORES]
    sentences.append(_winners_overall(scores))
    sentences.append(_ranking(scores, "Telling turned from upright digits", TURNED))
    sentences.append(_ranking(scores, "Telling wrong from right answers", WRONG))
    sentences.append(_refusing(scores, REFUSED[1]))
    return tuple(sentences)


def _by_angle(scores: ShiftScores) -> Table:
    rows = []
    places = [int(np.flatnonzero(angle == SHIFT_ANGLES)[0]) for angle in _SHOWN]
    for score in ("accuracy", "NLL", "ECE"):
        curve = scores.curves[score]
        for row, model in enumerate(curve.models):
            marks = [_mark(curve.best[row, k], curve.near[row, k]) for k in places]
            cells = [_cell(score, curve.values[row, k]) + mark for k, mark in zip(places, marks, strict=True)]
            rows.append((_UNITS.get(score, score), model, *cells))
    title = f"{scores.digits:,} held-out digits, turned ({_LEGEND})"
    return Table(title, ("score", "model", *(f"{angle}°" for angle in _SHOWN)), tuple(rows))


def _overall(scores: ShiftScores, title: str, columns: Sequence[str], headings: Sequence[str]) -> Table:
    table = scores.overall
    rows = tuple(
        (
            model,
            *(
                _cell(name, table.at[model, name]) + _mark(table.best.at[model, name], table.tied.at[model, name])
                for name in columns
            ),
        )
        for model in scores.models
    )
    return Table(title, ("model", *headings), rows)


def _cell(score: str, value: float) -> str:
    if pd.isna(value):
        return "-"
    if score in _SHARES or score.startswith("accuracy"):
        return f"{value:.1%}"
    return f"{value:.3f}" if score.startswith("AUROC") else f"{value:.2f}"


def _mark(best: bool, near: bool) -> str:
    return "*" if best else "~" if near else " "


def _winners_by_angle(scores: ShiftScores, score: str) -> str:
    """Say at which angles each model is the best or cannot be told from it, who wins most often first."""
    curve = scores.curves[score]
    leads = {model: np.flatnonzero(curve.best[k] | curve.near[k]) for k, model in enumerate(curve.models)}
    order = sorted(leads, key=lambda model: -len(leads[model]))
    parts = [f"{model} at {_angles(leads[model])}" for model in order if len(leads[model])]
    nowhere = [model for model in order if not len(leads[model])]
    if nowhere:
        parts.append(f"nowhere: {' and '.join(nowhere)}")
    return f"{score}, best or within noise of the best: {'; '.join(parts)}."


def _angles(places: NDArray[np.intp]) -> str:
    """Return angles in words, neighbors as a range: 0° to 30°, 60°."""
    runs = np.split(SHIFT_ANGLES[places], np.flatnonzero(np.diff(places) > 1) + 1)
    return ", ".join(f"{run[0]}°" if len(run) == 1 else f"{run[0]}° to {run[-1]}°" for run in runs)


def _winners_overall(scores: ShiftScores) -> str:
    """Say which model is best over all angles."""
    parts = []
    for score in SCORES:
        best = [model for model in scores.models if scores.overall.best.at[model, score]]
        tied = [model for model in scores.models if scores.overall.tied.at[model, score]]
        value = _cell(score, scores.overall.at[best[0], score]) if best else "-"
        near = f", within noise of {' and '.join(tied)}" if tied else ""
        parts.append(f"{_UNITS.get(score, score)} {' and '.join(best)} {value}{near}")
    return f"Over all angles, best: {'; '.join(parts)}."


def _ranking(scores: ShiftScores, task: str, columns: Sequence[str]) -> str:
    """Say how well each model does a task by the best of its measures."""
    found = []
    for model in scores.models:
        known = [name for name in columns if not pd.isna(scores.overall.at[model, name])]
        if known:
            name = max(known, key=lambda column: scores.overall.at[model, column])
            value = scores.overall.at[model, name]
            found.append((value, f"{model} {value:.3f} ({name.split(', ')[1]})"))
    if not found:
        return f"{task}: no model can be scored, all answers are of one kind."
    texts = [text for _, text in sorted(found, key=lambda entry: -entry[0])]
    return f"{task} (AUROC over all angles, each by its best measure): {', '.join(texts)}."


def _refusing(scores: ShiftScores, share: float) -> str:
    """Say who gains most accuracy by refusing the least certain answers."""
    name = f"accuracy at {share:.0%} refused"
    gains = {model: scores.overall.at[model, name] - scores.overall.at[model, "accuracy"] for model in scores.models}
    order = sorted(scores.models, key=lambda model: -scores.overall.at[model, name])
    texts = [f"{model} {scores.overall.at[model, name]:.1%} (+{100 * gains[model]:.1f} points)" for model in order]
    return f"Accuracy over all angles when the {share:.0%} of highest entropy are refused: {', '.join(texts)}."

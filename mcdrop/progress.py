"""Opt-in progress bars: one context manager around rich, silent unless asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "track"]

Advance = Callable[[int], None]
"""Is told how many more steps are done; of passes, each counts once per row."""


@contextmanager
def track(
    total: int | None,
    description: str,
    *,
    enabled: bool | str,
    unit: str | None = None,
    done: int = 0,
    parts: int = 1,
) -> Iterator[Advance]:
    """Show a progress bar with speed and time left while the block runs.

    Args:
        total: Number of steps, or None when it is not known beforehand.
        description: What is going on, shown left of the bar.
        enabled: False makes this a no-op that imports nothing; a text is shown in place of the description.
        unit: What steps are called; they are then shown with their number per second.
        done: How many of them were done before; they do not count for the speed.
        parts: How many parts a step has: what the yielded function counts.

    Yields:
        A function to call with the number of steps, or parts of them, just done.
    """
    if not enabled:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    counts = (MofNCompleteColumn(),) if unit is None else (TextColumn("{task.fields[count]}"),)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *counts,
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        title = enabled if isinstance(enabled, str) else description
        task = bar.add_task(title, total=total, completed=done, count="")
        shown = bar.tasks[0]

        def advance(steps: int) -> None:
            bar.advance(task, steps / parts)
            if unit is not None:
                bar.update(task, count=_count(shown.completed, total, shown.finished_speed or shown.speed, unit))

        yield advance


def _count(done: float, total: int | None, speed: float | None, unit: str) -> str:
    """Say how far it is: 1,024/60,000 points, 350 points/s."""
    number = f"{done:,.0f}" if total is None else f"{done:,.0f}/{total:,}"
    rate = "" if speed is None else f", {speed:,.0f} {unit}/s" if speed >= 10 else f", {speed:,.2g} {unit}/s"
    return f"{number} {unit}{rate}"

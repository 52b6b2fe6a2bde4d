"""Opt-in progress bars: one context manager around rich, silent unless asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "track"]

Advance = Callable[[int], None]
"""Tells a progress bar how many more steps are done."""


@contextmanager
def track(total: int | None, description: str, *, enabled: bool | str) -> Iterator[Advance]:
    """Show a progress bar with speed and time left while the block runs.

    Args:
        total: Number of steps, or None when it is not known beforehand.
        description: What is going on, shown left of the bar.
        enabled: False makes this a no-op that imports nothing; a text is shown in place of the description.

    Yields:
        A function to call with the number of steps just done.
    """
    if not enabled:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(enabled if isinstance(enabled, str) else description, total=total)
        yield lambda steps: bar.advance(task, steps)

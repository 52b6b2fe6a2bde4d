"""What a call of `predict` takes before its first pass: the twin, the survey, tracing, and the first mask.

It is timed directly, in calls with the case's own number of passes: from the call until the engine is ready to run
(when `Run` is made), and how long the first draw of noise takes after that. Then the call is broken off. What a batch
shares between its passes, such as a convolutional backbone, is not start-up but a part of the passes.
"""

import time
from typing import Any
from unittest import mock

from contest import AUTO, Contest

from mcdrop import MCDropout
from mcdrop.execution import Run
from mcdrop.execution.noise import NoiseSource

__all__ = ["startup_milliseconds"]


class _Enough(BaseException):
    """Breaks a call off; no exception that code of the engine might handle."""


def startup_milliseconds(contest: Contest, execution: Any = AUTO) -> float:
    """Time one start.

    Args:
        contest: The case, its net and rows.
        execution: The strategy.
    """
    model = MCDropout(contest.net, task=contest.case.task)
    make, draw = Run.__init__, NoiseSource.draw
    ready: list[float] = []
    first: list[float] = []

    def timed_make(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        ready.append(time.perf_counter())

    def timed_draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        result = draw(self, *args, **kwargs)
        if ready:
            first.append(time.perf_counter() - begin)
            raise _Enough
        return result

    with mock.patch.object(Run, "__init__", timed_make), mock.patch.object(NoiseSource, "draw", timed_draw):
        start = time.perf_counter()
        try:
            model.predict(contest.x, passes=contest.case.passes, execution=execution)
        except _Enough:
            return 1e3 * (ready[0] - start + first[0])
    raise RuntimeError("the engine drew no noise after it was ready; time its start another way")

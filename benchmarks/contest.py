"""The contestants of a case, the turns they take, and what a contest leaves: times, ratios, equal numbers."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from baselines import Moments, choose_copies, eval_forward, replicated_batch, train_loop
from cases import Case
from scipy.stats import f
from torch import Tensor, nn

from mcdrop import ClassificationPredictive, ExecutionError, MCDropout

__all__ = ["AUTO", "BASELINES", "EVAL", "Contest", "quartiles"]

AUTO, EVAL = "auto", "one eval forward"
BASELINES = ("train() loop", "replicated batch")
_WARM_PASSES = 20

Run = Callable[[int, int], Any]
"""Takes the number of passes and of the turn, to key the draws by."""


@dataclass(slots=True)
class Contest:
    """One case: its contestants, and what they took so far.

    Attributes:
        case: What is run.
        net: The net that all contestants share.
        x: The rows.
        copies: How often the replicated batch holds the rows.
        refused: Why a strategy asked for by name does not run the net.
        seconds: Of every contestant, in the order of the turns.
        found: Means and standard deviations of every contestant, turn by turn.
    """

    case: Case
    net: nn.Module = field(init=False)
    x: Tensor = field(init=False)
    copies: int = field(init=False)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, list[Moments]] = field(default_factory=dict)
    _runs: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        case = self.case
        self.net, self.x = case.build(), case.inputs()
        self.copies = choose_copies(self.net, self.x, case.passes, task=case.task)
        net, x, task, copies = self.net, self.x, case.task, self.copies
        self._runs = {
            "train() loop": lambda passes, turn: train_loop(net, x, passes, task=task),
            "replicated batch": lambda passes, turn: replicated_batch(net, x, passes, task=task, copies=copies),
            AUTO: self._predict("auto"),
        }
        if case.sweep is None:
            self._runs |= {name: self._predict(name) for name in ("vectorized", "thinned")}
            self._runs[EVAL] = lambda passes, turn: eval_forward(net, x)

    def warm_up(self) -> float:
        """Run everyone on a few passes, drop those who refuse, and return about how many seconds a turn takes."""
        total = 0.0
        passes = min(self.case.passes, _WARM_PASSES)
        for name, run in [*self._runs.items()]:
            start = time.perf_counter()
            try:
                run(passes, 0)
            except ExecutionError as error:
                self.refused[name] = str(error)
                del self._runs[name]
                continue
            total += (time.perf_counter() - start) * (1 if name == EVAL else self.case.passes / passes)
        return total

    def others_take_their_turn(self) -> None:
        """Time everyone but auto once, in a new order every turn."""
        turn = len(self.seconds.get(EVAL, self.seconds.get(BASELINES[0], [])))
        names = [name for name in self._runs if name != AUTO]
        random.Random(turn).shuffle(names)
        for name in names:
            start = time.perf_counter()
            result = self._runs[name](self.case.passes, turn)
            self.seconds.setdefault(name, []).append(time.perf_counter() - start)
            if name != EVAL:
                self.found.setdefault(name, []).append(result)

    def auto_turn(self) -> None:
        """Run what users get by default; the caller times it."""
        turn = len(self.found.get(AUTO, []))
        self.found.setdefault(AUTO, []).append(self._runs[AUTO](self.case.passes, turn))

    def per_pass(self) -> dict[str, list[float]]:
        """Return milliseconds a pass of every contestant, turn by turn; of the eval forward, for all of it."""
        return {
            name: [1e3 * value / (1 if name == EVAL else self.case.passes) for value in values]
            for name, values in self.seconds.items()
        }

    def ratios(self, name: str, over: str) -> dict[str, float]:
        """Return how many times faster a contestant is than another: quartiles of the ratios turn by turn."""
        times = self.per_pass()
        return quartiles([theirs / mine for theirs, mine in zip(times[over], times[name], strict=True)])

    def in_eval_forwards(self, name: str) -> dict[str, float]:
        """Return how many forwards without dropout take as long as all passes of a contestant."""
        pairs = zip(self.seconds[name], self.seconds[EVAL], strict=True)
        return quartiles([mine / forward for mine, forward in pairs])

    def fastest_baseline(self) -> str:
        """Return the name of the baseline with the smaller median."""
        return min(BASELINES, key=lambda name: statistics.median(self.seconds[name]))

    def check_equal_numbers(self) -> None:
        """Assert that everybody found the same mean and spread, within their Monte Carlo errors over all turns.

        The squared difference of two means, summed over rows and outputs, is compared with what the passes' variance
        lets expect. Were all rows and outputs to move together, the ratio would follow F with 1 and n - 1 degrees of
        freedom for n passes; less so, it varies less. Wrong alarms are rarer than 1 in 100,000 for a pair.
        """
        pooled = {name: _pooled(found) for name, found in self.found.items()}
        passes = self.case.passes * len(self.found[AUTO])
        mean, variance = pooled[BASELINES[0]]
        limit = float(f.isf(1e-5, 1, passes - 1))
        for name, (other, spread) in pooled.items():
            ratio = ((mean - other) ** 2).sum() / ((variance + spread) / passes).sum()
            assert ratio < limit, f"{name} and the train() loop differ by {ratio**0.5:.1f} standard errors"
            of_std = (spread.mean() / variance.mean()) ** 0.5
            slack = max(2.0, np.exp(5 / (2 * (passes - 1)) ** 0.5))
            assert 1 / slack < of_std < slack, f"{name} finds {of_std:.2f} times the spread of the train() loop"

    def _predict(self, execution: Any) -> Run:
        model = MCDropout(self.net, task=self.case.task)

        def run(passes: int, turn: int) -> Moments:
            pred = model.predict(self.x, passes=passes, seed=turn, execution=execution)
            if isinstance(pred, ClassificationPredictive):
                return Moments(pred.probs, pred.probs_std)
            return Moments(pred.mean, pred.std)

        return run


def quartiles(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles around it."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def _pooled(found: list[Moments]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance over all turns."""
    means = np.mean([np.asarray(moments.mean, np.float64) for moments in found], axis=0)
    return means, np.mean([np.asarray(moments.std, np.float64) ** 2 for moments in found], axis=0)

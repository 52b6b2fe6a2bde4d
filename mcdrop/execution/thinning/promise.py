"""Whether thinning pays: a model of its cost in multiplications, from shapes and rates alone.

No clock is asked, so that the same call always takes the same path and gives the same bits.
"""

from torch import nn

from mcdrop.execution.plan import Plan
from mcdrop.execution.thinning.layers import linear_costs
from mcdrop.execution.thinning.program import Program
from mcdrop.execution.thinning.units import POOLING

__all__ = ["is_promising", "is_worth"]

_TRACING = 2e9  # multiplications in the time that tracing a net and trying it takes
_LEAST_GAIN = 0.85  # of the work without thinning: its many small calls cost, too
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def is_promising(net: nn.Module, plan: Plan, *, rows: int, chunk: int, passes: int) -> bool:
    """Guess from a net's modules whether it is worth the time to trace it.

    Args:
        net: The structural twin.
        plan: What the survey found.
        rows: Rows in a batch.
        chunk: Passes side by side.
        passes: Number of passes T over all batches.

    Returns:
        False where nothing can be gained, even if every layer lies between two sites of the largest rate.
    """
    rates = [site.rate or 0.0 for site in plan.sites.live if site.by_unit]
    if not rates or plan.uncounted:
        return False
    share, gain = 1 - max(rates), 0.0
    for module in net.modules():
        if isinstance(module, nn.Linear):
            outputs, inputs = module.weight.shape
            thin, stacked = linear_costs(outputs, inputs, rows, chunk, inner=share, outer=share)
            gain += max(0.0, stacked - thin)
    if any(isinstance(module, _CONVOLUTIONS) for module in net.modules()):
        gain += POOLING / 2 * rows * plan.suffix_bytes / 4
    return gain * passes > _TRACING


def is_worth(program: Program, *, rows: int, chunk: int) -> bool:
    """Tell whether passes over a traced net take clearly less work than those side by side.

    Args:
        program: The traced net.
        rows: Rows in a batch.
        chunk: Passes side by side.
    """
    thin, stacked = program.costs(rows, chunk)
    return thin < _LEAST_GAIN * stacked

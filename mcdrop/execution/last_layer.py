"""Whether the last layer of a net can be taken in closed form: looked at before its passes run."""

import math
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from mcdrop.errors import InputError, NetError
from mcdrop.execution.head import Closing, refusal
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.options import Options
from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.twin import every_module
from mcdrop.inputs import Batch
from mcdrop.sites import Site

__all__ = ["close_last_layer", "options_for"]


def close_last_layer(twin: Twin, plan: Plan, block: Batch) -> Plan:
    """Find the head of a net, and try one pass.

    Args:
        twin: The structural twin and what to predict of its output.
        plan: What the survey found.
        block: The first rows of the inputs, as many as the net will be given at once.

    Returns:
        The plan of passes that give mean and variance of the last layer, shape (n, 2, ...).

    Raises:
        ExecutionError: If the last dropout does not feed a Linear layer that gives the output, or that layer sums over
            units that share a mask; it says what came between.
        NetError: If the net refuses the inputs.
    """
    live = [site for site in plan.fired if site.live]
    if not live:
        raise refusal("no dropout is counted")
    last = live[-1]
    if last.kind != "dropout" or last.law is not None:
        raise refusal(f"the last noise is {last.kind} in {last.module or '(net)'}, not plain dropout")
    assert last.index is not None, "sites that fire are numbered"
    name = f"{last.module or '(net)'}, p={last.rate:g}"
    closing = Closing(last.index, alone=len(plan.sites.live) == 1, constants=_constants(twin.module), name=name)
    closed = replace(plan, closing=closing)

    def attempt(batch: Batch) -> None:
        tried = replace(plan, closing=replace(closing, labels=_labels(last, batch.size)))
        run_loop(twin, batch, noise=NoiseSource(tried, seed=0, masks="shared"), passes=range(1))

    with torch.inference_mode(False):  # tensors made in inference mode do not count what is written to them
        with suppress(NetError):  # of a net for one batch size
            attempt(block.repeated(2))
            return closed
        attempt(block.cloned())
    return closed


def _labels(site: Site, rows: int) -> Tensor:
    """Number the words of a mask that rows share: units of the same number are dropped together."""
    shape = site.batch_shape(rows)
    if site.layout is None:
        return torch.arange(math.prod(shape)).reshape(shape)
    before, after = site.layout.split(shape)
    words = torch.arange(math.prod(before) * math.prod(after)).reshape(*before, 1, *after)
    return words.expand(*before, rows, *after).reshape(shape)


def options_for(plan: Plan, options: Options) -> Options:
    """Return how the passes of a net with a closed last layer are to run: once where they are all the same.

    Args:
        plan: What is known of the net.
        options: What was asked for.

    Raises:
        InputError: If the passes are too few, or to run thinned.
    """
    if options.execution == "thinned":
        raise InputError(
            "execution must be 'auto', 'fastest', 'loop' or 'vectorized' with last_layer='exact', got 'thinned': what "
            "the last layer drops is not sampled, so nothing can be sliced out there"
        )
    assert plan.closing is not None, "the last layer was closed before"
    if plan.closing.alone:
        return replace(options, passes=1)
    if options.passes < 2:
        raise InputError(
            f"passes must be at least 2 where more than the last dropout is live, got {options.passes} for "
            f"{len(plan.sites.live)} live sites; a spread needs two draws"
        )
    return options


def _constants(net: nn.Module) -> dict[int, Tensor]:
    """Return the tensors that modules own, plain attributes included, by address."""
    found: dict[int, Tensor] = {}
    for module in every_module(net).values():
        owned = [*module.parameters(recurse=False), *module.buffers(recurse=False), *vars(module).values()]
        found |= {id(tensor): tensor for tensor in owned if isinstance(tensor, Tensor)}
    return found

"""What is known of a net before its passes run, and one checked run of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mcdrop.errors import McdropError, NetError
from mcdrop.execution.head import Closing
from mcdrop.inputs import Batch
from mcdrop.sites import Site, SiteTable

__all__ = ["Plan", "Twin", "run_net"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the survey of a net found.

    Attributes:
        sites: The audit: the sites that fire, and declared dropout that stays silent.
        fired: The sites that fire, in call order, those at rate 0 included.
        mutates_inputs: Whether the forward writes into its inputs, so that every pass needs its own copy.
        time_first: Paths of the modules that take the rows of the inputs for time steps.
        unclear: Sites of which it cannot be told what belongs to which row.
        uncounted: Whether the net also draws random numbers past the interception.
        prefix_bytes: Bytes a row makes before the first live site, the same in every pass.
        suffix_bytes: Bytes a row makes from the first live site on.
        widest_bytes: Bytes of the largest tensor a row makes anywhere.
        widest_noisy_bytes: Bytes of the largest tensor a row makes from the first live site on.
        calls_by_row: How many dropout calls there were for how many rows, if their number grows with the rows.
        closing: Where the last layer in closed form starts; None where all sites are sampled. With it, a pass gives the
            mean and the variance of the last layer, shape (n, 2, ...).
    """

    sites: SiteTable
    fired: tuple[Site, ...]
    mutates_inputs: bool
    time_first: tuple[str, ...]
    unclear: tuple[Site, ...]
    uncounted: bool
    prefix_bytes: float
    suffix_bytes: float
    widest_bytes: float
    widest_noisy_bytes: float
    calls_by_row: tuple[int, int] | None = None
    closing: Closing | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """What the passes run: a structural twin, and which part of its output to predict.

    Attributes:
        module: The structural twin.
        choose: Takes what the net returns, whatever that is, to the tensor to predict, rows first.
        notes: What was taken off the user's net to make the twin.
    """

    module: nn.Module
    choose: Callable[[Any], Tensor]
    notes: tuple[str, ...] = ()


def run_net(twin: Twin, batch: Batch) -> Tensor:
    """Run the net once and check what it returns.

    Args:
        twin: The structural twin and what to predict of its output.
        batch: The rows to run it on.

    Returns:
        The output, one row for each row of the batch.

    Raises:
        NetError: If the net refuses the inputs, or returns no tensor or another number of rows.
    """
    try:
        output = twin.module(*batch.args, **batch.kwargs)
    except (McdropError, Warning):  # a warning that the user wants to be an error
        raise
    except Exception as error:  # whatever a user's forward may raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise NetError(
            f"the net refused inputs of shape {batch.describe()}: {reason}; "
            "give inputs of the shape and type it was trained on, rows first"
        ) from error
    output = twin.choose(output)
    if output.dim() == 0 or output.shape[0] != batch.size:
        raise NetError(
            f"the net must return one row per input row, {batch.size} here, got shape {tuple(output.shape)}; "
            "keep the batch on the first axis of inputs and output"
        )
    return output

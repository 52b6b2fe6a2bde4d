"""Passes on thinned networks: dropped units are sliced out of the weights before the products are taken.

Only masks that all rows share can be sliced out. What cannot be sliced is multiplied by its mask, as in the loop; what
no mask reaches is computed once for a batch. A unit that is left out counts as 0 even where it is not finite, while the
loop's 0 * NaN is NaN.

References:
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15
    (section 1: thinned networks). https://jmlr.org/papers/v15/srivastava14a.html
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from mcdrop.errors import ExecutionError
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.thinning.chunk import Chunk
from mcdrop.execution.thinning.layers import Prefer
from mcdrop.execution.thinning.program import Program, make_program, run_step
from mcdrop.execution.thinning.scratch import Scratch
from mcdrop.execution.thinning.tracing import Form, refusal
from mcdrop.execution.thinning.values import Each, of_passes
from mcdrop.inputs import Batch

__all__ = ["Thinned", "make_thinned"]


def make_thinned(
    twin: Twin, plan: Plan, batch: Batch, *, is_worth: Callable[[Program], bool] | None = None
) -> "Thinned":
    """Trace a net, plan which units can be left out of which layers, and try that on a few passes.

    Args:
        twin: The structural twin and what to predict of its output.
        plan: What the survey found.
        batch: Rows of the kind that are to be predicted; eight of them are run.
        is_worth: Tells whether a traced net is worth trying; default: any is.

    Returns:
        What runs the passes.

    Raises:
        ExecutionError: If the net cannot run thinned, or is not worth it; the message says why.
    """
    if plan.closing is not None:
        raise refusal("its last layer is taken in closed form")
    errors: list[Exception] = []
    for is_whole in (False, True):  # a net for one batch size takes nothing less than a whole batch
        try:
            rows = batch if is_whole else batch.repeated(8)
            program = make_program(twin.module, plan, Form(rows.cloned()))
            if is_worth is not None and not is_worth(program):
                break
            thinned = Thinned(twin, program, writes=plan.mutates_inputs)
            _compare(thinned, plan, rows)
        except Exception as error:  # whatever a user's net may raise
            errors.append(error)
        else:
            return thinned
    if not errors:
        raise refusal("it would be no faster")
    first = errors[0]
    if isinstance(first, ExecutionError):
        raise first
    raise refusal(f"{type(first).__name__}: {first}") from first


class Thinned:
    """A traced net that runs passes on live units; it holds the weights as they were when it was made."""

    def __init__(self, twin: Twin, program: Program, *, writes: bool = False, prefer: Prefer = "cheapest") -> None:
        """Take a net's program.

        Args:
            twin: The structural twin and what to predict of its output.
            program: The steps that it was traced to.
            writes: Whether the net may write into its inputs, so that it needs some of its own.
            prefer: How layers run.
        """
        self._twin, self._program, self._writes, self._prefer = twin, program, writes, prefer
        self._scratch = Scratch()
        self._kept: tuple[Batch, dict[fx.Node, Any], dict[Any, Any]] | None = None

    @property
    def sliced(self) -> tuple[str, ...]:
        """Names of the layers that can run on slices of their weights; without any, thinning gains little."""
        return self._program.sliced

    def thinnest(self) -> "Thinned":
        """Return the same net with every layer sliced wherever that is possible, faster or not."""
        return Thinned(self._twin, self._program, writes=self._writes, prefer="thin")

    def run(self, batch: Batch, *, noise: NoiseSource, passes: range) -> Tensor:
        """Run passes; what comes before the first site is kept until another batch comes.

        Args:
            batch: The rows to predict.
            noise: Source of the masks.
            passes: Numbers of the passes, C of them.

        Returns:
            The outputs, shape (C, n, ...), equal to those of `run_loop` up to rounding.

        Raises:
            ExecutionError: If rows have masks of their own, or the inputs differ in form from those of the trace.
        """
        if noise.masks != "shared":
            raise refusal("rows with masks of their own share no thinned network")
        with torch.no_grad():
            try:
                fixed, memo = self._prepared(batch)
                chunk = Chunk(self._program.steps, batch, noise, passes, self._prefer, fixed, memo, self._scratch)
                return self._chosen(chunk.run(), batch, len(passes))
            except ExecutionError:
                raise
            except Exception as error:  # whatever a user's functions may raise; the loop says it in plainer words
                raise refusal(f"{type(error).__name__}: {error}") from error

    def _prepared(self, batch: Batch) -> tuple[dict[fx.Node, Any], dict[Any, Any]]:
        """Return what is the same in all passes: values of nodes, and a place for what follows from them."""
        kept = self._kept  # read once: another thread may run another batch
        if kept is not None and kept[0] is batch:
            return kept[1], kept[2]
        form = Form(batch.cloned() if self._writes else batch)
        if not form.matches(self._program.form):
            raise refusal("its inputs differ in form from batch to batch")
        self._kept = kept = None  # gives memory back before more is taken
        values: dict[fx.Node, Any] = dict(zip(self._program.inputs, form.tensors, strict=True))
        needed = {node for step in self._program.steps if step.noisy for node in step.node.all_input_nodes}
        for step in self._program.steps:
            if not step.noisy:
                values[step.node] = run_step(step, values)
                for node in step.done:
                    if node not in needed:
                        values.pop(node, None)
        self._kept = batch, values, {}
        return values, self._kept[2]

    def _chosen(self, output: Any, batch: Batch, passes: int) -> Tensor:
        """Take the part to predict of what the passes return."""
        choose = self._twin.choose
        if not isinstance(output, Each):
            whole = choose(output)
            outputs = whole.expand(passes, *whole.shape)
        else:
            first = output.values[0]
            is_whole = isinstance(output.values, Tensor) and choose(first) is first
            outputs = of_passes(output) if is_whole else torch.stack([choose(value) for value in output.values])
        if outputs.dim() < 2 or outputs.shape[1] != batch.size:
            raise refusal(f"it returns {tuple(outputs.shape[1:])} for {batch.size} rows")
        return outputs


def _compare(thinned: Thinned, plan: Plan, batch: Batch) -> None:
    """Hold a few passes, every layer sliced, against the loop: within rounding of their size, and of their spread."""
    noise = NoiseSource(plan, 0, "shared")
    mine = thinned.thinnest().run(batch.cloned(), noise=noise, passes=range(2))
    theirs = run_loop(thinned._twin, batch.cloned(), noise=noise, passes=range(2))
    if mine.shape == theirs.shape and theirs.is_floating_point():
        fine = torch.finfo(theirs.dtype).eps < 1e-5
        wide, size = theirs.double(), float(theirs.double().abs().nan_to_num().amax()) if theirs.numel() else 0.0
        spread = float((wide - wide.nanmean()).abs().nan_to_num().amax()) if theirs.numel() else 0.0
        limit = (64 if fine else 4) * torch.finfo(theirs.dtype).eps * size + (1e-4 if fine else 0.02) * spread
        if torch.allclose(mine.double(), wide, rtol=0, atol=limit, equal_nan=True):
            return
    elif torch.equal(mine, theirs):
        return
    raise refusal("passes on thinned networks differ from those of the loop")

"""One chunk of passes, step by step: every value for all of its passes before the next value."""

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.thinning.layers import Layer, Prefer
from mcdrop.execution.thinning.program import Drop, Step, run_step
from mcdrop.execution.thinning.scratch import Scratch
from mcdrop.execution.thinning.tracing import refusal
from mcdrop.execution.thinning.units import Flatten, Unit
from mcdrop.execution.thinning.values import Each, Keep, Masked, Noisy, Packed, full_shape, of_pass, of_passes
from mcdrop.inputs import Batch

__all__ = ["Chunk"]


class Chunk:
    """Some passes over one batch."""

    def __init__(
        self,
        steps: tuple[Step, ...],
        batch: Batch,
        noise: NoiseSource,
        passes: range,
        prefer: Prefer,
        fixed: dict[fx.Node, Any],
        memo: dict[Any, Any],
        scratch: Scratch,
    ) -> None:
        """Draw the masks of all sites.

        Args:
            steps: The steps of the net.
            batch: The rows to predict.
            noise: Source of the masks.
            passes: Numbers of the passes, C of them.
            prefer: How layers run.
            fixed: The values that are the same in all passes.
            memo: What else stays the same from chunk to chunk; filled on the way.
            scratch: Memory for slices of weights.
        """
        self._steps, self._rows, self._count, self._prefer = steps, batch.size, len(passes), prefer
        self._values, self._memo, self._scratch = dict(fixed), memo, scratch
        self._keeps: dict[int, Keep] = {}
        self._noise: dict[int, tuple[Tensor, Tensor | None]] = {}
        for drop in (step.action for step in steps if isinstance(step.action, Drop)):
            shape = drop.site.batch_shape(batch.size)
            drawn = noise.draw(drop.number, drop.site, shape=shape, passes=passes, rows=batch.rows)
            self._noise[drop.number] = drawn
            if drop.by_unit:
                self._keeps[drop.number] = Keep(drawn[0].reshape(self._count, -1), drop.site.rate or 0.0)

    def run(self) -> Any:
        """Return the output of all passes."""
        values = self._values
        for step in self._steps:
            if step.noisy:
                values[step.node] = self._step(step)
                for node in step.done:
                    values.pop(node, None)
        return values[self._steps[-1].node]

    def _step(self, step: Step) -> Any:
        action, sources = step.action, step.node.all_input_nodes
        given = values if isinstance(values := self._values[sources[0]], Each | Masked | Packed) else None
        if isinstance(action, Drop):
            return self._drop(action)
        if given is None or not all(self._is_tensor(source) for source in sources[:1]):
            return self._other(step)
        if isinstance(action, Layer):
            return action(given, self._keeps, self._prefer, self._scratch)
        if isinstance(action, Unit):
            return action(given, self._memo, alone=step.alone)
        if action is not None:
            return action(given, self._memo)
        answer = None if step.node.kwargs else self._shape(step, given)
        return self._other(step) if answer is None else answer

    def _is_tensor(self, node: fx.Node) -> bool:
        return full_shape(self._values[node]) is not None

    def _drop(self, drop: Drop) -> Noisy:
        value = self._values[drop.call.input]  # type: ignore[index]
        is_noisy = isinstance(value, Each | Masked | Packed)
        keep = self._keeps.get(drop.number)
        if isinstance(value, Packed) and value.ahead:
            assert value.keep is keep, "what is left out was to be dropped by this site"
            return Packed(value.parts, value.keep, drop.scale, value.block)
        tensor = of_passes(value) if is_noisy else value
        like = tensor[0] if is_noisy else tensor
        call = replace(drop.call, input=like, inplace=False)
        if call.mask_shape != drop.site.batch_shape(self._rows):
            raise refusal("its dropout calls vary")
        if keep is not None:
            return Masked(tensor, is_noisy, keep, drop.scale)
        factor, summand = self._noise[drop.number]
        noisy: Tensor = replace(call, input=tensor).result(factor, summand)
        return Each(noisy)

    def _shape(self, step: Step, given: Noisy) -> Any:
        """Answer what asks for a shape alone, and see through a change of shape that only flattens."""
        node, shape = step.node, full_shape(given)
        args = fx.node.map_arg(node.args[1:], lambda source: self._values[source])
        if shape is None or node.op != "call_method":
            is_shape = node.target is getattr and args == ("shape",) and shape is not None
            return torch.Size(shape) if is_shape and shape is not None else None
        if node.target == "size":
            return torch.Size(shape)[args[0]] if args else torch.Size(shape)  # type: ignore[index]
        if node.target == "dim":
            return len(shape)
        sizes = tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else tuple(args)
        if node.target in ("view", "reshape") and len(sizes) == 2 and len(shape) > 1:
            rest = torch.Size(shape[1:]).numel()
            if sizes in ((shape[0], -1), (-1, rest), (shape[0], rest)):
                return self._memo.setdefault(node, Flatten())(given, self._memo)
        return None

    def _other(self, step: Step) -> Any:
        """Run a step of no known kind on full tensors, pass by pass, or once where it reads nothing that differs."""
        values, sources = self._values, step.node.all_input_nodes
        if not any(isinstance(values[source], Each | Masked | Packed) for source in sources):
            return run_step(step, values)
        given = {source: _unpacked(values[source]) for source in sources}
        if step.node.target in _ELEMENTWISE and self._are_alike(step.node, given):
            return Each(_ELEMENTWISE[step.node.target](*(_whole(given[source]) for source in step.node.args)))  # type: ignore[index]
        if step.node.op == "output" and step.node.args[0] is sources[0] and full_shape(given[sources[0]]) is not None:
            return Each(of_passes(given[sources[0]]))
        passes = ({source: of_pass(value, number) for source, value in given.items()} for number in range(self._count))
        return Each([run_step(step, values) for values in passes])

    def _are_alike(self, node: fx.Node, given: dict[fx.Node, Any]) -> bool:
        """Whether a node takes two tensors of one shape, and nothing else."""
        if node.kwargs or len(node.args) != 2 or not all(isinstance(source, fx.Node) for source in node.args):
            return False
        shapes = [_shape_of(value) for value in given.values()]
        return None not in shapes and len(set(shapes)) == 1


_ELEMENTWISE: dict[Any, Any] = {
    **dict.fromkeys((operator.add, torch.add, "add"), torch.add),
    **dict.fromkeys((operator.mul, torch.mul, "mul"), torch.mul),
    **dict.fromkeys((operator.sub, torch.sub, "sub"), torch.sub),
}


def _shape_of(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Each):
        return full_shape(value)
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _whole(value: Any) -> Any:
    return of_passes(value) if isinstance(value, Each) else value


def _unpacked(value: Any) -> Any:
    return Each(of_passes(value)) if isinstance(value, Masked | Packed) else value

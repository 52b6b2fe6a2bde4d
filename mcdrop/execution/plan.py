"""What is known of a net before its passes run: its sites, where rows lie in them, and what a pass costs in memory.

Two cheap forward passes over two and three rows tell it: an axis inside the net that grows from 2k to 3k holds
the rows, k entries each. Where k > 1, a third pass with another first row tells which k entries are the first row's.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.errors import McdropError, NetError
from mcdrop.inputs import Batch
from mcdrop.masks import RowLayout
from mcdrop.sites import DropoutCall, Interception, Site, SiteTable, declared_rate

__all__ = ["PROBE_ROWS", "Plan", "run_net", "survey"]

PROBE_ROWS = 256
"""Rows that a net is surveyed with when it refuses two or three."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the survey of a net found.

    Attributes:
        sites: The audit; its live and rate-0 rows come in call order.
        mutates_inputs: Whether the forward writes into its inputs, so that every pass needs its own copy.
        prefix_bytes: Bytes a row makes before the first live site, the same in every pass.
        suffix_bytes: Bytes a row makes from the first live site on.
        widest_bytes: Bytes of the largest tensor a row makes anywhere.
        widest_noisy_bytes: Bytes of the largest tensor a row makes from the first live site on.
    """

    sites: SiteTable
    mutates_inputs: bool
    prefix_bytes: float
    suffix_bytes: float
    widest_bytes: float
    widest_noisy_bytes: float

    @property
    def fired(self) -> tuple[Site, ...]:
        """The sites that fire, in call order, those at rate 0 included."""
        return tuple(site for site in self.sites if site.index is not None)


def survey(twin: nn.Module, block: Batch) -> Plan:
    """Find the sites of a net by running it on the first rows.

    Args:
        twin: The structural twin, in eval mode.
        block: The first rows of the inputs, as many as the net will be given at once.

    Returns:
        The plan.

    Raises:
        NetError: If the net refuses the inputs.
    """
    try:
        two = block.repeated(2)  # the same rows in both, so that what depends on their content stays the same
        plan = _Survey(twin, two.repeated(3)).plan(_Survey(twin, two))
    except NetError:  # a net for one batch size, or inputs it can't take: its own batch will tell
        plan = _Survey(twin, block).plan(None)
    return plan


def run_net(twin: nn.Module, batch: Batch) -> Tensor:
    """Run the net once and check what it returns.

    Args:
        twin: The structural twin.
        batch: The rows to run it on.

    Returns:
        The output, one row for each row of the batch.

    Raises:
        NetError: If the net refuses the inputs, or returns no tensor or another number of rows.
    """
    try:
        output = twin(*batch.args, **batch.kwargs)
    except McdropError:
        raise
    except Exception as error:  # whatever a user's forward may raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise NetError(
            f"the net refused inputs of shape {batch.describe()}: {reason}; "
            "give inputs of the shape and type it was trained on, rows first"
        ) from error
    if not isinstance(output, Tensor):
        raise NetError(
            f"the net must return one tensor, got {type(output).__name__}; "
            "wrap it in a module whose forward returns the tensor to predict"
        )
    if output.dim() == 0 or output.shape[0] != batch.size:
        raise NetError(
            f"the net must return one row per input row, {batch.size} here, got shape {tuple(output.shape)}; "
            "keep the batch on the first axis of inputs and output"
        )
    return output


class _Survey:
    """One forward pass in which dropout is the identity and every call leaves a record."""

    def __init__(self, twin: nn.Module, batch: Batch) -> None:
        self.twin, self.given = twin, batch
        self.changed: _Survey | None = None
        with torch.inference_mode(False):  # tensors made in inference mode do not count what is written to them
            self.batch = batch.cloned()
        self.calls: list[tuple[str, DropoutCall, tuple[int, ...]]] = []
        self.prefix = self.suffix = self.widest = self.widest_noisy = 0
        self.path: list[str] = []
        versions = [tensor._version for tensor in self.batch.tensors()]
        with torch.no_grad(), self._paths(twin), _Accountant(self):
            run_net(twin, self.batch)
        self.mutated = versions != [tensor._version for tensor in self.batch.tensors()]

    def on_site(self, call: DropoutCall) -> Any:
        self.calls.append((self.path[-1] if self.path else "", call, call.mask_shape))
        return call.identity()

    def count(self, result: Any) -> None:
        if not isinstance(result, Tensor):
            return
        size = result.numel() * result.element_size()
        self.widest = max(self.widest, size)
        if any(call.rate > 0 for _, call, _ in self.calls):
            self.suffix += size
            self.widest_noisy = max(self.widest_noisy, size)
        else:
            self.prefix += size

    @contextmanager
    def _paths(self, twin: nn.Module) -> Iterator[None]:
        """Keep the path of the module that is running on top of `path`."""
        handles = []
        for name, module in twin.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: self.path.append(name)))
            handles.append(module.register_forward_hook(lambda *_: self._leave(), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self) -> None:
        if self.path:  # empty when another hook raised before this module's name was put on top
            self.path.pop()

    def signature(self) -> list[tuple[str, str]]:
        return [(module, call.kind) for module, call, _ in self.calls]

    def _interleaved(self, index: int, layout: RowLayout | None) -> RowLayout | None:
        """Look where the first row lies when it has several entries."""
        if layout is None or layout.repeats == 1 or self.batch.size < 2:
            return layout
        if self.changed is None:
            try:
                self.changed = _Survey(
                    self.twin, self.given.map(_with_another_first_row, start=0, size=self.batch.size)
                )
            except NetError:
                self.changed = self
        if self.changed.signature() != self.signature():
            return layout
        before, after = self.calls[index][1].input, self.changed.calls[index][1].input
        if before.shape != after.shape:
            return layout
        moved = (before != after).movedim(layout.axis, 0).flatten(1).any(1)
        far = bool(moved[layout.repeats :].any())
        apart = moved.reshape(layout.repeats, self.batch.size)[:, 1:].any()
        return replace(layout, interleaved=far and not bool(apart))

    def plan(self, smaller: "_Survey | None") -> Plan:
        rows = self.batch.size
        same = smaller is not None and smaller.signature() == self.signature()
        fired = []
        for index, (module, call, shape) in enumerate(self.calls):
            before = smaller.calls[index][2] if smaller is not None and same else None
            layout = self._interleaved(index, _layout(shape, rows, before))
            fired.append(
                Site(
                    index=index,
                    module=module,
                    kind=call.kind,
                    rate=call.rate,
                    mask_shape=_one_row(shape, layout),
                    layout=layout,
                    inplace=call.inplace,
                    dtype=call.dtype,
                    device=call.device,
                )
            )
        return Plan(
            sites=SiteTable((*fired, *_declared_but_silent(self.twin, fired))),
            mutates_inputs=self.mutated or any(site.inplace for site in fired),
            prefix_bytes=self.prefix / rows,
            suffix_bytes=self.suffix / rows,
            widest_bytes=self.widest / rows,
            widest_noisy_bytes=self.widest_noisy / rows,
        )


class _Accountant(Interception):
    """Counts the bytes of every result."""

    def __init__(self, record: _Survey) -> None:
        super().__init__(record.on_site)
        self._record = record

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = func(*args, **kwargs)
        self._record.count(result)
        return result


def _layout(shape: tuple[int, ...], rows: int, smaller: tuple[int, ...] | None) -> RowLayout | None:
    """Find the row axis by comparing two batch sizes; without the second, take the first axis that fits."""
    if smaller is None or len(smaller) != len(shape):
        return RowLayout(0, shape[0] // rows) if shape and shape[0] % rows == 0 else None
    grown = [axis for axis, (a, b) in enumerate(zip(smaller, shape, strict=True)) if a != b]
    if len(grown) != 1 or shape[grown[0]] % rows:
        return None
    repeats = shape[grown[0]] // rows
    grows_with_rows = smaller[grown[0]] == repeats * (rows - 1)  # and not as pairs of rows do, say
    return RowLayout(grown[0], repeats) if grows_with_rows else None


def _with_another_first_row(tensor: Tensor) -> Tensor:
    other = tensor.detach().clone()
    if other.is_floating_point():
        generator = torch.Generator().manual_seed(0)
        other[0] += torch.randn(other[0].shape, generator=generator, device="cpu").to(other)
    else:
        other[0] = other[-1]  # whole numbers may be indices, so only another row's are sure to be allowed
    return other


def _one_row(shape: tuple[int, ...], layout: RowLayout | None) -> tuple[int, ...]:
    if layout is None:
        return shape
    return (*shape[: layout.axis], layout.repeats, *shape[layout.axis + 1 :])


def _declared_but_silent(twin: nn.Module, fired: list[Site]) -> list[Site]:
    seen = Counter(site.module for site in fired)
    return [
        Site(index=None, module=name, kind=type(module).__name__, rate=declared_rate(module))
        for name, module in twin.named_modules()
        if declared_rate(module) > 0 and not seen[name]
    ]

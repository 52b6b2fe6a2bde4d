"""The survey: a few cheap forward passes that find a net's sites, and where the rows of a batch lie in them.

Run over two and over three rows, an axis inside the net that grows from 2k to 3k holds the rows, k entries each. Which
k entries belong to a row, and what a net for one batch size does with its rows, shows when the rows' contents change.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.errors import NetError, RowMaskWarning
from mcdrop.execution.plan import Plan, Twin, run_net
from mcdrop.inputs import Batch
from mcdrop.masks import RowLayout
from mcdrop.sites import DropoutCall, Interception, Site, SiteTable, declared_rate

__all__ = ["PROBE_ROWS", "survey"]

PROBE_ROWS = 256
"""Rows that a net is surveyed with when it refuses two or three."""


def survey(twin: Twin, block: Batch) -> Plan:
    """Find the sites of a net by running it on the first rows.

    Args:
        twin: The structural twin, in eval mode, and what to predict of its output.
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


class _Survey:
    """One forward pass in which dropout is the identity and every call leaves a record."""

    def __init__(self, twin: Twin, batch: Batch) -> None:
        self.twin, self.given = twin, batch
        self.changed: _Survey | None = None
        self.level: _Survey | None = None
        with torch.inference_mode(False):  # tensors made in inference mode do not count what is written to them
            self.batch = batch.cloned()
        self.calls: list[tuple[str, DropoutCall, tuple[int, ...]]] = []
        self.prefix = self.suffix = self.widest = self.widest_noisy = 0
        self.path: list[str] = []
        versions = [tensor._version for tensor in self.batch.tensors()]
        with torch.no_grad(), self._paths(twin.module), _Accountant(self):
            run_net(twin, self.batch)
        after = self.batch.tensors()
        self.mutated = versions != [tensor._version for tensor in after] or not all(
            torch.equal(a, b)
            for a, b in zip(batch.tensors(), after, strict=True)  # `.data` leaves no version
        )

    def on_site(self, call: DropoutCall) -> Any:
        self.calls.append((self.path[-1] if self.path else "", call, call.mask_shape))
        result = call.identity()
        self.count(result)  # a pass holds what the dropout call itself gives, too
        return result

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

    def _variant(self, change: Callable[[Tensor], Tensor]) -> "_Survey | None":
        """Run the same batch with other contents; None if the net refuses them or takes another path."""
        try:
            other = _Survey(self.twin, self.given.map(change, start=0, size=self.batch.size))
        except NetError:
            return None
        return other if other.signature() == self.signature() else None

    def _entries(self, index: int, layout: RowLayout) -> Tensor | None:
        """Return what enters a site as (entries of the row axis, everything else), if it has that axis."""
        value = self.calls[index][1].input
        if value.dim() <= layout.axis or value.shape[layout.axis] != layout.repeats * self.batch.size:
            return None
        return value.movedim(layout.axis, 0).reshape(value.shape[layout.axis], -1)

    def _moved(self, index: int, layout: RowLayout) -> Tensor | None:
        """Return which entries of the row axis follow a change of the first row."""
        if self.changed is None:
            tried = (self._variant(partial(_with_another_first_row, how=how)) for how in _CHANGES)
            self.changed = next((other for other in tried if other is not None), self)
        before, after = self._entries(index, layout), self.changed._entries(index, layout)
        return None if before is None or after is None else (before != after).any(1)

    def _interleaved(self, index: int, layout: RowLayout | None) -> RowLayout | None:
        """Tell whether a row's several entries lie apart: where all rows are equal, so are their entries."""
        rows = self.batch.size
        if layout is None or layout.repeats == 1 or rows < 2:
            return layout
        if self.level is None:
            self.level = self._variant(_first_row_everywhere) or self
        entries = self.level._entries(index, layout)
        if entries is None or self.level is self:
            return layout
        near, far = entries.reshape(rows, layout.repeats, -1), entries.reshape(layout.repeats, rows, -1)
        is_near, is_far = _alike(near, 0), _alike(far, 1)
        if is_near != is_far:
            return replace(layout, interleaved=is_far)
        moved = self._moved(index, layout)  # all entries of the first row are equal: change it, and see which follow
        if moved is None or not moved[layout.repeats :].any():
            return layout
        return replace(layout, interleaved=not moved.reshape(layout.repeats, rows)[:, 1:].any())

    def _guessed(self, index: int, shape: tuple[int, ...]) -> RowLayout | None:
        """Find the rows of a net that takes one batch size only: what a change of the first row moves."""
        rows = self.batch.size
        if not shape or shape[0] % rows:
            return None
        layout = RowLayout(0, shape[0] // rows)
        moved = self._moved(index, layout)
        if moved is None or not moved.any() or (rows > 1 and bool(moved[layout.repeats :].any())):
            return None  # noise on weights, or rows that mix
        return layout

    def plan(self, smaller: "_Survey | None") -> Plan:
        rows = self.batch.size
        same = smaller is not None and smaller.signature() == self.signature()
        fired = []
        for index, (module, call, shape) in enumerate(self.calls):
            if smaller is not None and same:
                layout = self._interleaved(index, _layout(shape, rows, smaller.calls[index][2]))
            else:
                layout = self._guessed(index, shape)
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
        if smaller is not None and len(smaller.calls) != len(self.calls) and len(self.calls) % rows == 0:
            _warn_of_calls_per_row(len(self.calls), rows)
        return Plan(
            fired=tuple(fired),
            sites=SiteTable((*fired, *_declared_but_silent(self.twin.module, fired))),
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


def _layout(shape: tuple[int, ...], rows: int, smaller: tuple[int, ...]) -> RowLayout | None:
    """Find the row axis by comparing two batch sizes."""
    if len(smaller) != len(shape):
        return None
    grown = [axis for axis, (a, b) in enumerate(zip(smaller, shape, strict=True)) if a != b]
    if len(grown) != 1 or shape[grown[0]] % rows:
        return None
    repeats = shape[grown[0]] // rows
    grows_with_rows = smaller[grown[0]] == repeats * (rows - 1)  # and not as pairs of rows do, say
    return RowLayout(grown[0], repeats) if grows_with_rows else None


def _first_row_everywhere(tensor: Tensor) -> Tensor:
    return tensor[:1].expand(tensor.shape).clone()


def _alike(entries: Tensor, axis: int) -> bool:
    """Whether the entries are the same, up to rounding, along an axis."""
    return torch.allclose(entries, entries.narrow(axis, 0, 1).expand_as(entries), rtol=1e-4, atol=1e-6, equal_nan=True)


_CHANGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda row: row + torch.randn(row.shape, generator=torch.Generator().manual_seed(0)).to(row),
    lambda row: row + 1,  # indices, perhaps as floats; one of the two neighbors is an index too
    lambda row: row - 1,
)


def _with_another_first_row(tensor: Tensor, *, how: Callable[[Tensor], Tensor]) -> Tensor:
    other = tensor.detach().clone()
    if not other.is_floating_point() and how is _CHANGES[0]:
        how = _CHANGES[1]  # a fraction would be cut off
    other[0] = how(other[0].double()).to(other.dtype) if other.dtype is not torch.bool else ~other[0]
    return other


def _warn_of_calls_per_row(calls: int, rows: int) -> None:
    warnings.warn(
        f"the net's dropout calls grow with its rows ({calls} for {rows} rows): each row gets a mask of its own, "
        "and the draws depend on the batch size; call dropout once on the whole batch",
        RowMaskWarning,
        stacklevel=6,
    )


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

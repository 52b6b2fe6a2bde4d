"""The survey: a few cheap forward passes that find a net's sites, and where the rows of a batch lie in them.

Run over two and over three rows, an axis inside the net that grows from 2k to 3k holds the rows, k entries each. Which
k entries belong to a row, and what a net for one batch size does with its rows, shows when the rows' contents change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from mcdrop.errors import NetError
from mcdrop.execution.plan import Plan, Twin
from mcdrop.execution.record import Passed, Record, first_record
from mcdrop.execution.scripted import frozen_rows, live_rows
from mcdrop.execution.twin import every_module
from mcdrop.execution.uncounted import find_uncounted
from mcdrop.execution.waking import Waking, wake
from mcdrop.inputs import Batch
from mcdrop.masks import RowLayout
from mcdrop.rng import ONE_AT_A_TIME, GlobalState
from mcdrop.sites import Site, SiteTable, declared_rate, silent_rows

__all__ = ["PROBE_ROWS", "confirm", "survey"]

PROBE_ROWS = 256
"""Rows that a net is surveyed with when it refuses two or three."""


def confirm(plan: Plan, twin: Twin, block: Batch) -> bool:
    """Tell by one pass over two rows whether a net still makes the calls that an earlier survey found.

    Args:
        plan: What that survey found.
        twin: The structural twin, in eval mode; no flag of it was raised.
        block: The first rows of the inputs.
    """
    with ONE_AT_A_TIME:
        before = GlobalState.now()
        try:
            record = Record(twin, block.repeated(2))  # of a net that writes into its parameters nothing is kept
        except NetError:
            return False
        finally:
            if before.alone and before.names_moved():
                before.restore()
    calls = [(call.kind, call.key, call.mask_shape, call.dtype) for call in (passed.call for passed in record.passed)]
    sites = [(site.kind, site.key, site.batch_shape(2), site.dtype) for site in plan.fired]
    return calls == sites and (plan.mutates_inputs or not record.mutated)


def survey(twin: Twin, block: Batch) -> Plan:
    """Find the sites of a net by running it on the first rows, and wake those that it hides in eval mode.

    Args:
        twin: The structural twin, in eval mode, and what to predict of its output; flags of it may be raised.
        block: The first rows of the inputs, as many as the net will be given at once.

    Returns:
        The plan.

    Raises:
        NetError: If the net refuses the inputs.
    """
    with ONE_AT_A_TIME:  # the net may draw from the global generators, while another thread has seeded them for a pass
        before, plan = GlobalState.now(), None
        try:
            plan = _survey(twin, block)
        finally:  # if they moved, that may have been a thread of the user's, which must not be turned back
            is_ours = plan is None or plan.uncounted or before.alone
            if is_ours and before.names_moved():
                before.restore()
    return plan


def _survey(twin: Twin, block: Batch) -> Plan:
    two, smaller = block.repeated(2), None
    try:
        smaller = first_record(twin, two)
        larger = Record(twin, two.repeated(3))  # the same rows, so that what depends on their content stays the same
    except NetError:  # a net for one batch size, or inputs it can't take: its own batch will tell
        smaller, larger = None, first_record(twin, block)
    waking = wake(twin, smaller or larger)
    if any(getattr(module, "training", False) for module in every_module(twin.module).values()):
        smaller = None if smaller is None else Record(twin, smaller.given)
        larger = Record(twin, larger.given)
    return _Comparison(twin, larger, smaller).plan(waking)


_UNSEEN = "a generator or state of its own"
_UNCOUNTED = (
    "uncounted draws come from the global generators, seeded anew for every pass and batch, one pass at a time: "
    "the same seed gives the same draws for the same batch size only"
)


@dataclass(slots=True)
class _Comparison:
    """A record, another one over fewer rows where the net takes them, and what both say together."""

    twin: Twin
    larger: Record
    smaller: Record | None
    changed: Record | None = None
    level: Record | None = None
    unclear: set[int] = field(default_factory=set)

    def plan(self, waking: Waking) -> Plan:
        larger, smaller, rows = self.larger, self.smaller, self._rows
        fired = self._fired(waking)
        is_by_row = smaller is not None and len(smaller.passed) != len(fired) and len(fired) % rows == 0
        uncounted = self._uncounted()
        found = [site for site in (*fired, *uncounted) if site.live]
        known = {site.module for site in waking.silent}
        silent = [row for row in silent_rows(every_module(self.twin.module), found) if row.module not in known]
        silent += frozen_rows(self.twin.module)
        grown, noisy_grown = self._growth()
        return Plan(
            fired=tuple(fired),
            sites=SiteTable((*fired, *uncounted, *waking.silent, *silent), notes=self._notes(uncounted)),
            mutates_inputs=larger.mutated or any(site.inplace for site in fired),
            time_first=self._time_first(),
            unclear=tuple(fired[index] for index in sorted(self.unclear)),
            uncounted=bool(uncounted),
            prefix_bytes=larger.prefix / rows,
            suffix_bytes=larger.suffix / rows,
            widest_bytes=min(larger.widest / rows, grown),
            widest_noisy_bytes=min(larger.widest_noisy / rows, noisy_grown),
            calls_by_row=(len(fired), rows) if is_by_row else None,
        )

    def _growth(self) -> tuple[float, float]:
        """Return how many bytes another row makes, in all and from the first live site on: weights are of no row."""
        if self.smaller is None or self.smaller.batch.size == self._rows:
            return math.inf, math.inf
        more = self._rows - self.smaller.batch.size
        noisy = self.larger.suffix - self.smaller.suffix
        return (self.larger.prefix - self.smaller.prefix + noisy) / more, noisy / more

    def _fired(self, waking: Waking) -> list[Site]:
        same = self.smaller is not None and self.smaller.signature() == self.larger.signature()
        fired: list[Site] = []
        modules = every_module(self.twin.module)
        for index, (passed, call) in enumerate((passed, passed.call) for passed in self.larger.passed):
            if self.smaller is not None and same:
                grown = _layout(passed.shape, self._rows, self.smaller.passed[index].shape)
                layout = self._interleaved(index, grown)
            else:
                layout = self._guessed(index, passed.shape)
            rate = call.rate
            if rate is None:
                rate = declared_rate(modules[passed.module]) or None
            fired.append(
                Site(
                    index=index,
                    module=passed.module,
                    kind=call.kind,
                    rate=rate,
                    mask_shape=_one_row(passed.shape, layout),
                    layout=layout,
                    inplace=call.inplace,
                    dtype=call.dtype,
                    device=call.device,
                    law=call.law,
                    reason=_reason(passed, waking),
                )
            )
        return fired

    def _time_first(self) -> tuple[str, ...]:
        """Return what is given as many more time steps as the batch has more rows."""
        if self.smaller is None:
            return ()
        pairs = zip(self.smaller.sequences, self.larger.sequences, strict=False)
        return tuple(dict.fromkeys(path for (path, few), (_, many) in pairs if few != many))

    def _uncounted(self) -> list[Site]:
        rows: list[Site] = []
        modules = every_module(self.twin.module)
        for place in find_uncounted(self.twin, self.larger.given, self.larger):
            path = place.stack[-1] if place.stack else ""
            scripted = live_rows(self.twin.module, path) if place.kind == "TorchScript" else []
            if scripted:
                rows += [site for site in scripted if site not in rows]
                continue
            rate = declared_rate(modules[path]) or None
            rows.append(Site(index=None, module=path, kind=place.kind, rate=rate, counted=False))
        again = rows or Record(self.twin, self.larger.given)
        if isinstance(again, Record) and not self.larger.same_output(again):
            rows.append(Site(index=None, module="", kind=_UNSEEN, rate=None, counted=False))
        return rows

    def _notes(self, uncounted: list[Site]) -> tuple[str, ...]:
        paths = ", ".join(path or "(net)" for path in self._time_first())
        time = (f"rows are time steps to {paths}: they share a mask where rows do",) if paths else ()
        return (*self.twin.notes, *time, *((_UNCOUNTED,) if uncounted else ()))

    @property
    def _rows(self) -> int:
        return self.larger.batch.size

    def _variant(self, change: Callable[[Tensor], Tensor]) -> Record | None:
        """Run the same batch with other contents; None if the net refuses them or takes another path."""
        try:
            other = Record(self.twin, self.larger.given.map(change, start=0, size=self._rows))
        except NetError:
            return None
        return other if other.signature() == self.larger.signature() else None

    def _entries(self, record: Record, index: int, layout: RowLayout) -> Tensor | None:
        """Return what enters a site as (entries of the row axis, everything else), if it has that axis."""
        value = record.passed[index].call.input
        if value is None or value.dim() <= layout.axis or value.shape[layout.axis] != layout.repeats * self._rows:
            return None
        return value.movedim(layout.axis, 0).reshape(value.shape[layout.axis], -1)

    def _moved(self, index: int, layout: RowLayout) -> Tensor | None:
        """Return which entries of the row axis follow a change of the first row."""
        if self.changed is None:
            tried = (self._variant(partial(_with_another_first_row, how=how)) for how in _CHANGES)
            self.changed = next((other for other in tried if other is not None), self.larger)
        before, after = self._entries(self.larger, index, layout), self._entries(self.changed, index, layout)
        return None if before is None or after is None else (before != after).any(1)

    def _interleaved(self, index: int, layout: RowLayout | None) -> RowLayout | None:
        """Tell whether a row's several entries lie apart: where all rows are equal, so are their entries."""
        rows = self._rows
        if layout is None or layout.repeats == 1 or rows < 2:
            return layout
        if self.level is None:
            self.level = self._variant(_first_row_everywhere) or self.larger
        entries = self._entries(self.level, index, layout)
        if entries is None or self.level is self.larger:
            return layout
        near, far = entries.reshape(rows, layout.repeats, -1), entries.reshape(layout.repeats, rows, -1)
        is_near, is_far = _alike(near, 0), _alike(far, 1)
        if is_near != is_far:
            return replace(layout, interleaved=is_far)
        moved = self._moved(index, layout)  # all entries of the first row are equal: change it, and see which follow
        if moved is None or not moved[layout.repeats :].any():
            return layout
        apart = not moved.reshape(layout.repeats, rows)[:, 1:].any()
        if not apart and not is_near:
            self.unclear.add(index)
        return replace(layout, interleaved=apart)

    def _guessed(self, index: int, shape: tuple[int, ...]) -> RowLayout | None:
        """Find the rows of a net that takes one batch size only: what a change of the first row moves."""
        rows = self._rows
        if not shape or shape[0] % rows:
            return None
        layout = RowLayout(0, shape[0] // rows)
        if self.larger.passed[index].call.input is None:  # random numbers: nothing enters them
            return layout if shape[0] == rows else None
        moved = self._moved(index, layout)
        if moved is None or not moved.any() or (rows > 1 and bool(moved[layout.repeats :].any())):
            return None  # noise on weights, or rows that mix
        return layout


def _reason(passed: Passed, waking: Waking) -> str:
    if passed.call.rate == 0 and passed.module in waking.zero:
        return "rate 0 in training mode, too"
    return "seems to change nothing" if (passed.stack, passed.call.kind) in waking.idle else ""


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


def _one_row(shape: tuple[int, ...], layout: RowLayout | None) -> tuple[int, ...]:
    if layout is None:
        return shape
    return (*shape[: layout.axis], layout.repeats, *shape[layout.axis + 1 :])

"""Passes that are ready to run: the net is surveyed once, and any rows may come, in any order, in any process.

Masks are counted, so a row's draws depend on the seed, the site and the pass, with masks="independent" on the row's
number, too, and on nothing else. Blocks of rows may therefore be predicted apart and put together, and so may ranges of
passes, whose statistics merge (see `mcdrop.moments`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Generic, TypeVar, cast

import numpy as np
from torch import Tensor

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.execution import Run, Stopping
from mcdrop.inputs import Stream
from mcdrop.moments import Statistics
from mcdrop.outputs import rows_numbered
from mcdrop.predictive import Reading, in_order
from mcdrop.progress import Advance
from mcdrop.sites import SiteTable

__all__ = ["Partial", "Prepared"]

Predictive = TypeVar("Predictive")

_KEPT = 16
"""Passes that are kept of as many rows as one pass takes at once; of more passes, fewer rows."""

_SHORT = 80  # letters of what is told in full


@dataclass(frozen=True, slots=True)
class Partial:
    """What some passes add up to over a block of rows; `Prepared.finish` makes a prediction of several.

    It pickles, so that it may come from another process.

    Attributes:
        passes: Numbers of the passes.
        states: Their statistics, batch by batch.
        start: The number of the first row, counted over all inputs.
        shapes: The shape of one pass, batch by batch, the rows in front.
        run: What makes the passes, as plain data: parts of one run agree in it, whichever process they come from.
    """

    passes: range
    states: tuple[Any, ...]
    start: int
    shapes: tuple[tuple[int, ...], ...]
    run: Mapping[str, Any]


class Prepared(Generic[Predictive]):
    """What `MCDropout.prepare` returns.

    It does not pickle: another process prepares its own, from what `origin` holds.

    Attributes:
        sites: Where dropout enters the net.
        passes: Number of passes T of a row, the most of them with passes="auto".
        splits: Whether the passes may run in several parts.
        origin: What it was prepared from: the `MCDropout`, the first rows of the inputs, and the options by name.
    """

    def __init__(
        self,
        run: Run,
        reading: Reading[Any, Any],
        known: Mapping[str, Any],
        *,
        open_rows: Callable[[Any, int], Stream],
        stopping: Stopping | None,
        keep_samples: bool,
        splits: bool,
        origin: tuple[Any, Any, Mapping[str, Any]],
    ) -> None:
        """Put together what `MCDropout.prepare` has found.

        Args:
            run: The passes.
            reading: How the net's return is read.
            known: What the prediction holds beside its statistics.
            open_rows: Reads inputs whose first row has a number.
            stopping: When there have been enough passes; None where their number is given.
            keep_samples: Whether all passes are kept.
            splits: Whether the passes may run in several parts.
            origin: What it is prepared from.
        """
        self._run, self._reading, self._known = run, reading, known
        self._open, self._stopping = open_rows, stopping
        self._keep = keep_samples
        self.sites: SiteTable = run.sites
        self.passes = int(known["passes"])
        self.splits, self.origin = splits, origin

    @property
    def fixed(self) -> bool:
        """Whether every row takes the same number of passes."""
        return self._stopping is None

    @property
    def pass_block(self) -> int:
        """Passes that stay together where passes run in parts: 25 where they are stratified, else 1."""
        return self._run.block

    @property
    def block_rows(self) -> int:
        """Rows worth predicting together, by the net's shapes alone: enough to use the machine, few enough to lose.

        Fewer where all passes are kept, so that these take no more than a few hundred megabytes.
        """
        rows = self._run.block_rows
        return max(1, min(rows, rows * _KEPT // self.passes)) if self._keep else rows

    @property
    def provenance(self) -> dict[str, Any]:
        """What makes the predictions, as plain data."""
        return dict(self._known["provenance"])

    def predict(self, x: Any, *, start: int = 0, advance: Advance | None = None) -> Predictive:
        """Predict some rows.

        Args:
            x: Inputs, as for `MCDropout.predict`.
            start: The number of their first row, counted over all inputs.
            advance: Is told how many more passes have run, times their rows.

        Returns:
            What `MCDropout.predict` returns for these rows.

        Raises:
            InputError: If `start` is no number of a row, or the inputs are not usable.
            NetError: If the net refuses them, or its outputs are unusable.
        """
        return self._over(self._run.again(self._rows(x, start), advance), start)

    def whole(self) -> Predictive:
        """Predict the inputs that this was prepared with; once, since a loader may end."""
        return self._over(self._run)

    def partial(self, x: Any, *, passes: range, start: int = 0, advance: Advance | None = None) -> Partial:
        """Run some of the passes of some rows.

        Args:
            x: Inputs, as for `MCDropout.predict`.
            passes: Numbers of the passes, at most from 0 to T; stratified ones from a multiple of 25 to a multiple of
                25, or to T.
            start: The number of their first row, counted over all inputs.
            advance: Is told how many more passes have run, times their rows.

        Returns:
            What the passes add up to.

        Raises:
            InputError: If passes cannot run in parts here, these are none, or the inputs are not usable.
            NetError: If the net refuses them, or its outputs are unusable.
        """
        block = self._run.block
        if not self.splits:
            raise InputError(
                "passes run in parts only where their number is given, last_layer is 'sampled' and no samples are "
                "kept; run them together with predict"
            )
        if not (isinstance(passes, range) and _is_part(passes, self.passes, block)):
            whole = "" if block == 1 else f" from a multiple of {block} to another or to {self.passes}"
            raise InputError(f"passes must be a range within range({self.passes}){whole}, got {passes}; cut elsewhere")
        shape: tuple[int, ...] = ()

        def summarize(output: Tensor, **block: int) -> Any:
            nonlocal shape
            shape = tuple(output.shape[1:])
            return self._reading.summarize(output, **block)

        run = self._run.again(self._rows(x, start), advance)
        batches = [(state, shape) for state in run.summed(summarize, passes)]
        self._reading.judge()  # here, where the outputs were seen
        states, shapes = zip(*batches, strict=True)
        return Partial(passes, states, start, shapes, self._about)

    def finish(self, partials: Sequence[Partial]) -> Predictive:
        """Make a prediction of all passes of the same rows.

        Args:
            partials: What parts of the passes add up to, in any order.

        Returns:
            The prediction, equal to that of `predict` to rounding.

        Raises:
            InputError: If some pass is missing or there twice, or they are of another run or of different rows.
            NetError: If the net's outputs are unusable.
        """
        ordered = sorted(partials, key=lambda part: part.passes.start)
        stops = [0, *(part.passes.stop for part in ordered)]
        if stops[-1] != self.passes or [part.passes.start for part in ordered] != stops[:-1]:
            raise InputError(
                f"partials must hold each of the {self.passes} passes once, got "
                f"{', '.join(str(part.passes) for part in ordered) or 'none'}; run those that are missing"
            )
        for part in ordered:
            _check_same(part, ordered[0], self._about)
        states = [_merged(parts) for parts in zip(*(part.states for part in ordered), strict=True)]
        with rows_numbered(ordered[0].start):
            return cast(Predictive, self._reading.predictive(states, None, self._known))

    @property
    def _about(self) -> dict[str, Any]:
        """What parts of this run agree in: all that makes a pass but what machines round, weights and learned rates."""
        settings, made = self.origin[0].settings, self.provenance
        made["sites"] = [{name: site[name] for name in site if name != "rate"} for site in made["sites"]]
        return made | {name: settings[name] for name in ("task", "outputs", "class_axis")}

    def _rows(self, x: Any, start: int) -> Stream:
        check_count("start", start, least=0, why="rows are numbered from 0")
        return self._open(x, start)

    def _over(self, run: Run, start: int = 0) -> Predictive:
        if self._stopping is None:
            states, samples = run.statistics(self._reading.summarize, keep=self._keep)
            with rows_numbered(start):
                return cast(Predictive, self._reading.predictive(states, samples, self._known))
        excess = partial(self._reading.excess, tolerance=self._stopping.tolerance)
        groups = run.rounds(self._reading.summarize, excess, self._stopping)
        taken = np.repeat([group.passes for group in groups], [len(group.rows) for group in groups])
        rows, known = np.concatenate([group.rows for group in groups]), dict(self._known) | {"passes": taken}
        with rows_numbered(rows):
            made = self._reading.predictive([group.state for group in groups], None, known)
        return cast(Predictive, in_order(made, rows))


def _is_part(passes: range, total: int, block: int) -> bool:
    """Whether these are one or more whole blocks of passes, the last of which may be shorter."""
    whole = passes.start % block == 0 and (passes.stop == total or passes.stop % block == 0)
    return passes.step == 1 and 0 <= passes.start < passes.stop <= total and whole


def _check_same(part: Partial, first: Partial, about: Mapping[str, Any]) -> None:
    """Refuse a part of another run than the one at hand, or of other rows than the first part."""
    others = {name: (part.run.get(name), about.get(name)) for name in {**about, **part.run}}
    told = [
        f"{name} {one!r} where {other!r} was expected" if len(repr((one, other))) < _SHORT else f"another {name}"
        for name, (one, other) in others.items()
        if one != other
    ]
    if told:
        raise InputError(
            f"partials must come from the run that finishes them, got {', '.join(told)}; prepare with the same net and "
            "options everywhere"
        )
    if part.start != first.start or sum(rows for rows, *_ in part.shapes) != sum(rows for rows, *_ in first.shapes):
        raise InputError(
            f"partials must be of the same rows, got rows {_told(first)} of {first.passes} and rows {_told(part)} of "
            f"{part.passes}; finish the passes of each block of rows by themselves"
        )
    if part.shapes != first.shapes:
        one, other = next(pair for pair in zip(first.shapes, part.shapes, strict=False) if pair[0] != pair[1])
        raise InputError(
            f"partials must be of the same batches, got outputs of shape {one} of {first.passes} and {other} of "
            f"{part.passes}; prepare with the same net and batch_size everywhere"
        )


def _told(part: Partial) -> str:
    return f"{part.start} to {part.start + sum(rows for rows, *_ in part.shapes) - 1}"


def _merged(parts: Sequence[Statistics]) -> Statistics:
    return reduce(lambda state, other: state.merge(other), parts)

"""The audit of a net: one row for every site, and for dropout that stays silent."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from mcdrop.masks import RowLayout
from mcdrop.sites.draws import Law

__all__ = ["Site", "SiteTable"]


@dataclass(frozen=True, slots=True)
class Site:
    """One row of the audit: a place where noise enters, or where a module promised it and none does.

    Attributes:
        index: Number of the site in call order, or None for what is not counted or never fired.
        module: Path of the module whose forward made the call ("" is the net itself).
        kind: Name of the function in torch that drops or draws, or the module's class where nothing fired.
        rate: Dropout rate p. Of random numbers drawn directly, the rate that the module declares; None if none.
        mask_shape: Shape of the mask over a batch of one row; None where nothing fired or is not counted.
        layout: Where the rows of a batch lie in the mask; None where it holds no rows.
        inplace: Whether the call changes its input.
        dtype: Type that the noise is drawn in.
        device: Where it is needed.
        law: For random numbers drawn directly, of which variables they are made; None for dropout.
        counted: Whether the draws come from the counter. If not, they come from torch's own generator: seeded for
            every pass and batch, so that another batch size gives other draws.
        reason: Why it is silent, or what else there is to say of it.
    """

    index: int | None
    module: str
    kind: str
    rate: float | None
    mask_shape: tuple[int, ...] | None = None
    layout: RowLayout | None = field(default=None, repr=False)
    inplace: bool = False
    dtype: torch.dtype = field(default=torch.float32, repr=False)
    device: torch.device = field(default=torch.device("cpu"), repr=False)
    law: Law | None = field(default=None, repr=False)
    counted: bool = True
    reason: str = ""

    @property
    def fired(self) -> int:
        """How often the site fires in one pass; for what is not counted, at least that often."""
        return 0 if self.index is None and self.counted else 1

    @property
    def live(self) -> bool:
        """Whether the site adds any spread: it fires, at a rate above 0."""
        return self.fired > 0 and self.rate != 0

    @property
    def by_unit(self) -> bool:
        """Whether it drops entries of axis 1 to 0, the same for all rows and all places."""
        shape = self.mask_shape or ()
        is_dropout = self.law is None and "alpha" not in self.kind
        return is_dropout and self.layout == RowLayout(0, 1) and len(shape) > 1 and all(n == 1 for n in shape[2:])

    @property
    def key(self) -> float | bool | None:
        """What the noise depends on besides kind and shape, as the call has it."""
        return self.rate if self.law is None else self.live

    def batch_shape(self, rows: int) -> tuple[int, ...]:
        """Return the shape of the mask over a batch of so many rows."""
        shape = self.mask_shape or ()
        if self.layout is None:
            return shape
        axis = self.layout.axis
        return (*shape[:axis], rows * self.layout.repeats, *shape[axis + 1 :])


@dataclass(frozen=True, slots=True)
class SiteTable:
    """The audit of a net: all sites in call order, then declared dropout that stayed silent.

    Printing it gives a table; it also counts, indexes and iterates like a tuple of `Site` rows.

    Attributes:
        rows: The rows.
        notes: What else there is to know of the net: a wrapping that was taken off, draws that are not counted.
    """

    rows: tuple[Site, ...]
    notes: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[Site, ...]:
        """The sites that add spread."""
        return tuple(site for site in self.rows if site.live)

    @property
    def silent(self) -> tuple[Site, ...]:
        """What adds none: dropout that never fires or fires at rate 0, noise that is off."""
        return tuple(site for site in self.rows if not site.live)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Site:
        """Return one row."""
        return self.rows[index]

    def __iter__(self) -> Iterator[Site]:
        """Iterate over the rows."""
        return iter(self.rows)

    def __str__(self) -> str:
        """Return the table as text."""
        head = ("site", "module", "kind", "rate", "mask", "fired", "state")
        cells = [head, *(_cells(site) for site in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join((*lines, *(f"note: {note}" for note in self.notes)))


def _cells(site: Site) -> tuple[str, ...]:
    shape = "-" if site.mask_shape is None else " x ".join(map(str, site.mask_shape)) or "1"
    return (
        "-" if site.index is None else str(site.index),
        site.module or "(net)",
        site.kind,
        "-" if site.rate is None else f"{site.rate:g}",
        shape,
        str(site.fired) if site.counted else f"{site.fired}+",
        _state(site),
    )


def _state(site: Site) -> str:
    state = "live" if site.live else "silent"
    if site.live and not site.counted:
        state += ", uncounted"
    return f"{state}: {site.reason}" if site.reason else state

"""From counted masks to the factors and summands that a strategy applies at each site."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.alerts import alert
from mcdrop.errors import RowMaskWarning
from mcdrop.execution.plan import Plan
from mcdrop.masks import CountedBits, RowLayout, kept, mask_words, uniforms
from mcdrop.sites import Law, Site, SiteCall, affine_noise

__all__ = ["Masks", "NoiseSource"]

Masks = Literal["shared", "independent"]
"""One mask for all rows of all batches, or one for each row."""


@dataclass(slots=True)
class NoiseSource:
    """Draws the noise of any site, pass and batch; the same arguments always give the same noise.

    Attributes:
        plan: The sites.
        seed: What the masks are keyed by.
        masks: Whether rows share their masks.
        stratified: Whether every unit's draws fill its strata over each block of passes (see `mcdrop.strata`).
    """

    plan: Plan
    seed: int
    masks: Masks
    stratified: bool = False
    _bits: dict[int, CountedBits] = field(default_factory=dict)
    _has_strayed: bool = False

    def draw(
        self, site: int, what: SiteCall | Site, *, shape: tuple[int, ...], passes: range, rows: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Draw the noise of one site for several passes.

        Args:
            site: Number of the site.
            what: The call or the surveyed site, for its kind, rate, type and device.
            shape: Shape of the mask over the batch.
            passes: Numbers of the passes, C of them.
            rows: Numbers of the rows in the batch, ascending.

        Returns:
            Factor and summand (None for most kinds), each of shape (C, *shape) or with length 1 on the row
            axis, in the type and on the device of the input. For random numbers that the net draws itself, the
            variables they are made of, and None.
        """
        bits = self._bits.get(site)
        if bits is None:
            bits = self._bits[site] = CountedBits(seed=self.seed, site=site, stratified=self.stratified)
        words = mask_words(
            bits,
            shape,
            passes=passes,
            rows=rows,
            layout=self._layout(site, what, shape, len(rows)),
            independent=self.masks == "independent",
        )
        if what.law is not None:
            return _variables(words, what.law, what.dtype).to(what.device), None
        rate = what.rate or 0.0
        keep = torch.from_numpy(kept(words, rate)).to(device=what.device)
        real = what.dtype.to_real() if what.dtype.is_complex else what.dtype
        return affine_noise(what.kind, rate, keep.to(real))

    def _layout(self, site: int, what: SiteCall | Site, shape: tuple[int, ...], rows: int) -> RowLayout | None:
        fired = self.plan.fired
        if site < len(fired) and (fired[site].kind, fired[site].key) == (what.kind, what.key):
            layout = fired[site].layout
            if layout is None or _holds(layout, fired[site], shape, rows):
                return layout
        # Another call than the survey met at this place, as in a net that leaves layers out: find one like it.
        for other in fired:
            if other.layout is not None and _holds(other.layout, other, shape, rows):
                return other.layout
        if any(other.layout is None and other.mask_shape == shape for other in fired):
            return None
        if not self._has_strayed:
            self._has_strayed = True
            alert(
                f"a call of {what.kind} on shape {shape} is like none that the net made when it was surveyed, and may "
                "hold other rows than the batch: its draws depend on the batch; call dropout on whole batches",
                RowMaskWarning,
            )
        return RowLayout(0, shape[0] // rows) if shape and shape[0] % rows == 0 else None


def _holds(layout: RowLayout, site: Site, shape: tuple[int, ...], rows: int) -> bool:
    """Whether a mask of this shape holds so many rows as that of a site does."""
    return len(site.mask_shape or ()) == len(shape) and shape[layout.axis] == rows * layout.repeats


def _variables(words: NDArray[np.uint32], law: Law, dtype: torch.dtype) -> Tensor:
    if law == "uniform":
        digits = min(32, 1 - round(math.log2(torch.finfo(dtype).eps)))
        return torch.from_numpy(uniforms(words, digits)).to(dtype)
    inside = torch.from_numpy((words + 0.5) * 2.0**-32)  # never 0 or 1
    normal: Tensor = torch.special.ndtri(inside)
    return normal.to(dtype)

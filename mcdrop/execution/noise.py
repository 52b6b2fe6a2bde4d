"""From counted masks to the factors and summands that a strategy applies at each site."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mcdrop.execution.plan import Plan
from mcdrop.masks import CountedBits, RowLayout, kept, mask_words
from mcdrop.sites import DropoutCall, Site, affine_noise

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
    """

    plan: Plan
    seed: int
    masks: Masks
    _bits: dict[int, CountedBits] = field(default_factory=dict)

    def draw(
        self, site: int, what: DropoutCall | Site, *, shape: tuple[int, ...], passes: range, rows: range
    ) -> tuple[Tensor, Tensor | None]:
        """Draw the noise of one site for several passes.

        Args:
            site: Number of the site.
            what: The call or the surveyed site, for its kind, rate, type and device.
            shape: Shape of the mask over the batch.
            passes: Numbers of the passes, C of them.
            rows: Numbers of the rows in the batch.

        Returns:
            Factor and summand (None for most kinds), each of shape (C, *shape) or with length 1 on the row
            axis, in the type and on the device of the input.
        """
        bits = self._bits.get(site)
        if bits is None:
            bits = self._bits[site] = CountedBits(seed=self.seed, site=site)
        words = mask_words(
            bits,
            shape,
            passes=passes,
            rows=rows,
            layout=self._layout(site, shape, len(rows)),
            independent=self.masks == "independent",
        )
        keep = torch.from_numpy(kept(words, what.rate)).to(device=what.device)
        real = what.dtype.to_real() if what.dtype.is_complex else what.dtype
        return affine_noise(what.kind, what.rate, keep.to(real))

    def _layout(self, site: int, shape: tuple[int, ...], rows: int) -> RowLayout | None:
        if site < len(self.plan.fired):
            layout = self.plan.fired[site].layout
            if layout is None or (len(shape) > layout.axis and shape[layout.axis] == rows * layout.repeats):
                return layout
        # A site the survey did not meet, as in a net whose path depends on its data: rows come first.
        return RowLayout(0, shape[0] // rows) if shape and shape[0] % rows == 0 else None

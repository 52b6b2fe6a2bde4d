r"""Counted masks: the random bits of (seed, site, pass) come from a counter, not from a stream.

Philox is a bijection from a key and a counter to 256 random bits, so any block can be computed without the
ones before it. Here the key is (seed, site) and the counter is (block, width, pass, scope):

- scope 0, one mask for all rows: blocks 0, 1, ... hold the units of the mask in row-major order, width is 0;
- scope 1, one mask per row: row r owns the blocks from r * ceil(width / 8) on, eight 32-bit words a block.

The width enters the counter of scope 1 so that rows of another length never overlap with these.
Stratified words (see `mcdrop.strata`) are these words moved into strata by maps that each unit draws for a block of
passes: the words of scope 2, for scope 0, and of scope 3, for scope 1, with the number of the block in place of a pass.
A unit is kept when its word is at least $p \cdot 2^{32}$, so p is met to within $2^{-33}$.

References:
    Salmon, J. K. et al. (2011). Parallel Random Numbers: As Easy as 1, 2, 3. SC'11.
    https://doi.org/10.1145/2063384.2063405
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcdrop.rng import check_seed
from mcdrop.strata import STRATA, pick_maps, stratify

__all__ = ["CountedBits", "RowLayout", "kept", "mask_words", "uniforms"]

_WORDS_PER_BLOCK = 8  # a Philox block is 4 x 64 bits
_MAP_SCOPE = 2  # added to the scope of words, the scope of the maps that stratify them


class CountedBits:
    """Random 32-bit words of one (seed, site), addressed by pass, row and unit.

    Example:
        >>> bits = CountedBits(seed=0, site=3)
        >>> bool((bits.shared(range(4, 6), 10)[1] == bits.shared(range(5, 6), 10)[0]).all())
        True
    """

    def __init__(self, *, seed: int, site: int, stratified: bool = False) -> None:
        """Address the words of one site.

        Args:
            seed: A non-negative integer below 2**63.
            site: Number of the site in call order, from 0.
            stratified: Whether the words of a unit fill its strata over each block of passes, and are not independent
                from pass to pass.

        Raises:
            InputError: If the seed is not such an integer.
        """
        self._philox = np.random.Philox(key=np.array([check_seed(seed), site], dtype=np.uint64))
        self._state: Any = self._philox.state
        self._state["buffer_pos"] = 4  # nothing buffered: the next word is the first of its block
        self._stratified = stratified
        self._latest: tuple[object, NDArray[np.uint16]] | None = None  # the maps of a block serve pass after pass

    def shared(self, passes: range, width: int) -> NDArray[np.uint32]:
        """Return the words that all rows share.

        Args:
            passes: Numbers of the passes, C of them.
            width: Number of units the mask has.

        Returns:
            Shape (C, width).
        """
        return self._draw(passes, (width,), 0, lambda number, scope: self._words((0, 0, number, scope), width))

    def by_row(self, passes: range, rows: Sequence[int], width: int) -> NDArray[np.uint32]:
        """Return each row's own words.

        Args:
            passes: Numbers of the passes, C of them.
            rows: Row numbers in ascending order, n of them, counted over the whole input and not within a batch.
            width: Number of units that one row's mask has.

        Returns:
            Shape (C, n, width).
        """
        blocks = -(-width // _WORDS_PER_BLOCK)
        stride = blocks * _WORDS_PER_BLOCK

        def words(number: int, scope: int) -> NDArray[np.uint32]:
            runs = [self._words((run.start * blocks, width, number, scope), len(run) * stride) for run in _runs(rows)]
            return (runs[0] if len(runs) == 1 else np.concatenate(runs)).reshape(len(rows), stride)[:, :width]

        return self._draw(passes, (len(rows), width), 1, words, rows)

    def _draw(
        self,
        passes: range,
        shape: tuple[int, ...],
        scope: int,
        words: Callable[[int, int], NDArray[np.uint32]],
        rows: Sequence[int] = (),
    ) -> NDArray[np.uint32]:
        """Return the words of several passes, given what draws those of one pass, or of one block, in a scope."""
        out = np.empty((len(passes), *shape), dtype=np.uint32)
        for i, number in enumerate(passes):
            out[i] = words(number, scope)
            if self._stratified:
                block, place = divmod(number, STRATA)
                wanted = (block, scope, shape, rows)
                if self._latest is None or self._latest[0] != wanted:
                    self._latest = wanted, pick_maps(words(block, scope + _MAP_SCOPE))
                out[i] = stratify(out[i], self._latest[1], place)
        return out

    def _words(self, counter: tuple[int, int, int, int], count: int) -> NDArray[np.uint32]:
        self._state["state"]["counter"][:] = counter
        self._philox.state = self._state
        raw = self._philox.random_raw(-(-count // 2))
        return np.asarray(raw, dtype="<u8").view("<u4")[:count]


def _runs(rows: Sequence[int]) -> Iterator[range]:
    """Cut ascending row numbers into runs of consecutive ones."""
    if isinstance(rows, range):
        yield rows
        return
    numbers = np.asarray(rows, dtype=np.int64)
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        yield range(int(run[0]), int(run[-1]) + 1)


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where the rows of a batch lie in a tensor inside the net.

    Attributes:
        axis: The axis that grows with the batch.
        repeats: How many entries of that axis belong to one row (attention heads folded into the batch, say).
        interleaved: Whether these entries lie as many apart as there are rows (a batch folded into the time before
            it, say), and not next to each other.
    """

    axis: int = 0
    repeats: int = 1
    interleaved: bool = False

    def split(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the lengths before and after the place of the rows, the repeats on the side where they lie."""
        before, after = shape[: self.axis], shape[self.axis + 1 :]
        return ((*before, self.repeats), after) if self.interleaved else (before, (self.repeats, *after))


def mask_words(
    bits: CountedBits,
    shape: tuple[int, ...],
    *,
    passes: range,
    rows: Sequence[int],
    layout: RowLayout | None,
    independent: bool,
) -> NDArray[np.uint32]:
    """Return the words of one site for several passes over one batch.

    Args:
        bits: The site's words.
        shape: Shape of the mask over the whole batch, n rows included.
        passes: Numbers of the passes, C of them.
        rows: Numbers of the batch's rows, n of them and ascending, counted over the whole input.
        layout: Where the rows lie in `shape`, or None where the tensor does not hold rows (noise on weights).
        independent: Whether each row draws its own words.

    Returns:
        Shape (C, *shape), or with length 1 on the row axis where one mask serves all rows.
    """
    if layout is None:
        return bits.shared(passes, math.prod(shape)).reshape(len(passes), *shape)
    before, after = layout.split(shape)
    width, place = math.prod(before) * math.prod(after), 1 + len(before)
    if independent:
        words = bits.by_row(passes, rows, width).reshape(len(passes), len(rows), *before, *after)
        return np.moveaxis(words, 1, place).reshape(len(passes), *shape)
    words = bits.shared(passes, width).reshape(len(passes), *before, *after)
    if layout.repeats == 1:
        return words
    tiled = np.expand_dims(words, place).repeat(len(rows), axis=place)
    return tiled.reshape(len(passes), *shape)


def kept(words: NDArray[np.uint32], rate: float) -> NDArray[np.bool_]:
    """Return which units survive dropout at a rate: each with probability 1 - rate.

    Args:
        words: Random 32-bit words, any shape.
        rate: Dropout rate p in [0, 1].

    Returns:
        Same shape; all True at rate 0 and all False at rate 1.
    """
    threshold = round(rate * 2**32)
    return words >= np.uint32(threshold) if threshold < 2**32 else np.zeros(words.shape, dtype=np.bool_)


def uniforms(words: NDArray[np.uint32], digits: int) -> NDArray[np.float64]:
    """Return numbers spread evenly over [0, 1): multiples of $2^{-digits}$, 0 included.

    Args:
        words: Random 32-bit words, any shape.
        digits: How many binary digits the numbers have, at most 32: those of the type they are to be held in.

    Returns:
        Same shape.
    """
    return np.ldexp((words >> np.uint32(32 - digits)).astype(np.float64), -digits, dtype=np.float64)

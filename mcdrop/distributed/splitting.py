"""How the work of a run is cut: over points where there are many, over passes where there are few, or over both."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from mcdrop.arguments import check_choice
from mcdrop.errors import InputError
from mcdrop.prepared import Prepared

__all__ = ["EACH", "Item", "Split", "block_rows", "cut", "cut_passes"]

Split: TypeAlias = Literal["auto", "points", "passes"]
"""Whether workers share the points, or the passes of each block of points, too; "auto": by how many blocks there are.

"passes" cuts over both where the points make more than one block.
"""

EACH = 4
"""Items for each worker, so that none waits long for the others at the end."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one worker does at once: some passes over some rows.

    Attributes:
        rows: Numbers of the rows.
        passes: Numbers of the passes.
    """

    rows: range
    passes: range


def cut(prepared: Prepared[Any], blocks: Sequence[range], *, workers: int, split: Split) -> list[Item]:
    """Cut a run into items.

    Args:
        prepared: The passes.
        blocks: Numbers of the rows of each block.
        workers: How many workers share them.
        split: What they share.

    Raises:
        InputError: If the passes should be split and cannot be.
    """
    check_choice("split", split, Split)
    if split == "passes" and not prepared.splits:
        raise InputError(
            "split='passes' needs a number of passes, last_layer='sampled' and no samples kept; use split='points'"
        )
    wanted = EACH * workers
    parts = 1
    if split == "passes" or (split == "auto" and prepared.splits and len(blocks) < wanted):
        parts = -(-wanted // max(len(blocks), 1))
    passes = cut_passes(prepared.passes, prepared.pass_block, max(parts, workers if split == "passes" else 1))
    return [Item(rows, part) for rows in blocks for part in passes]


def block_rows(prepared: Prepared[Any], rows: int, *, workers: int, split: Split) -> int:
    """Return the rows of a block: as many as use a machine well, or fewer where these would leave workers idle.

    Args:
        prepared: The passes.
        rows: How many rows there are.
        workers: How many workers share them.
        split: What they share.
    """
    parts = 1 if split == "points" or not prepared.splits else -(-prepared.passes // prepared.pass_block)
    blocks = -(-EACH * workers // parts)
    return max(1, min(prepared.block_rows, -(-rows // blocks)))


def cut_passes(passes: int, block: int, parts: int) -> list[range]:
    """Cut passes into parts of about one size that hold whole blocks.

    Args:
        passes: Number of passes T.
        block: Passes that stay together.
        parts: How many parts, at most.

    Example:
        >>> cut_passes(110, 25, 3)
        [range(0, 25), range(25, 75), range(75, 110)]
    """
    blocks = -(-passes // block)
    count = min(parts, blocks)
    ends = [min(block * (blocks * part // count), passes) for part in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]

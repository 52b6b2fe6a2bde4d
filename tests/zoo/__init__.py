"""Nets that people write, each with passes made without mcdrop: what the sampler is held against.

A case builds a trained net in eval mode and inputs whose rows 0 and 1 are equal, and draws reference passes in one of
two ways: `by_hand`, a forward written out again with explicit masks from a generator of its own; or `in_training`, the
net in train mode with whatever else train mode changes (running statistics, power iterations) kept in eval mode. Both
run every pass as a row of one large batch. Each file holds the cases of one topic.
"""

from zoo import attention, chance, hidden, kept, kinds, recurrent, several, wrapped
from zoo.case import Case
from zoo.missed import DECLARED, NAMELESS
from zoo.references import tiled

__all__ = ["CASES", "DECLARED", "NAMELESS", "TOPICS", "Case", "tiled"]

TOPICS = (kinds, hidden, several, attention, recurrent, chance, kept, wrapped)

CASES: dict[str, Case] = {name: case for topic in TOPICS for name, case in topic.CASES.items()}
"""Every net whose passes must have the law of the reference."""

"""How every demo starts: its options checked, its preset looked up, and what goes into the summary as settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from mcdrop.arguments import check_count, check_device
from mcdrop.demos.report import read_versions
from mcdrop.errors import InputError
from mcdrop.rng import check_seed

__all__ = ["Setup", "set_up"]


class _Preset(Protocol):
    @property
    def passes(self) -> int: ...

    @property
    def recipes(self) -> Mapping[str, Any]: ...


P = TypeVar("P", bound=_Preset)


@dataclass(frozen=True, slots=True)
class Setup(Generic[P]):
    """A demo's checked options.

    Attributes:
        name: Name of the preset.
        preset: The preset.
        seed: Of initial weights, training noise and masks.
        passes: Number of passes T.
        device: Where to train and predict.
    """

    name: str
    preset: P
    seed: int
    passes: int
    device: torch.device

    def settings(self, data: str | Path | None) -> dict[str, Any]:
        """Return what `summary.json` says of the run."""
        return {
            "preset": self.name,
            "seed": self.seed,
            "passes": self.passes,
            "data": "bundled" if data is None else str(data),
            "device": str(self.device),
            "versions": read_versions(),
            "recipes": {name: asdict(recipe, dict_factory=_plain) for name, recipe in self.preset.recipes.items()},
        }


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict as it comes back from JSON, which has no tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in items}


def set_up(presets: Mapping[str, P], name: str, *, seed: int, passes: int | None, device: str) -> Setup[P]:
    """Check the options that all demos share.

    Args:
        presets: The demo's presets by name.
        name: The one asked for.
        seed: A non-negative integer.
        passes: Number of passes T, or None for the preset's.
        device: Name of a device of torch.

    Returns:
        The checked options.

    Raises:
        InputError: If the preset or the device is unknown, the seed is no such integer, or there are too few passes.
    """
    if name not in presets:
        raise InputError(f"preset must be one of {', '.join(presets)}, got {name!r}")
    preset = presets[name]
    count = preset.passes if passes is None else passes
    check_count("passes", count, least=2, why="a spread needs two draws")
    return Setup(name, preset, check_seed(seed), count, check_device(device))

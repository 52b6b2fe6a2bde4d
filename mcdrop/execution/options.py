"""How passes are to run: the options that `predict`, `sample` and the likelihoods share, checked in one place."""

import re
from dataclasses import dataclass, fields
from typing import Literal, TypedDict

import numpy as np
import torch

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError
from mcdrop.execution.noise import Masks
from mcdrop.rng import check_seed

__all__ = ["Execution", "LastLayer", "Options", "PredictOptions", "RunOptions", "Sampling", "read_options"]

Execution = Literal["auto", "fastest", "loop", "vectorized", "thinned"]
"""How passes run; "auto" picks by a model of the cost, "fastest" by timing a few passes."""

Sampling = Literal["iid", "stratified"]
"""How the masks of different passes hang together."""

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


LastLayer = Literal["sampled", "exact"]
"""Whether the dropout that feeds the last layer is sampled like the rest, or its mean and variance are computed."""


class _Shared(TypedDict, total=False):
    """The options that all calls share, by name, for signatures; `MCDropout.predict` says what each of them does."""

    seed: int
    masks: Masks
    sampling: Sampling
    batch_size: int | None
    memory_limit: int | str | None
    execution: Execution
    chunk_size: int | None
    dtype: torch.dtype | None
    progress: bool | str


class RunOptions(_Shared, total=False):
    """The options of `sample` and the likelihoods."""

    passes: int


class PredictOptions(_Shared, total=False):
    """The options of `predict`."""

    passes: int | Literal["auto"]
    tolerance: float | None
    quantile: float
    max_passes: int
    last_layer: LastLayer
    keep_samples: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options with their defaults.

    Attributes:
        passes: Number of passes T.
        seed: What the masks are keyed by.
        masks: Whether rows share their masks.
        sampling: Whether passes are independent draws.
        batch_size: Rows at once, or None to let the net's shapes decide.
        memory_limit: Bytes that passes may take, as a number or a text, or None for the default.
        execution: The strategy.
        chunk_size: Passes side by side, or None to let the net's shapes decide.
        dtype: The type to take products in, or None for the net's own.
        progress: Whether to show a progress bar; a text names it.
    """

    passes: int = 100
    seed: int = 0
    masks: Masks = "shared"
    sampling: Sampling = "stratified"
    batch_size: int | None = None
    memory_limit: int | str | None = None
    execution: Execution = "auto"
    chunk_size: int | None = None
    dtype: torch.dtype | None = None
    progress: bool | str = False

    def __post_init__(self) -> None:
        """Check every option.

        Raises:
            InputError: If one is not usable.
        """
        if isinstance(self.passes, str):
            raise InputError(f"passes must be a number here, got {self.passes!r}; only predict takes 'auto'")
        check_count("passes", self.passes, least=1, why="there is nothing to return otherwise")
        check_seed(self.seed)
        check_choice("masks", self.masks, Masks)
        check_choice("sampling", self.sampling, Sampling)
        check_choice("execution", self.execution, Execution)
        for name, value in (("batch_size", self.batch_size), ("chunk_size", self.chunk_size)):
            if value is not None:
                check_count(name, value, least=1, why="or None to have it chosen")
        if self.dtype not in (None, torch.bfloat16, torch.float16):
            raise InputError(
                f"dtype must be torch.bfloat16, torch.float16 or None, got {self.dtype!r}; for another type convert "
                "the net itself, as net.double()"
            )
        object.__setattr__(self, "passes", int(self.passes))
        object.__setattr__(self, "memory_limit", _bytes(self.memory_limit))

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes, None where none was given."""
        assert not isinstance(self.memory_limit, str), "made a number where it was checked"
        return self.memory_limit


def read_options(options: RunOptions) -> Options:
    """Check options given by name.

    Args:
        options: Those that differ from the defaults.

    Returns:
        All of them.

    Raises:
        TypeError: If a name is unknown.
        InputError: If a value is not usable.
    """
    known = [field.name for field in fields(Options)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(f"unexpected option {unknown[0]!r}; the options are {', '.join(known)}")
    return Options(**options)


def _bytes(limit: object) -> int | None:
    """Read a number of bytes, or a text such as "500 MB" or "2 GiB"."""
    if limit is None:
        return None
    value: float = 0
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", limit.upper())
        value = float(match[1]) * (_BINARY if match[3] else _UNITS)[match[2]] if match else 0
    elif isinstance(limit, int | float | np.number) and not isinstance(limit, bool):
        value = float(limit)
    if not 1 <= value < float("inf"):
        raise InputError(
            f"memory_limit must be a number of bytes, or a text such as '500 MB' or '2 GiB', got {limit!r}"
        )
    return int(value)

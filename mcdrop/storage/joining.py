"""Joining: blocks of points in order, seen to agree, so that together they are one whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcdrop.errors import InputError
from mcdrop.storage.archive import POINT, Block, Group, Variable, checked
from mcdrop.storage.layout import Spec, Specs, specs_of

__all__ = ["Whole", "join"]


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """What blocks are the parts of.

    Attributes:
        blocks: The blocks in order of their points.
        points: Number of points in all.
        specs: The variables of the whole, by group and name.
        constants: Those without an axis "point", with their values, which are the same in every block.
    """

    blocks: Sequence[Block]
    points: int
    specs: Specs
    constants: Mapping[str, Group]

    def parts(self) -> Iterator[tuple[int, int, dict[str, dict[str, Variable]]]]:
        """Read one block after another.

        Yields:
            The number of its first point, that of the first point after it, and its variables that have the axis
            "point"; blocks of none are left out.

        Raises:
            InputError: If a block does not go with the first.
        """
        start = 0
        for number, block in enumerate(self.blocks):
            if block.points:
                yield start, start + block.points, self._part(number, block)
                start += block.points

    def _part(self, number: int, block: Block) -> dict[str, dict[str, Variable]]:
        """Return the variables of a block along its points; all others are seen to be those of the first."""
        groups = {group: checked(group, known, {}) for group, known in block.read().items()}
        where = f"block {number}"
        _refuse_other_names(where, groups, self.specs)
        for group, variables in groups.items():
            for name, variable in variables.items():
                _refuse_other(f"{where}, variable {name!r} of {group!r}", Spec.of(variable), self.specs[group][name])
                if POINT in variable.dims:
                    _refuse_length(f"{where}, variable {name!r} of {group!r}", variable, block.points)
                elif _bits(variable) != _bits(self.constants[group][name]):
                    raise InputError(
                        f"{where}: {name!r} of {group!r} has no axis {POINT!r}, so it must be the same in all blocks, "
                        f"got {_short(variable)} after {_short(self.constants[group][name])}; give one value per point"
                    )
        return {
            group: {name: variable for name, variable in variables.items() if POINT in variable.dims}
            for group, variables in groups.items()
        }


def join(blocks: Sequence[Block]) -> Whole:
    """Return what blocks are the parts of, by a look at the first that has points.

    Args:
        blocks: Blocks in order of their points. Variables with the axis "point" are joined along it; all others must
            be the same in every block.

    Raises:
        InputError: If there is no block with variables, or those of the first do not fit together.
    """
    points = sum(block.points for block in blocks)
    template = next((block for block in blocks if block.points), blocks[0] if blocks else None)
    first = {} if template is None else template.read()
    groups = {group: checked(group, known, {}) for group, known in first.items()}
    if not any(groups.values()):
        raise InputError("blocks must hold variables, got none at all; there is nothing to write")
    specs = {
        group: {name: _lengthened(spec, points) for name, spec in known.items()}
        for group, known in specs_of(groups).items()
    }
    constants = {
        group: {name: variable for name, variable in known.items() if POINT not in variable.dims}
        for group, known in groups.items()
    }
    return Whole(blocks, points, specs, constants)


def _lengthened(spec: Spec, points: int) -> Spec:
    shape = (points if dim == POINT else size for dim, size in zip(spec.dims, spec.shape, strict=True))
    return replace(spec, shape=tuple(shape))


def _refuse_other_names(where: str, groups: Mapping[str, Group], specs: Specs) -> None:
    got = {(group, name) for group, known in groups.items() for name in known}
    expected = {(group, name) for group, known in specs.items() for name in known}
    if odd := sorted(got ^ expected):
        group, name = odd[0]
        what = "has no variable" if (group, name) in expected else "has another variable,"
        raise InputError(
            f"all blocks must hold the same variables, got {where}, which {what} {name!r} of {group!r}; "
            "predict all rows with the same options"
        )


def _refuse_other(where: str, got: Spec, expected: Spec) -> None:
    """Refuse a variable that is not of the type and shape of the first block's, but for the number of points."""
    told = [_kind(spec) for spec in (got, expected)]
    if told[0] != told[1]:
        raise InputError(
            f"{where} must be as in the first block, {told[1]}, got {told[0]}; predict all rows with the same options"
        )


def _kind(spec: Spec) -> str:
    sizes = ", ".join(
        f"{dim}" if dim == POINT else f"{dim} of {size}" for dim, size in zip(spec.dims, spec.shape, strict=True)
    )
    dtype = "text" if spec.dtype.kind == "U" else spec.dtype.newbyteorder("=")
    about = f" in {spec.units!r}, {spec.long_name!r}" if spec.units or spec.long_name else ""
    return f"{dtype} over ({sizes}){about}"


def _refuse_length(where: str, variable: Variable, points: int) -> None:
    got = variable.values.shape[variable.dims.index(POINT)]
    if got != points:
        raise InputError(f"{where} must have the {points} points of its block, got {got}; give one value per point")


def _bits(variable: Variable) -> tuple[Any, ...]:
    """Return values in a form that compares NaN as a value like any other."""
    values = np.asarray(variable.values)
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return (variable.values.shape, native.tolist() if values.dtype.kind == "U" else native.tobytes())


def _short(variable: Variable) -> str:
    return " ".join(np.array2string(np.asarray(variable.values), threshold=6, edgeitems=2).split())

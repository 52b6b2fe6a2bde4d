"""Posterior draws as ArviZ holds them, 0.23 or 1.x: checked, named with their units, and handed over quietly.

The two generations keep draws in different types (`InferenceData`, `xarray.DataTree`), but both hold xarray
datasets by group, so a figure takes the datasets out, chooses, and packs them again for the ArviZ that is installed.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcdrop.errors import InputError

__all__ = ["Chosen", "check_spread", "find_diverging", "import_arviz", "pack_draws", "select_draws"]

_LEAST = 4  # draws per chain: fewer have neither a density nor an autocorrelation
_ROUNDING = 1e-12  # share of its own size by which a constant may seem to vary


@contextmanager
def import_arviz() -> Iterator[tuple[Any, bool]]:
    """Give ArviZ, and whether it is 1.x; the notices that its old generation alone causes stay silent inside."""
    with warnings.catch_warnings():
        # of its own plans, on import
        warnings.filterwarnings("ignore", category=FutureWarning, message=r"\s*ArviZ is undergoing")
        # of how it calls matplotlib 3.11
        warnings.filterwarnings(
            "ignore", category=DeprecationWarning, message="Passing a dict or None as alias_mapping"
        )
        import arviz

        yield arviz, _is_modern(arviz)


def _is_modern(az: Any) -> bool:
    """Return whether ArviZ is 1.x, by its functions: it still has the old types, as stand-ins that warn."""
    return hasattr(az, "plot_trace_dist")


def pack_draws(az: Any, posterior: Any, diverging: Any) -> Any:
    """Return a posterior in the type of the given ArviZ, with the places where the sampler diverged if known."""
    groups = {"posterior": posterior}
    if diverging is not None:
        groups["sample_stats"] = _number(diverging.to_dataset(name="diverging"))
    if not _is_modern(az):
        return az.InferenceData(**groups)
    import xarray

    return xarray.DataTree.from_dict(groups)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Scalars to draw, named by number: ArviZ 1.x holds no name with a slash, as units like "m / s" have.

    Attributes:
        posterior: A Dataset of floats (chain, draw), named "0", "1", ...
        names: What they are called, each with its place in brackets if it is a component of an array.
        units: Their units, "1" for none.
    """

    posterior: Any
    names: list[str]
    units: list[str]

    @property
    def labels(self) -> list[str]:
        """Names with units."""
        return [name if unit == "1" else f"{name} ({unit})" for name, unit in zip(self.names, self.units, strict=True)]


def select_draws(draws: Any, var_names: Any, units: Any) -> Chosen:
    """Return the chosen draws, checked to be finite real numbers."""
    posterior = _group(draws, "posterior")
    if posterior is None or not posterior.data_vars or not {"chain", "draw"} <= set(posterior.dims):
        raise InputError(
            f"draws must have a group 'posterior' of variables (chain, draw), got {type(draws).__name__}; "
            "fit with inference='nuts' and pass to_arviz()"
        )
    chosen = _choose(var_names, list(posterior.data_vars))
    _check_units(units, list(posterior.data_vars))
    if posterior.sizes["draw"] < _LEAST:
        raise InputError(f"a chain must have at least {_LEAST} draws, got {posterior.sizes['draw']}; draw more")
    columns: dict[str, Any] = {}
    names: list[str] = []
    measured: list[str] = []
    for name in chosen:
        variable = _floats(name, posterior[name])
        for part, column in _components(variable):
            columns[str(len(names))] = column
            names.append(f"{name}{part}")
            measured.append(str((units or {}).get(name, variable.attrs.get("units", "1"))))
    import xarray

    return Chosen(_number(xarray.Dataset(columns)), names, measured)


def check_spread(chosen: Chosen, what: str) -> None:
    """Refuse a chain that stays where it is, which has none of what is to be drawn."""
    for name, variable in zip(chosen.names, chosen.posterior.data_vars.values(), strict=True):
        width = variable.max("draw") - variable.min("draw")
        if not (width > _ROUNDING * abs(variable).max("draw")).all():
            raise InputError(
                f"{name} must vary within each chain to have {what}, got a constant; choose others with var_names"
            )


def _choose(var_names: Any, known: list[Any]) -> list[Any]:
    """Return the names of the variables to draw."""
    if var_names is None:
        return known
    try:
        chosen = [var_names] if isinstance(var_names, str) else list(var_names)
        fits = bool(chosen) and set(chosen) <= set(known) and len(set(chosen)) == len(chosen)
    except TypeError:  # no list, or one of lists
        fits = False
    if not fits:
        raise InputError(f"var_names must be some of {', '.join(map(str, known))}, got {var_names!r}; name each once")
    return chosen


def _check_units(units: Any, known: list[Any]) -> None:
    """Refuse units of what is not among the draws."""
    if units is None:
        return
    if not isinstance(units, Mapping) or not all(isinstance(unit, str) for unit in units.values()):
        raise InputError(f"units must map names of variables to their units, got {units!r}; pass {{'noise': 'ppm'}}")
    unknown = [name for name in units if name not in known]
    if unknown:
        raise InputError(
            f"units must be of variables among {', '.join(map(str, known))}, got {', '.join(map(repr, unknown))}"
        )


def _floats(name: Any, variable: Any) -> Any:
    """Return a variable as floats: ArviZ 0.23 has other figures for whole numbers."""
    if not {"chain", "draw"} <= set(variable.dims) or variable.dtype.kind not in "iuf":
        raise InputError(
            f"the draws of {name} must be real numbers by (chain, draw), got {variable.dtype} by {variable.dims}; "
            "leave it out by var_names"
        )
    if not np.isfinite(variable).all():
        raise InputError(f"the draws of {name} must be finite, got NaN or infinite values; leave it out by var_names")
    return variable.astype(np.float64)


def _number(dataset: Any) -> Any:
    """Count the draws from 0, and the chains too if they have no names: ArviZ 1.x finds them by number."""
    dataset = dataset.assign_coords(draw=np.arange(dataset.sizes["draw"]))
    return dataset if "chain" in dataset.coords else dataset.assign_coords(chain=np.arange(dataset.sizes["chain"]))


def _components(variable: Any) -> Iterator[tuple[str, Any]]:
    """Yield each scalar of a variable, with its place in brackets if there is more than one."""
    extra = [dim for dim in variable.dims if dim not in ("chain", "draw")]
    if not extra:
        yield "", variable.reset_coords(drop=True).transpose("chain", "draw")
        return
    for index in np.ndindex(*(variable.sizes[dim] for dim in extra)):
        place = dict(zip(extra, index, strict=True))
        one = variable.isel(place)
        names = [one.coords[dim].item() if dim in one.coords else k for dim, k in place.items()]
        yield f"[{', '.join(map(str, names))}]", one.reset_coords(drop=True).transpose("chain", "draw")


def _group(draws: Any, name: str) -> Any:
    """Return one group of the draws as a Dataset, or None if there is no such group."""
    try:
        group = draws[name]
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        return None
    dataset = group.to_dataset() if hasattr(group, "to_dataset") else group
    return dataset if hasattr(dataset, "data_vars") else None


def find_diverging(draws: Any) -> Any:
    """Return which draws diverged, (chain, draw), if the sampler said so."""
    stats = _group(draws, "sample_stats")
    return None if stats is None or "diverging" not in stats else stats["diverging"]

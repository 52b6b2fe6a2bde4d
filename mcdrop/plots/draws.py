"""Posterior draws as ArviZ holds them, 0.23 or 1.x: checked, named with their units, and handed over quietly.

The two generations keep draws in different types (`InferenceData`, `xarray.DataTree`), but both hold xarray
datasets by group, so a figure takes the datasets out, chooses, and packs them again for the ArviZ that is installed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mcdrop.errors import InputError

__all__ = ["find_diverging", "import_arviz", "pack_draws", "select_draws"]

_LEAST = 4  # draws per chain: fewer have neither a density nor an autocorrelation


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


def select_draws(draws: Any, var_names: Any, units: Any) -> Any:
    """Return the chosen draws as a Dataset of scalars (chain, draw), named with their components and units."""
    posterior = _group(draws, "posterior")
    if posterior is None or not {"chain", "draw"} <= set(posterior.dims):
        raise InputError(
            f"draws must have a group 'posterior' of variables (chain, draw), got {type(draws).__name__}; "
            "fit with inference='nuts' and pass to_arviz()"
        )
    known = list(posterior.data_vars)
    chosen = known if var_names is None else [var_names] if isinstance(var_names, str) else list(var_names)
    if not chosen or not set(chosen) <= set(known):
        raise InputError(f"var_names must be some of {', '.join(map(str, known))}, got {var_names!r}")
    if posterior.sizes["draw"] < _LEAST:
        raise InputError(f"a chain must have at least {_LEAST} draws, got {posterior.sizes['draw']}; draw more")
    columns: dict[str, Any] = {}
    for name in chosen:
        unit = (units or {}).get(name, posterior[name].attrs.get("units", "1"))
        for part, column in _components(posterior[name]):
            columns[f"{name}{part}" + ("" if unit == "1" else f" ({unit})")] = column
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise InputError(
                f"the draws of {name} must be finite, got NaN or infinite values; leave it out by var_names"
            )
    import xarray

    return _number(xarray.Dataset(columns))


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

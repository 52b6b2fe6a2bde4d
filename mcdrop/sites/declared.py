"""What a module declares: the rates in its attributes, held against the sites that fired."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.sites.table import Site

__all__ = ["declared_rate", "declares", "silent_rows"]

_NAMED = ("drop", "stochasticdepth", "stochastic_depth")


def declared_rate(module: nn.Module) -> float:
    """Return the dropout rate a module declares, 0 for a module that declares none.

    Args:
        module: Any module; its children are not looked at.

    Returns:
        A rate in [0, 1], the largest where there are several.
    """
    return max(_rates(module), default=0.0)


def declares(module: nn.Module, *, by_config: bool = False) -> bool:
    """Whether a module speaks of dropout: by its name or a rate above 0; if that counts, by one in its `config`."""
    if _is_named(type(module).__name__) or declared_rate(module) > 0:
        return True
    return by_config and any(True for _ in _valid(_named_values(getattr(module, "config", None))))


def silent_rows(modules: Mapping[str, nn.Module], live: list[Site]) -> list[Site]:
    """Return a row for every module that declares dropout where none fires.

    A module's rate counts as served by a site of its own, or of one within it; a plain `nn.Dropout` also by a site of
    the module that holds it, which may read its rate and hand it to attention.

    Args:
        modules: The net's modules by their paths.
        live: The sites that add spread.

    Returns:
        Rows that never fired.
    """
    return [
        Site(index=None, module=path, kind=type(module).__name__, rate=declared_rate(module))
        for path, module in modules.items()
        if declared_rate(module) > 0 and not _is_served(path, module, live)
    ]


def _is_served(path: str, module: nn.Module, live: list[Site]) -> bool:
    if _is_torchs(module):
        if any(site.module == path for site in live):
            return True
        mine = {declared_rate(module)} if isinstance(module, nn.modules.dropout._DropoutNd) else set()
        return bool(path) and any(site.module == path.rpartition(".")[0] and site.rate in mine for site in live)
    rates = {None, *_rates(module)}
    near = (site for site in live if _is_within(site.module, path) or site.module == path.rpartition(".")[0])
    return any(site.rate in rates or not site.counted for site in near)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or not outer or inner.startswith(outer + ".")


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


def _is_named(name: str) -> bool:
    return any(part in name.lower() for part in _NAMED)


def _rates(module: nn.Module) -> Iterator[float]:
    found: list[Any]
    if isinstance(module, nn.modules.dropout._DropoutNd):
        found = [module.p]
    elif isinstance(module, nn.MultiheadAttention):
        found = [module.dropout]
    elif isinstance(module, nn.RNNBase):
        found = [module.dropout] if module.num_layers > 1 else []
    elif _is_torchs(module) or isinstance(module, torch.jit.ScriptModule):
        found = []
    else:
        found = _named_values(module)
        if _is_named(type(module).__name__):
            found += [getattr(module, name, None) for name in ("p", "rate", "prob")]
    return _valid(found)


def _named_values(holder: Any) -> list[Any]:
    return [value for name, value in getattr(holder, "__dict__", {}).items() if _is_named(name)]


def _valid(values: Iterable[Any]) -> Iterator[float]:
    for value in values:
        number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if isinstance(number, float | int) and not isinstance(number, bool) and 0 < number <= 1:
            yield float(number)

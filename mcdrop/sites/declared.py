"""What a module declares: the rates in its attributes, held against the sites that fired."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mcdrop.sites.table import Site

__all__ = ["declared_rate", "declares", "is_dropout", "is_within", "silent_rows", "speaks_of_dropout"]

_WORDS = re.compile(
    r"drop_?out|drop_?(path|connect|block)|(layer|patch|token|head|feature)_?drop|drop_?(prob|rate|p|token|head|layer)s?$"
    r"|(^|_)drop$|stochastic_?depth"
)


def declared_rate(module: nn.Module) -> float:
    """Return the dropout rate a module declares, 0 for a module that declares none.

    Args:
        module: Any module; its children are not looked at.

    Returns:
        A rate in [0, 1], the largest where there are several.
    """
    return max(_rates(module), default=0.0)


def speaks_of_dropout(name: str) -> bool:
    """Whether a name, of an attribute, a function or a class, is one that dropout goes by."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return _WORDS.search(snake) is not None


def is_dropout(module: nn.Module) -> bool:
    """Whether a module goes by a name of dropout and has a rate above 0."""
    return speaks_of_dropout(type(module).__name__) and declared_rate(module) > 0


def declares(module: nn.Module, *, by_config: bool = False) -> bool:
    """Whether a module speaks of dropout: by its name or a rate above 0; if that counts, by one in its `config`."""
    if speaks_of_dropout(type(module).__name__) or declared_rate(module) > 0:
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
        Site(index=None, module=path, kind=_kind(module), rate=declared_rate(module))
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
    near = (site for site in live if is_within(site.module, path) or site.module == path.rpartition(".")[0])
    return any(site.rate in rates or not site.counted for site in near)


def _kind(module: nn.Module) -> str:
    hooks = _dropping_hooks(module)
    return type(hooks[0] if hooks else module).__name__


def _dropping_hooks(module: nn.Module) -> list[Any]:
    """Return what drops the inputs of a module, as `mcdrop.layers.add_dropout` has it."""
    return [hook for hook in module._forward_pre_hooks.values() if speaks_of_dropout(type(hook).__name__)]


def is_within(inner: str, outer: str) -> bool:
    """Whether a path is that of a module or of one inside it."""
    return inner == outer or not outer or inner.startswith(outer + ".")


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


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
        if speaks_of_dropout(type(module).__name__):
            found += [getattr(module, name, None) for name in ("p", "rate", "prob")]
    if not isinstance(module, torch.jit.ScriptModule):
        found = [*found, *(getattr(hook, "p", None) for hook in _dropping_hooks(module))]
    return _valid(found)


def _named_values(holder: Any) -> list[Any]:
    return [value for name, value in getattr(holder, "__dict__", {}).items() if speaks_of_dropout(name)]


def _valid(values: Iterable[Any]) -> Iterator[float]:
    for value in values:
        number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if isinstance(number, float) and 0 < number <= 1:  # whole numbers count something
            yield float(number)

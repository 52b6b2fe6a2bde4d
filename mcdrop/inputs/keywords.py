"""Which keyword arguments a net's forward takes, and what becomes of the others."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from mcdrop.errors import InputError

__all__ = ["Keywords", "keywords_of"]

_LABELS = frozenset({"label", "labels", "target", "targets", "y"})
"""What loaders call the truth that they put beside the inputs."""

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keyword arguments of a forward.

    Attributes:
        names: What they are called, in order, or None where every name is taken, or nothing is known.
        sole: The only argument that the forward requires, if it takes that one by position.
    """

    names: tuple[str, ...] | None = None
    sole: str | None = None

    def wants_whole(self, x: Mapping[Any, Any]) -> bool:
        """Whether a mapping is itself the forward's argument: it requires one alone, and none of the names is known.

        Args:
            x: A batch by name.
        """
        return self.sole is not None and not {self.sole, *(self.names or ())} & {str(name) for name in x}

    def select(self, x: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the entries that the forward takes; labels that it does not take are left out.

        Args:
            x: A batch by name.

        Raises:
            InputError: If other names are not among its arguments either.
        """
        given = {str(name): value for name, value in x.items()}
        if self.names is None:
            return given
        strangers = [name for name in given if name not in self.names and name not in _LABELS]
        if strangers:
            raise InputError(
                f"x must hold arguments of the net's forward, {', '.join(self.names) or 'which takes none by name'}, "
                f"got {', '.join(strangers)} too; rename or leave out what the net does not take"
            )
        return {name: value for name, value in given.items() if name in self.names}


def keywords_of(net: Any) -> Keywords:
    """Return what the forward of a net, or of the net inside a wrapper, takes by name.

    Args:
        net: The module; it is only looked at.

    Example:
        >>> import torch
        >>> keywords_of(torch.nn.Linear(1, 1)).names
        ('input',)
    """
    while isinstance(net, _WRAPPERS) or hasattr(net, "_orig_mod"):  # what torch.compile returns has the second
        net = net.module if isinstance(net, _WRAPPERS) else net._orig_mod
    if not isinstance(net, nn.Module) or net._forward_pre_hooks_with_kwargs:  # such a hook may rename them
        return Keywords()
    try:
        parameters = inspect.signature(net.forward).parameters.values()
    except (TypeError, ValueError):  # compiled code does not always have one
        return Keywords()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [item for item in parameters if item.default is item.empty and item.kind not in several]
    sole = required[0].name if len(required) == 1 and required[0].kind is not inspect.Parameter.KEYWORD_ONLY else None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return Keywords(None, sole)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return Keywords(tuple(parameter.name for parameter in parameters if parameter.kind in by_name), sole)

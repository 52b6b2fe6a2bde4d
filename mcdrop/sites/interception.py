"""Interception: a mode of torch that sees every call while it is active, and hands over the stochastic ones."""

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

from mcdrop.fused import unfold
from mcdrop.sites.draws import DrawCall, read_draw
from mcdrop.sites.dropouts import DropoutCall, read_dropout
from mcdrop.sites.norms import frozen

__all__ = ["Interception", "SiteCall"]

SiteCall = DropoutCall | DrawCall
"""A call that makes a site: dropout, or a draw of random numbers."""


class Interception(TorchFunctionMode):
    """Hands every stochastic call made while it is active to `on_site`, whatever a dropout's training flag says.

    Normalization that has running statistics uses them.
    """

    def __init__(self, on_site: Callable[[Any], Any]) -> None:
        """Watch with a callback that takes a `SiteCall` and returns what the call shall return."""
        super().__init__()
        self._on_site = on_site

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Divert dropout and draws, let everything else pass."""
        kwargs = kwargs or {}
        call: SiteCall | None = read_dropout(func, args, kwargs) or read_draw(func, args, kwargs)
        if call is not None:
            return self._on_site(call)
        unfolded = unfold(func, args, kwargs)
        if unfolded is not None:
            with self:  # a mode is off inside its own handler; on again, it sees the dropout inside the fused call
                return unfolded()
        return self.other(func, *frozen(func, args, kwargs))

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that draws nothing, or what cannot be counted."""
        return func(*args, **kwargs)

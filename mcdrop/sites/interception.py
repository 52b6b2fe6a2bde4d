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

    What all other calls gave is shown to `on_result`, if there is one.

    Normalization that has running statistics uses them.
    """

    def __init__(
        self,
        on_site: Callable[[Any], Any],
        on_result: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None] | None = None,
    ) -> None:
        """Watch with a callback.

        Args:
            on_site: Takes a `SiteCall` and returns what the call shall return.
            on_result: Takes any other function, its arguments and what it returned.
        """
        super().__init__()
        self._on_site, self._on_result = on_site, on_result

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
        result = self.other(func, *frozen(func, args, kwargs))
        if self._on_result is not None:
            self._on_result(func, args, kwargs, result)
        return result

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that draws nothing, or what cannot be counted."""
        return func(*args, **kwargs)

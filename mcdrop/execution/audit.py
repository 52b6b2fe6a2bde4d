"""What the audit of a net means for its predictions: refused without noise, warned where some of it is missing."""

import warnings

from torch import nn

from mcdrop.errors import NoDropoutError, SilentDropoutWarning
from mcdrop.sites import Site, SiteTable

__all__ = ["require_noise"]


def require_noise(twin: nn.Module, sites: SiteTable) -> None:
    """Refuse a net without dropout; warn where some of what it declares adds no spread.

    Args:
        twin: The structural twin.
        sites: Its audit.

    Raises:
        NoDropoutError: If no dropout fires.
    """
    silent = [f"{site.module or '(net)'} ({site.kind}, p={site.rate:g})" for site in sites if site.index is None]
    if len(silent) == len(sites):
        raise NoDropoutError(
            f"the net declares dropout that never fires in its forward: {', '.join(silent)}; "
            "call these modules in forward, or every pass would be the same"
            if silent
            else f"expected a net with dropout, got {type(twin).__name__} in which none fires: every pass would be "
            "the same; train one with torch.nn.Dropout layers or torch.nn.functional.dropout calls"
        )
    quiet = [site for site in sites if site.index is not None and site.rate == 0 and not _is_meant(twin, site)]
    if sites.live and quiet:
        names = ", ".join(f"{site.module or '(net)'} ({site.kind})" for site in quiet)
        _warn(
            f"dropout fires at rate 0 and adds no spread in {names}; hand the plain rate to the call, also in eval mode"
        )
    if not sites.live:
        _warn(
            "every dropout call of the net has rate 0, so the spread is zero; if the rate is hidden in eval mode "
            "(`p if self.training else 0.0`), hand the plain rate to the call"
        )
    if silent:
        _warn(f"declared dropout never fires in the net's forward and adds no spread: {', '.join(silent)}")


def _is_meant(twin: nn.Module, site: Site) -> bool:
    """Whether a rate of 0 is what a dropout module was made with."""
    module = twin.get_submodule(site.module)
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p == 0


def _warn(message: str) -> None:
    # Up through require_noise, Run.__init__ and MCDropout's own method to the user's call.
    warnings.warn(message, SilentDropoutWarning, stacklevel=5)

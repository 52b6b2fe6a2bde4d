"""What the audit of a net means for its predictions: refused without noise, warned where some of it is missing."""

import warnings

from torch import nn

from mcdrop.errors import NoDropoutError, SilentDropoutWarning, UncountedDrawsWarning
from mcdrop.execution.twin import every_module
from mcdrop.sites import Site, SiteTable

__all__ = ["require_noise"]


def require_noise(twin: nn.Module, sites: SiteTable) -> None:
    """Refuse a net without noise; warn where some of what it declares adds no spread, or is not counted.

    Args:
        twin: The structural twin.
        sites: Its audit.

    Raises:
        NoDropoutError: If nothing in the net is stochastic.
    """
    silent = [site for site in sites if site.index is None and not site.live and site.rate is not None]
    noise = [site for site in sites if site.index is None and not site.live and site.rate is None]
    quiet = [site for site in sites if site.index is not None and site.rate == 0 and not _is_meant(twin, site)]
    if all(site.reason for site in sites.live):
        raise NoDropoutError(_nothing_fires(twin, sites, silent))
    if quiet:
        _warn(
            f"dropout fires at rate 0 and adds no spread in {_names(quiet)}; if the rate is hidden in eval mode, hand "
            "the plain rate to the call; if it is meant to be 0, leave the call out"
        )
    if silent:
        _warn(f"declared dropout never fires in the net's forward and adds no spread: {_names(silent)}")
    if noise:
        _warn(
            f"random numbers that are drawn in training mode only stay off in {_names(noise)}; if they are dropout, "
            "give the module that draws them an attribute that says so, as self.dropout = 0.1"
        )
    uncounted = [site for site in sites.live if not site.counted]
    if uncounted:
        _warn(
            f"random numbers are drawn past the counter in {_names(uncounted)}: passes run one at a time, and the same "
            "seed gives the same draws for the same batch size only; draw with torch.rand or torch.nn.functional."
            "dropout in plain Python to have them counted",
            UncountedDrawsWarning,
        )


def _nothing_fires(twin: nn.Module, sites: SiteTable, silent: list[Site]) -> str:
    if silent:
        return (
            f"the net declares dropout that never fires in its forward: {_names(silent)}; "
            "call these modules in forward, or every pass would be the same"
        )
    idle = sites.live
    if idle:
        return (
            f"random numbers are drawn and change nothing, so every pass would be the same: {_names(list(idle))}; look "
            "at the rate that they are compared with"
        )
    at_zero = [site for site in sites if site.index is not None]
    if at_zero:
        return (
            f"every dropout call of the net has rate 0, so every pass would be the same: {_names(at_zero)}; give the "
            "rates that the net was trained with, as net.dropout.p = 0.1, or hand the plain rate to the call"
        )
    return (
        f"expected a net with dropout, got {type(twin).__name__} in which none fires: every pass would be the same; "
        "train one with torch.nn.Dropout layers or torch.nn.functional.dropout calls, or put some into this one "
        "with mcdrop.layers.add_dropout"
    )


def _names(sites: list[Site]) -> str:
    shown = [_name(site) for site in sites[:8]]
    return ", ".join(shown) + (f" and {len(sites) - 8} more" if len(sites) > 8 else "")


def _name(site: Site) -> str:
    rate = "" if site.rate is None else f", p={site.rate:g}"
    reason = f": {site.reason}" if site.reason else ""
    return f"{site.module or '(net)'} ({site.kind}{rate}{reason})"


def _is_meant(twin: nn.Module, site: Site) -> bool:
    """Whether a rate of 0 is what a dropout module was made with."""
    if site.reason:
        return True
    module = every_module(twin)[site.module]
    return isinstance(module, nn.modules.dropout._DropoutNd) and module.p == 0


def _warn(message: str, category: type[Warning] = SilentDropoutWarning) -> None:
    # Up through require_noise, Run.__init__ and MCDropout's own method to the user's call.
    warnings.warn(message, category, stacklevel=5)

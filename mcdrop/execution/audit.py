"""What the audit of a net means for its predictions: refused without noise, warned where some of it is missing."""

from torch import nn

from mcdrop.alerts import alert
from mcdrop.errors import NoDropoutError, RowMaskWarning, SilentDropoutWarning, UncountedDrawsWarning
from mcdrop.execution.noise import Masks
from mcdrop.execution.plan import Plan
from mcdrop.execution.twin import every_module
from mcdrop.sites import Site, SiteTable

__all__ = ["require_noise"]


_QUIET = (
    "dropout fires at rate 0 and adds no spread in {}; if the rate is hidden in eval mode, hand the plain rate to the "
    "call; if it is meant to be 0, leave the call out"
)
_SILENT = "declared dropout never fires in the net's forward, on the first rows of x, and adds no spread: {}"
_ASLEEP = "dropout was found that stays off: {}; keep what else training mode does out of its branch"
_NOISE = (
    "random numbers that are drawn in training mode only stay off in {}; if they are dropout, give the module that "
    "draws them an attribute that says so, as self.dropout = 0.1"
)
_IDLE = "random numbers are drawn and seem to change nothing: {}; look at the rate that they are compared with"


def require_noise(twin: nn.Module, plan: Plan, masks: Masks) -> None:
    """Refuse a net without noise; warn where some of what it declares adds no spread, or draws otherwise than it seems.

    Args:
        twin: The structural twin.
        plan: What the survey found.
        masks: Whether rows are to share their masks.

    Raises:
        NoDropoutError: If nothing in the net is stochastic.
    """
    sites = plan.sites
    off = [site for site in sites if site.index is None and not site.live]
    if not sites.live:
        raise NoDropoutError(_nothing_fires(twin, sites, off))
    quiet = [site for site in sites if site.index is not None and site.rate == 0 and not _is_meant(twin, site)]
    kinds = {_QUIET: quiet, _SILENT: _silent(off), _ASLEEP: _asleep(off), _NOISE: _noise(off), _IDLE: _idle(sites)}
    for message, found in kinds.items():
        if found:
            alert(message.format(_names(found)), SilentDropoutWarning)
    _alert_of_draws(plan, masks)


def _alert_of_draws(plan: Plan, masks: Masks) -> None:
    """Warn where rows do not share masks as they seem to, or a seed does not hold for every batch size."""
    if masks == "shared" and plan.time_first:
        alert(
            f"the rows of x are time steps to {', '.join(path or '(net)' for path in plan.time_first)}, so that all "
            "steps share one mask, as in training they do not; put rows first (batch_first=True, or transpose in the "
            "forward), or pass masks='independent' if x is one sequence",
            RowMaskWarning,
        )
    if plan.unclear:
        alert(
            f"it cannot be told which part of a mask belongs to which row in {_names(list(plan.unclear))}: draws there "
            "depend on the batch size; keep the entries of a row next to each other",
            RowMaskWarning,
        )
    if plan.calls_by_row is not None:
        alert(
            "the net's dropout calls grow with its rows ({} for {} rows): each row gets a mask of its own, and the "
            "draws depend on the batch size; call dropout once on the whole batch".format(*plan.calls_by_row),
            RowMaskWarning,
        )
    uncounted = [site for site in plan.sites.live if not site.counted]
    if uncounted:
        alert(
            f"random numbers are drawn past the counter in {_names(uncounted)}: passes run one at a time, and the same "
            "seed gives the same draws for the same batch size only; draw with torch.rand or torch.nn.functional."
            "dropout in plain Python to have them counted",
            UncountedDrawsWarning,
        )


def _nothing_fires(twin: nn.Module, sites: SiteTable, off: list[Site]) -> str:
    silent, rest = _silent(off), [*_asleep(off), *_noise(off)]
    if silent:
        return (
            f"the net declares dropout that never fires in its forward: {_names(silent)}; "
            "call these modules in forward, or every pass would be the same"
        )
    if rest:
        return (
            f"what is stochastic in the net stays off, so every pass would be the same: {_names(rest)}; if random "
            "numbers are dropout, give the module that draws them an attribute that says so, as self.dropout = 0.1"
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


def _silent(off: list[Site]) -> list[Site]:
    return [site for site in off if site.rate is not None and not site.reason]


def _asleep(off: list[Site]) -> list[Site]:
    return [site for site in off if site.rate is not None and site.reason]


def _noise(off: list[Site]) -> list[Site]:
    return [site for site in off if site.rate is None]


def _idle(sites: SiteTable) -> list[Site]:
    return [site for site in sites.live if site.reason]


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

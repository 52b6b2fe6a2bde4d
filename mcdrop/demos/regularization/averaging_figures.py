"""The figure of averages over passes beside averaged weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcdrop.demos.regularization.averaging import Averaging
from mcdrop.plots import plot_curves
from mcdrop.plots.models import check_models, fold_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_averaging"]


def draw_averaging(averagings: Mapping[str, Averaging]) -> "Figure":
    """Draw errors and negative log-likelihood by the number of averaged passes, a column per net.

    The line is the mean over groups of passes, the band one standard deviation on either side.

    Args:
        averagings: Title of each net -> its averages.

    Raises:
        InputError: If there is none, a value is of another type, or a negative log-likelihood is
            infinite.
    """
    check_models("averagings", averagings, "Averaging", Averaging)
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    width = max(7.6, 3.6 * len(averagings) + 0.6)
    figure, axes = plt.subplots(
        2, len(averagings), figsize=(width, 6.2), sharex="col", squeeze=False, layout="constrained"
    )
    for (upper, lower), (name, averaging) in zip(axes.T, averagings.items(), strict=True):
        rows = (
            (upper, averaging.errors, averaging.weight_averaging_errors, fold_name(name, 34), None),
            (lower, averaging.nll, averaging.weight_averaging_nll, None, "averaged passes T"),
        )
        for ax, values, scaled, title, xlabel in rows:
            options = {"xlabel": xlabel, "ylabel": None, "title": title}
            plot_curves({"average over T passes": values}, averaging.passes, ax=ax, band="std", log_x=True, **options)
            ax.axhline(scaled, color="0.3", linestyle="--", linewidth=1.2, zorder=1.8, label="averaged weights")
            ax.get_legend().remove()
    first = next(iter(averagings.values()))
    axes[0, 0].set_ylabel(f"errors on {first.count:,} held-out digits")
    axes[1, 0].set_ylabel("mean NLL (nats)")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    band = Patch(facecolor=handles[0].get_color(), alpha=0.2, linewidth=0, label="± 1 std over groups of passes")
    figure.legend(handles=[handles[0], band, handles[1]], loc="outside lower center", ncols=3, frameon=False)
    return figure

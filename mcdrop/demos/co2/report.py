"""What the CO2 demo reports: its numbers, checks and tables, and who wins where."""

from collections.abc import Iterator, Sequence
from typing import Any

from mcdrop.demos.co2.results import NAMES, Results
from mcdrop.demos.co2.scores import Window
from mcdrop.demos.report import Check, Report, Table

__all__ = ["make_report"]


def make_report(results: Results, windows: Sequence[Window], settings: dict[str, Any]) -> Report:
    """Put together what is printed and written to `summary.json`."""
    numbers = {name: results.numbers(name) for name in results.models}
    spread, error = "std at x = 3.5 over its median inside the data", "RMSE of the MC mean in the training months"
    checks = (
        Check(f"ReLU: {spread}", numbers["relu"]["ratio"], 5.0, at_least=True),
        Check(f"TanH: {spread}", numbers["tanh"]["ratio"], 2.5, at_least=False),
        Check(f"ReLU: {error}", numbers["relu"]["rmse_inside"], 0.3, at_least=False),
        Check(f"TanH: {error}", numbers["tanh"]["rmse_inside"], 0.3, at_least=False),
    )
    hyperparameters = (_hyperparameters(results),) if results.gps else ()
    return Report(
        demo="co2",
        settings=settings,
        results=numbers | {"scores": {window.name: window.numbers() for window in windows}},
        checks=checks,
        tables=(_spread(results, numbers), *hyperparameters, *(window.report() for window in windows)),
        verdict=(*_verdict(windows), *(f"{NAMES[name]}: {text}" for name, text in results.complaints.items())),
    )


def _spread(results: Results, numbers: dict[str, dict[str, Any]]) -> Table:
    keys = ("rmse_inside", "noise_std", "std_median_inside", "std_at_3.5", "ratio")
    rows = tuple(
        (
            NAMES[name] + (" (with noise)" if name in results.gps else ""),
            *(f"{values[key]:.3g}" for key in keys),
        )
        for name, values in numbers.items()
    )
    return Table(
        title="Spread inside the data and far from it (in standard deviations of the detrended series)",
        columns=("model", "RMSE in training months", "noise", "median std inside", "std at x = 3.5", "ratio"),
        rows=rows,
    )


def _hyperparameters(results: Results) -> Table:
    rows = []
    fitted = {name: results.gps[name] for name in results.models if name in results.gps}
    for name, gp in fitted.items():
        for key, value in gp.hyperparameters_.items():
            spread = f" ± {gp.hyperparameter_stds_[key]:.2g}" if gp.inference == "nuts" else ""
            rows.append((NAMES[name], key, f"{value:.3g}{spread}", gp.units_[key]))
    seconds = ", ".join(f"{NAMES[name]} {gp.fit_seconds_:.1f} s" for name, gp in fitted.items())
    title = f"Hyperparameters of the Gaussian processes (x and y standardized; fitted in: {seconds})"
    return Table(title, ("model", "hyperparameter", "value", "unit"), tuple(rows))


def _verdict(windows: Sequence[Window]) -> Iterator[str]:
    yield from (window.verdict() for window in windows)
    yield (
        "(Within noise: not told apart at the 95% level. Later months are resampled by whole years, in the first year "
        "single ones, which makes its errors too small.)"
    )

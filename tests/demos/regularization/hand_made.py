"""Results of the regularization demo in which every number is known and differs from the others."""

from collections.abc import Mapping, Sequence

import numpy as np

from mcdrop.demos.regularization.averaging import Averaging
from mcdrop.demos.regularization.results import Results
from mcdrop.demos.regularization.runs import Run

DIGITS = 200
DECAYS = (0.0, 0.001, 0.01)
RATE_NAMES = (
    ("rates_0_0", "rates_0_20", "rates_0_50"),
    ("rates_20_0", "rates_20_20", "rates_20_50"),
    ("rates_50_0", "rates_50_20", "rates_50_50"),
)
"""By the rate after the first layer, then by that after the second."""

DECAY_NAMES = (
    ("rates_0_0", "rates_20_50"),
    ("rates_0_0_decay_0.001", "rates_20_50_decay_0.001"),
    ("rates_0_0_decay_0.01", "rates_20_50_decay_0.01"),
)
"""By the weight decay, then without and with dropout."""

FIVE = ("mlp_none", "mlp_hidden", "mlp", "lenet_none", "lenet")
LAYERS = ("relu1", "relu2", "relu1/on", "relu2/on")
FINALS: Mapping[str, tuple[int, ...]] = {
    "mlp_none": (60, 66, 57),
    "mlp_hidden": (50, 52, 54),
    "mlp": (30, 33, 29),
    "lenet_none": (24, 22, 28),
    "lenet": (21, 26, 20),
    "rates_0_0": (70, 75, 72),
    "rates_0_20": (66, 69, 65),
    "rates_0_50": (63, 61, 68),
    "rates_20_0": (59, 64, 62),
    "rates_20_20": (56, 58, 61),
    "rates_20_50": (48, 55, 49),
    "rates_50_0": (53, 59, 57),
    "rates_50_20": (45, 47, 51),
    "rates_50_50": (41, 46, 42),
    "rates_0_0_decay_0.001": (67, 71, 76),
    "rates_0_0_decay_0.01": (55, 57, 51),
    "rates_20_50_decay_0.001": (39, 44, 43),
    "rates_20_50_decay_0.01": (32, 35, 38),
    "weights": (46, 40, 52),
}
"""Errors of every net at the end, one number per seed; the larger weight decay is the better one."""

MATCHES: Mapping[str, tuple[list[list[int]], int]] = {
    "mlp_hidden": ([[90, 80, 72, 66, 58, 52, 50, 47], [94, 84, 74, 70, 60, 55, 51, 48]], 50),  # from T = 50 on
    "mlp": ([[60, 55, 50, 46, 44, 41, 39, 38], [61, 57, 51, 48, 45, 42, 40, 39]], 33),  # never
    "lenet": ([[20, 19, 18, 18, 17, 17, 16, 16], [23, 21, 20, 19, 18, 18, 17, 15]], 24),  # from T = 1 on
}
"""Errors of two groups of passes at T = 1, 2, 3, 5, 10, 20, 50, 100, and of averaged weights."""


def curve(name: str, final: int, epochs: int) -> np.ndarray:
    """Return the errors after every epoch: they fall by halves, each net from another height, to the final ones."""
    falls = 0.5 ** np.arange(epochs)
    return np.round(final + (60 + list(FINALS).index(name)) * (falls - falls[-1]))


def variance(name: str, layer: str, seed: int, epochs: int) -> np.ndarray:
    """Return a variance that grows by epochs."""
    return 1 + list(FINALS).index(name) + LAYERS.index(layer) / 10 + np.arange(epochs) / 100 + seed / 1000


def choose_wrong(name: str, seed: int, count: int) -> np.ndarray:
    """Return which digits are wrong: mostly the hard ones, the same for all nets."""
    rng = np.random.default_rng([list(FINALS).index(name), seed])
    wrong = np.zeros(DIGITS, dtype=bool)
    wrong[np.argsort(np.arange(DIGITS) / DIGITS + 0.3 * rng.standard_normal(DIGITS))[:count]] = True
    return wrong


def make_run(name: str, seed: int, wrong: np.ndarray, epochs: int) -> Run:
    errors = curve(name, int(wrong.sum()), epochs)
    layers = () if name in FIVE else LAYERS
    return Run(
        error=errors / DIGITS,
        nll=errors / 100,
        loss=errors / 50,
        variance={layer: variance(name, layer, seed, epochs) for layer in layers},
        wrong=wrong,
        seconds=1.5 + seed,
    )


def make_averaging(errors: Sequence[Sequence[int]], scaled: int) -> Averaging:
    counts = np.array(errors)
    return Averaging(np.array([1, 2, 3, 5, 10, 20, 50, 100]), counts, counts / 100, scaled, scaled / 90, DIGITS)


def make_results(
    *,
    repeats: int = 3,
    epochs: int = 4,
    exercises: bool = True,
    finals: Mapping[str, Sequence[int]] | None = None,
    wrong: Mapping[str, np.ndarray] | None = None,
) -> Results:
    """Return results.

    Args:
        repeats: How many seeds.
        epochs: How many epochs.
        exercises: Whether the nets of the exercises are among them.
        finals: Other errors at the end, by the net; then of all five nets, and their number is that of the seeds.
        wrong: Other tables of what is wrong, by the net, shape (R, N).
    """
    counts = FINALS | ({} if finals is None else finals)
    repeats = repeats if finals is None else len(next(iter(finals.values())))
    runs = {}
    for name in counts if exercises else FIVE:
        tables = [choose_wrong(name, seed, count) for seed, count in enumerate(counts[name][:repeats])]
        tables = tables if wrong is None else list(wrong.get(name, tables))
        runs[name] = tuple(make_run(name, seed, table, epochs) for seed, table in enumerate(tables))
    averagings = {name: make_averaging(*known) for name, known in MATCHES.items()}
    return Results(runs, averagings, DECAYS, 1000 if exercises else 0)

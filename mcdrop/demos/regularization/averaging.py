r"""Monte Carlo averaging of thinned networks beside averaging of their weights, as the number of passes grows.

A net trained with dropout predicts with the mean over all its thinned networks. That mean is estimated from T of them,
or approximated by one pass with dropout off, the weights scaled as the masks scale them on average:

$$p(y \mid x) = E_w[\mathrm{softmax}(f(x, w))] \approx \frac1T \sum_{t=1}^T \mathrm{softmax}(f(x, w_t))
  \quad \text{or} \quad \mathrm{softmax}(f(x, E[w])).$$

The first converges to the mean as T grows; the second would be the mean if all that follows the dropout were linear. A
pass is one thinned network: its masks are the same for all digits. The T networks are drawn independently, and so are
the groups of them, whose spread says what the choice of T networks comes to. It says nothing of other digits or of a
net trained again: both are the same in all groups.

References:
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15.
    https://jmlr.org/papers/v15/srivastava14a.html (section 7.5, figure 11: from about 50 sampled networks on, Monte
    Carlo averages err on MNIST as little as averaged weights, and then by less than one standard deviation less).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mcdrop.arguments import check_count
from mcdrop.demos.averaged import average_weights
from mcdrop.errors import InputError
from mcdrop.progress import track
from mcdrop.rng import check_seed
from mcdrop.sampler import MCDropout
from mcdrop.scores import categorical_nll, correct

__all__ = ["Averaging", "average_passes", "pass_grid", "seeds_of"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Averaging:
    """How well averages of passes predict N held-out digits, in G groups of passes, beside averaged weights.

    Attributes:
        passes: Numbers of passes T that were averaged, ascending, shape (S,).
        errors: Digits that a group's average of its first T passes gets wrong, shape (G, S).
        nll: Mean negative log-likelihood of that average in nats, shape (G, S).
        weight_averaging_errors: Digits that the net with averaged weights gets wrong.
        weight_averaging_nll: Its mean negative log-likelihood in nats.
        count: Number of digits N.
    """

    passes: Counts
    errors: Counts
    nll: Floats
    weight_averaging_errors: int
    weight_averaging_nll: float
    count: int

    @property
    def passes_to_match(self) -> int | None:
        """From which T on averages err no more than averaged weights, or less than one std over groups more.

        None if they still do at the greatest T.
        """
        std = self.errors.std(axis=0, ddof=1)
        worse = np.flatnonzero(self.errors.mean(axis=0) > self.weight_averaging_errors + std)
        start = 0 if len(worse) == 0 else int(worse[-1]) + 1
        return int(self.passes[start]) if start < len(self.passes) else None

    def numbers(self) -> dict[str, Any]:
        """Return everything as plain data: means and standard deviations over the groups, by T."""
        parts = {"errors": self.errors, "nll": self.nll}
        return {
            "passes": self.passes.tolist(),
            "groups": len(self.errors),
            **{name: values.mean(axis=0).tolist() for name, values in parts.items()},
            **{f"{name}_std": values.std(axis=0, ddof=1).tolist() for name, values in parts.items()},
            "weight_averaging_errors": self.weight_averaging_errors,
            "weight_averaging_nll": self.weight_averaging_nll,
            "passes_to_match": self.passes_to_match,
        }


def average_passes(
    net: nn.Module,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    passes: int = 100,
    groups: int = 5,
    seed: int = 0,
    progress: bool | str = False,
) -> Averaging:
    """Average the passes of a classifier, ever more of them, and compare with averaged weights.

    Memory holds the T x N x K logits of one group at a time.

    Args:
        net: A classifier in eval mode that returns K logits per digit.
        images: Shape (N, ...).
        labels: True classes, shape (N,).
        passes: Greatest number of passes to average.
        groups: How many independent averages to take, 2 or more.
        seed: Of all groups, whose own seeds come from it; the first passes are the same whatever their number.
        progress: Whether to show a progress bar; a text names it.

    Returns:
        Errors and negative log-likelihoods at the Ts of `pass_grid`; the latter is infinite where the true class of a
        digit was given probability 0.

    Raises:
        InputError: If an argument is not usable, the net is in training mode, or images and labels do not fit together.
        NoDropoutError: If no dropout fires in the net.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 3)).eval()
        >>> images, labels = np.ones((6, 4), dtype=np.float32), np.arange(6) % 3
        >>> average_passes(net, images, labels, passes=20, groups=2).errors.shape
        (2, 6)
    """
    check_count("groups", groups, least=2, why="a spread needs two")
    if net.training:
        raise InputError("net must be in eval mode, got one in training mode; call net.eval() first")
    grid = pass_grid(passes)
    truth = np.asarray(labels)
    errors, nll = _judge(average_weights(net, images), truth)
    model = MCDropout(net, task="classification")
    curves = []
    with track(groups, "Averaging passes", enabled=progress) as advance:
        for own in seeds_of(seed, groups):
            logits = model.sample(images, passes=passes, seed=own, sampling="iid")
            curves.append(_average(logits, truth, grid))
            advance(1)
    return Averaging(
        passes=grid,
        errors=np.array([[part[0] for part in curve] for curve in curves], dtype=np.int64),
        nll=np.array([[part[1] for part in curve] for curve in curves]),
        weight_averaging_errors=errors,
        weight_averaging_nll=nll,
        count=len(truth),
    )


def pass_grid(passes: int) -> Counts:
    """Return the numbers of passes to look at: 1, 2, 3, 5, 10, 20, 50, 100, 200, ... and the greatest.

    Raises:
        InputError: If the greatest is no whole number above 0.
    """
    check_count("passes", passes, least=1, why="an average is of something")
    steps = [3, *(digit * 10**power for power in range(len(str(passes))) for digit in (1, 2, 5))]
    return np.array(sorted({step for step in steps if step < passes} | {int(passes)}), dtype=np.int64)


def seeds_of(seed: int, groups: int) -> list[int]:
    """Return a seed for each group; groups of other seeds share none of them, but for a chance of 2**-63 or so.

    Raises:
        InputError: If the seed is not an integer in [0, 2**63).
    """
    state = np.random.SeedSequence(check_seed(seed)).generate_state(groups, np.uint64)
    return [int(value >> np.uint64(1)) for value in state]


def _average(logits: Tensor, labels: NDArray[Any], grid: Counts) -> list[tuple[int, float]]:
    """Return errors and mean NLL of the average of the first T passes, at every T of the grid."""
    total, curve, wanted = torch.zeros(logits.shape[1:], dtype=torch.float64), [], set(grid.tolist())
    for count, one in enumerate(logits, start=1):
        total += one.double().softmax(dim=1)
        if count in wanted:
            curve.append(_judge((total / count).numpy(), labels))
    return curve


def _judge(probs: Floats, labels: NDArray[Any]) -> tuple[int, float]:
    """Return errors and mean NLL of predictions, shape (N, K)."""
    return int(np.count_nonzero(~correct(labels, probs))), float(categorical_nll(labels, probs).mean())

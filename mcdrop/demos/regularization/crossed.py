r"""Paired differences over digits and repeats, both random: their mean, its error, and whether it could be chance.

Two nets are compared on the same N held-out digits after training with the same R seeds. Let $d_{ri}$ be 1 where in
repeat r the first alone errs on digit i, -1 where the second alone does, else 0. Another set of digits and other seeds
would give another mean of these, so both count as random, crossed, with one observation per cell:

$$d_{ri} = \mu + a_i + b_r + e_{ri}, \qquad
  \mathrm{Var}[\bar d] = \frac{\sigma_a^2}{N} + \frac{\sigma_b^2}{R} + \frac{\sigma_e^2}{RN}.$$

The mean squares of a two-way table without replication estimate it, with no component below zero:

$$\widehat{\mathrm{Var}}[\bar d] = \frac{1}{RN}
  \max(\mathrm{MS}_a + \mathrm{MS}_b - \mathrm{MS}_e,\ \mathrm{MS}_a,\ \mathrm{MS}_b,\ \mathrm{MS}_e), \qquad
  \nu = \frac{(RN\, \widehat{\mathrm{Var}}[\bar d])^2}
  {\frac{\mathrm{MS}_a^2}{N - 1} + \frac{\mathrm{MS}_b^2}{R - 1} + \frac{\mathrm{MS}_e^2}{(R - 1)(N - 1)}}.$$

$\bar d$ over its standard error is compared with Student's t of $\nu$ degrees of freedom (Satterthwaite's), two-sided,
and the p values of all comparisons that are made together are adjusted (Holm's), so that the chance of any false
"supported" among them is about 5%. Only about, since $\nu$ comes out too large where the seeds happen to agree: of
three pairs of nets of one law, compared together on 1,000 digits with 3 repeats, some pair is told apart in 2% to 10%
of simulations, most often where seeds and digits matter about equally. With 2 repeats it would be up to 19%, and with
errors of the digits alone 78% and more for a single pair where seeds matter much.

So a verdict takes 3 repeats. A single one does not tell at all what another seed would have given: the error is then
that of the digits alone, too small by an unknown amount.

References:
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance Components. Wiley.
    https://doi.org/10.1002/9780470316856 (chapter 4: balanced data, the two-way crossed classification).
    Satterthwaite, F. E. (1946). An Approximate Distribution of Estimates of Variance Components. Biometrics
    Bulletin 2(6). https://doi.org/10.2307/3002019
    Holm, S. (1979). A Simple Sequentially Rejective Multiple Test Procedure. Scandinavian Journal of Statistics 6(2).
    https://www.jstor.org/stable/4615733
    Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1(2).
    https://doi.org/10.1214/07-AOAS122 (crossed random effects: why errors of one side alone are too small).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "LEVEL", "adjust", "judge", "mean_error", "mean_test", "state_p"]

Floats = NDArray[np.float64]

LEVEL = 0.05
"""The largest adjusted p value that supports an ordering."""

LEAST = 3
"""The fewest repeats that are judged."""


def mean_error(differences: NDArray[np.floating] | NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """Return the mean of paired differences, its standard error with digits and repeats random, and its dof.

    Args:
        differences: Shape (..., R, N), N at least 2. With R = 1 the error is that of the digits alone.

    Returns:
        Mean, error and degrees of freedom, each of shape (...); error and dof are 0 where nothing varies.
    """
    values = np.asarray(differences, dtype=np.float64)
    repeats, digits = values.shape[-2:]
    mean = values.mean(axis=(-2, -1))
    a = values.mean(axis=-2) - mean[..., None]
    b = values.mean(axis=-1) - mean[..., None]
    e = values - mean[..., None, None] - a[..., None, :] - b[..., :, None]
    dofs = np.array([digits - 1, repeats - 1, (repeats - 1) * (digits - 1)])
    sums = np.stack([repeats * (a**2).sum(-1), digits * (b**2).sum(-1), (e**2).sum((-2, -1))], axis=-1)
    squares = sums / np.maximum(dofs, 1)  # with one repeat the last two sums are 0
    scaled = np.maximum(squares[..., 0] + squares[..., 1] - squares[..., 2], squares.max(-1))
    varies = np.ptp(values, axis=(-2, -1)) > 0
    spread = (squares**2 / np.maximum(dofs, 1)).sum(-1)
    dof = np.where(varies, scaled**2 / np.where(varies, spread, 1.0), 0.0)
    return mean, np.where(varies, np.sqrt(scaled / (repeats * digits)), 0.0), dof


def mean_test(differences: NDArray[np.floating] | NDArray[np.integer]) -> tuple[float, float, float | None]:
    """Return the mean of paired differences, its standard error, and the p value of its being zero.

    Args:
        differences: Shape (R, N), N at least 2.

    Returns:
        Mean and error, in shares, and p: 1 of a mean of exactly zero, None of another one that does not vary at all.
    """
    from scipy.stats import t

    mean, error, dof = (float(value) for value in mean_error(differences))
    if np.sum(differences) == 0:
        return 0.0, error, 1.0
    return mean, error, None if error == 0 else float(2 * t.sf(abs(mean) / error, dof))


def adjust(p_values: Sequence[float]) -> list[float]:
    r"""Return p values adjusted for their number by Holm's step-down rule, in the order given.

    With $p_{(1)} \le \dots \le p_{(m)}$ the k-th becomes $\max_{j \le k} \min(1, (m - j + 1)\, p_{(j)})$.
    """
    count, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for rank, k in enumerate(sorted(range(count), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (count - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


def judge(p_adjusted: float | None, repeats: int) -> bool | None:
    """Return whether an adjusted p value supports what was found; None where it is not judged."""
    return None if p_adjusted is None or repeats < LEAST else p_adjusted <= LEVEL


def state_p(value: float | None) -> str:
    """Return a p value as text, with as many digits as leave it on its side of `LEVEL`."""
    if value is None:
        return "p unknown"
    if value < 0.001:
        return "p < 0.001"
    if value >= 0.995:
        return "p = 1"
    texts = (f"{value:.{digits}g}" for digits in range(2, 17))
    return "p = " + next((text for text in texts if (float(text) <= LEVEL) == (value <= LEVEL)), f"{value}")

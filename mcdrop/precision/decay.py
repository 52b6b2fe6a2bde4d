r"""Tau from weight decay: what a penalty, a dropout rate and a length scale say about the noise.

The model is $y \sim N(f(x, \omega), \tau^{-1} I_D)$ with the prior $N(0, l^{-2} I)$ on every weight. Its dropout
posterior, with rate p and weights $W$ before masking, minimizes up to constants

$$\frac\tau2 \sum_{n=1}^N \|y_n - \hat y_n\|^2 + \frac{(1 - p)\, l^2}{2} \|W\|^2. \qquad (*)$$

Training minimizes $c \sum_n \|y_n - \hat y_n\|^2 + a \|W\|^2$. It has the same minima where both ratios agree, so
$\tau = (1 - p)\, l^2 c / a$. What c and a are is where mistakes are made (B: rows per step; all of N by default):

| objective | `reduction` | `half` | `outputs` | c |
| --- | --- | --- | --- | --- |
| $\frac1N \sum_n \frac12 \|y_n - \hat y_n\|^2$, as in the paper | "mean" | True | 1 | $1 / 2N$ |
| `nn.MSELoss()`: no 1/2, and the mean is over the D outputs too | "mean" | False | D | $1 / ND$ |
| `nn.MSELoss(reduction="sum")` | "sum" | False | any | $B / N$ |
| half of it, $\frac12 \sum_n \|y_n - \hat y_n\|^2$ | "sum" | True | any | $B / 2N$ |

| penalty | `penalty` | a |
| --- | --- | --- |
| `weight_decay=w` of torch's SGD or Adam, which adds $w W$ to the gradient | "torch" | $w / 2$ |
| $\lambda \|W\|^2$ added to the loss, as in the paper and as `l2` of Keras | "square" | $\lambda$ |

The paper's row with the paper's penalty gives its $\tau = (1 - p)\, l^2 / 2 N \lambda$ (there $p\, l^2 / 2 N \lambda$,
with p the probability to keep), and the plain torch way
(`nn.MSELoss()` and `weight_decay=w`, one output) gives $\tau = 2 (1 - p)\, l^2 / N w$: four times as much for equal
numbers $w = \lambda$.

- Mini-batches leave a mean as it is on average, but a sum over B of N rows is a B/N part of the sum over all, while
  the penalty comes in full with every step: hence B / N.
- AdamW's decay is no penalty: it shrinks weights beside the adaptive step, so that no objective, and no tau, belongs
  to it. Train with Adam or SGD, or put the penalty into the loss, or choose tau by `MCDropout.fit_precision`.
- In (*) a mask is 0 or 1, as in the paper. Torch's masks are 0 or $1 / (1 - p)$, so that the trained weights are
  $(1 - p) W$; to hold the prior on W to the letter, pass `length_scale` divided by $1 - p$.
- p is the rate of the dropout before a weight matrix, the probability to DROP a unit, as in torch; the paper's p is
  the probability to KEEP it, 1 minus ours. A matrix without dropout, and the biases, have p = 0. One tau belongs to
  one choice of (p, l, weight decay).
- tau is in units of 1/y²: for targets that were divided by s before training, tau in the old units is tau / s².

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep
    Learning. ICML. https://arxiv.org/abs/1506.02142 (objective: eq. 1 and 5; tau: eq. 7).
"""

import sys
from typing import Literal

import numpy as np

from mcdrop.arguments import check_choice, check_count
from mcdrop.errors import InputError
from mcdrop.precision.noise import check_positive, check_tau

__all__ = ["Penalty", "Reduction", "tau_from_weight_decay", "weight_decay_from_tau"]

Reduction = Literal["mean", "sum"]
"""What the loss does with the squared errors of the rows of a step."""

Penalty = Literal["torch", "square"]
"""What the weight decay multiplies: half the squared weights (torch's optimizers), or the squared weights."""


def tau_from_weight_decay(
    weight_decay: float,
    *,
    p: float,
    length_scale: float,
    points: int,
    reduction: Reduction = "mean",
    half: bool = False,
    penalty: Penalty = "torch",
    outputs: int = 1,
    batch_size: int | None = None,
) -> float:
    r"""Return the model precision that a weight decay stands for, $\tau = (1 - p)\, l^2 c / a$.

    The defaults are `torch.nn.MSELoss()` of one output with an optimizer's `weight_decay`; the tables at the top of
    this module say what to pass for other losses.

    Args:
        weight_decay: Strength of the penalty, above 0.
        p: Dropout rate, the probability to drop, in [0, 1).
        length_scale: Prior length scale l: a weight has the prior standard deviation 1 / l.
        points: Number of training points N.
        reduction: Whether the loss is the mean or the sum of the squared errors.
        half: Whether the loss has a 1/2 in front of the squared error.
        penalty: "torch" for `weight_decay` of an optimizer with an L2 penalty (not AdamW), "square" for
            $\lambda \|W\|^2$ in the loss.
        outputs: Number of outputs that the mean is taken over besides the points: D for `torch.nn.MSELoss()`, 1
            where the squared errors of a point are added up. Has no say in a sum.
        batch_size: Rows per step; default: all of them. Has no say in a mean.

    Returns:
        tau, in units of 1/y² of the y that the net was trained on.

    Raises:
        InputError: If an argument is outside its range.

    Example:
        >>> about = {"p": 0.5, "length_scale": 0.1, "points": 1000}
        >>> round(tau_from_weight_decay(1e-4, **about), 6)  # nn.MSELoss() and torch's weight_decay
        0.1
        >>> round(tau_from_weight_decay(1e-4, half=True, penalty="square", **about), 6)  # as in the paper
        0.025
    """
    check_positive("weight_decay", weight_decay, "without a penalty tau would be infinite")
    scale = _scale(p, length_scale, points, reduction, half, outputs, batch_size)
    return _normal("tau", scale / _penalty_weight(penalty) / float(weight_decay))


def weight_decay_from_tau(
    tau: float,
    *,
    p: float,
    length_scale: float,
    points: int,
    reduction: Reduction = "mean",
    half: bool = False,
    penalty: Penalty = "torch",
    outputs: int = 1,
    batch_size: int | None = None,
) -> float:
    """Return the weight decay that stands for a model precision: the inverse of `tau_from_weight_decay`.

    Args:
        tau: Model precision in units of 1/y², above 0.
        p: Dropout rate, as for `tau_from_weight_decay`.
        length_scale: Prior length scale l.
        points: Number of training points N.
        reduction: Whether the loss is a mean or a sum.
        half: Whether the loss has a 1/2.
        penalty: What the weight decay multiplies.
        outputs: Number of outputs that the mean is taken over.
        batch_size: Rows per step.

    Returns:
        The weight decay to train with.

    Raises:
        InputError: If an argument is outside its range.

    Example:
        >>> round(weight_decay_from_tau(0.1, p=0.5, length_scale=0.1, points=1000), 9)
        0.0001
    """
    check_tau(tau)
    scale = _scale(p, length_scale, points, reduction, half, outputs, batch_size)
    return _normal("the weight decay", scale / _penalty_weight(penalty) / float(tau))


def _scale(
    p: float, length_scale: float, points: int, reduction: str, half: bool, outputs: int, batch_size: int | None
) -> float:
    """Return tau times the penalty's weight a: keep probability times squared length scale times c."""
    check_choice("reduction", reduction, Reduction)
    check_positive("length_scale", length_scale, "a weight has the prior standard deviation 1 / length_scale")
    check_count("points", points, least=1, why="the training points N")
    check_count("outputs", outputs, least=1, why="the outputs that the mean is taken over")
    if not isinstance(half, bool | np.bool_):
        raise InputError(f"half must be True or False, whether the loss has a 1/2 in front, got {half!r}")
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating) or not 0 <= p < 1:
        raise InputError(f"p must be a dropout rate in [0, 1), the probability to drop, got {p!r}")
    if batch_size is not None:
        check_count("batch_size", batch_size, least=1, why="or None for all points in every step")
        if batch_size > points:
            raise InputError(f"batch_size must be at most points={points}, got {batch_size}; a step sees each row once")
    averaged = points * outputs if reduction == "mean" else points / (batch_size or points)
    length = float(length_scale)
    return float((1 - float(p)) * length * length * (0.5 if half else 1.0) / averaged)


def _normal(what: str, value: float) -> float:
    """Refuse a result that no float holds."""
    if not sys.float_info.min <= value <= sys.float_info.max:
        raise InputError(
            f"{what} must come out between {sys.float_info.min:g} and {sys.float_info.max:g}, got {value:g}; "
            "check weight_decay or tau, and length_scale"
        )
    return value


def _penalty_weight(penalty: str) -> float:
    check_choice("penalty", penalty, Penalty)
    return 0.5 if penalty == "torch" else 1.0

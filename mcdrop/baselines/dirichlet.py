r"""Labels as the regression targets of K Gaussian processes, and their functions as class probabilities.

A label of class $c$ makes Dirichlet concentrations $\alpha_k = \alpha_\epsilon + [k = c]$. A Dirichlet variable is a
normalized set of Gamma variables, and each of these is taken for the log-normal one with the same mean and variance, so
that its logarithm is an observation of a function $f_k$ with Gaussian noise that differs from point to point:

$$\sigma_k^2 = \log(1 / \alpha_k + 1), \qquad \tilde y_k = \log \alpha_k - \sigma_k^2 / 2, \qquad
  \tilde y_k = f_k(x) + \sigma_k \varepsilon.$$

A prediction is $p_k = E[\mathrm{softmax}_k(f(x_*))]$ over the posterior of $f$, by Monte Carlo.

References:
    Milios, D., Camoriano, R., Michiardi, P., Rosasco, L. and Filippone, M. (2018). Dirichlet-based Gaussian Processes
    for Large-scale Calibrated Classification. NeurIPS. https://arxiv.org/abs/1805.10915 (targets and noise: eq. 6;
    probabilities: eq. 8; both in section 4).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.moments import ClassMoments

__all__ = ["as_regression", "softmax_moments"]

_DRAWS = 64  # latent draws at once: with 1,024 points and 10 classes, 5 MB an array


def as_regression(labels: NDArray[np.int64], classes: int, *, alpha_epsilon: float) -> tuple[Tensor, Tensor]:
    r"""Return the targets $\tilde y$ and the noise variances $\sigma^2$ that stand for the labels.

    Args:
        labels: Classes 0 to K - 1, shape (N,).
        classes: Number of classes K.
        alpha_epsilon: Concentration $\alpha_\epsilon$ of the classes that a label does not name, above 0 and at
            most 1.

    Returns:
        Two float64 tensors of shape (K, N), in units of log concentration and of its square.
    """
    alpha = torch.full((classes, len(labels)), alpha_epsilon, dtype=torch.float64)
    alpha[torch.from_numpy(labels), torch.arange(len(labels))] += 1
    variances = alpha.log1p() - alpha.log()  # not log(1 / alpha + 1): 1 / 1e-309 is infinite
    return alpha.log() - variances / 2, variances


def softmax_moments(mean: Tensor, std: Tensor, normals: Tensor) -> ClassMoments:
    """Return the statistics of the softmax over draws of the functions, from each point's own Gaussians.

    Draw t of class k is `mean + std * normals[t, k]` at every point: a point's statistics are the same whatever other
    points are predicted with it. The draws say nothing about how two points vary together.

    Args:
        mean: Of the functions, shape (N, K), in log concentration.
        std: Their standard deviation, same shape and units.
        normals: Standard normal numbers, shape (T, K).
    """
    parts = [ClassMoments.of(mean + std * part[:, None]) for part in torch.split(normals, _DRAWS)]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total

r"""The posterior of K independent Gaussian processes whose noise is known point by point.

Function k has the mean $c$, the covariance $k(x, x') = \eta^2 \exp(-|x - x'|^2 / 2\ell^2)$ and the targets
$y$ with noise variances $D = \mathrm{diag}(\sigma^2)$. From all N points, with $LL^\top = K + D$:

$$\mathrm{mean} = c + k_*^\top (K + D)^{-1} (y - c), \qquad \mathrm{std}^2 = \eta^2 - |L^{-1} k_*|^2.$$

From M inducing points, with $LL^\top = K_{zz}$, $A = L^{-1} K_{zx}$ and $RR^\top = I + A D^{-1} A^\top$, the best
Gaussian posterior of the functions at those points is known too, as the noise is Gaussian. With $a = L^{-1} k_z(x_*)$:

$$\mathrm{mean} = c + a^\top (RR^\top)^{-1} A D^{-1} (y - c), \qquad
  \mathrm{std}^2 = \eta^2 - |a|^2 + |R^{-1} a|^2.$$

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (eq. 2.25-2.26 and algorithm 2.1).
    Titsias, M. (2009). Variational Learning of Inducing Variables in Sparse Gaussian Processes. AISTATS.
    https://proceedings.mlr.press/v5/titsias09a.html (eq. 10 and the prediction below it).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Latents", "Theta", "condition", "condition_sparse"]

_JITTER = 1e-8  # of the prior variance: inducing points may lie so close that K_zz is singular to rounding
_CHUNK = 2048  # training points added to the sums at once: bounds memory at M x 2,048


@dataclass(frozen=True, slots=True, eq=False)
class Theta:
    """Hyperparameters of K processes, float64 tensors of shape (K,).

    Attributes:
        lengthscale: In units of the features.
        amplitude: Prior standard deviation of the function, in log concentration.
        mean: Prior mean of the function, in log concentration.
    """

    lengthscale: Tensor
    amplitude: Tensor
    mean: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """K processes that have seen data.

    Attributes:
        theta: Their hyperparameters.
        anchors: The training or inducing points, shape (M, C).
        factors: L of each process, shape (K, M, M).
        weights: What the covariances with the anchors (all points) or a (inducing points) are multiplied by for the
            mean, shape (K, M).
        widths: R of each process, shape (K, M, M), or None where the anchors are all points.
    """

    theta: Theta
    anchors: Tensor
    factors: Tensor
    weights: Tensor
    widths: Tensor | None = None

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the functions at points of shape (N, C), each of shape (N, K)."""
        squares = _squares(self.anchors, x)
        parts = [self._moments_of(k, squares) for k in range(len(self.weights))]
        mean, variance = (torch.stack(part, dim=1) for part in zip(*parts, strict=True))
        return mean, variance.clamp_min(0).sqrt()  # rounding can fall below 0 where the data leave no doubt

    def _moments_of(self, k: int, squares: Tensor) -> tuple[Tensor, Tensor]:
        cross = _covariance(squares, self.theta, k)
        solved = torch.linalg.solve_triangular(self.factors[k], cross, upper=False)
        basis = cross if self.widths is None else solved
        variance = self.theta.amplitude[k] ** 2 - solved.square().sum(dim=0)
        if self.widths is not None:
            variance = variance + torch.linalg.solve_triangular(self.widths[k], solved, upper=False).square().sum(dim=0)
        return self.theta.mean[k] + self.weights[k] @ basis, variance


def condition(theta: Theta, x: Tensor, targets: Tensor, variances: Tensor) -> Latents:
    """Return the exact posterior; time grows with K N^3, memory with K N^2.

    Args:
        theta: Hyperparameters.
        x: Features of the training points, shape (N, C).
        targets: Shape (K, N), in log concentration.
        variances: Of the noise, same shape.
    """
    squares = _squares(x, x)
    factors = torch.empty(len(targets), len(x), len(x), dtype=x.dtype)
    weights = torch.empty_like(targets)
    for k in range(len(targets)):
        factors[k] = torch.linalg.cholesky(_covariance(squares, theta, k) + torch.diag(variances[k]))
        residual = targets[k] - theta.mean[k]
        weights[k] = torch.cholesky_solve(residual[:, None], factors[k])[:, 0]
    return Latents(theta, x, factors, weights)


def condition_sparse(theta: Theta, anchors: Tensor, x: Tensor, targets: Tensor, variances: Tensor) -> Latents:
    """Return the best posterior that M inducing points can carry; time grows with K N M^2, memory with K M^2.

    Args:
        theta: Hyperparameters.
        anchors: The inducing points, shape (M, C).
        x: Features of the training points, shape (N, C).
        targets: Shape (K, N), in log concentration.
        variances: Of the noise, same shape.
    """
    eye = torch.eye(len(anchors), dtype=x.dtype)
    squares = _squares(anchors, anchors)
    factors, widths = (torch.empty(len(targets), *eye.shape, dtype=x.dtype) for _ in range(2))
    weights = torch.empty(len(targets), len(anchors), dtype=x.dtype)
    for k in range(len(targets)):
        jitter = _JITTER * theta.amplitude[k] ** 2 * eye
        factors[k] = torch.linalg.cholesky(_covariance(squares, theta, k) + jitter)
        precision, shift = eye.clone(), torch.zeros(len(anchors), 1, dtype=x.dtype)
        rows = (torch.split(part, _CHUNK) for part in (x, targets[k], variances[k]))
        for points, y, noise in zip(*rows, strict=True):
            cross = _covariance(_squares(anchors, points), theta, k)
            basis = torch.linalg.solve_triangular(factors[k], cross, upper=False)
            precision += (basis / noise) @ basis.T
            shift += basis @ ((y - theta.mean[k]) / noise)[:, None]
        widths[k] = torch.linalg.cholesky(precision)
        weights[k] = torch.cholesky_solve(shift, widths[k])[:, 0]
    return Latents(theta, anchors, factors, weights, widths)


def _squares(x1: Tensor, x2: Tensor) -> Tensor:
    """Return the squared distances between points, shape (N, M)."""
    # differences, not inner products: those lose the distance of near points to rounding
    return torch.cdist(x1, x2, compute_mode="donot_use_mm_for_euclid_dist").square()


def _covariance(squares: Tensor, theta: Theta, k: int) -> Tensor:
    return theta.amplitude[k] ** 2 * torch.exp(-0.5 * squares / theta.lengthscale[k] ** 2)

r"""Hyperparameters of K independent Gaussian processes, learned with GPyTorch by Adam on their evidence.

From all N points the loss is the negative log marginal likelihood, with the covariance $C = K + D$, $r = y - c$ and
$\alpha = C^{-1} r$. Its derivative is known, so nothing is differentiated through the Cholesky factor of C:

$$-\log p(y) = \tfrac12 r^\top \alpha + \log |L| + \tfrac N2 \log 2\pi, \qquad
  \frac{\partial}{\partial C} = \tfrac12 (C^{-1} - \alpha \alpha^\top).$$

From minibatches the loss is the negative evidence lower bound of a Gaussian posterior at M inducing points, which
takes a natural-gradient step whenever the hyperparameters take a step of Adam.

References:
    Rasmussen, C. E. and Williams, C. K. I. (2006). Gaussian Processes for Machine Learning. MIT Press.
    https://gaussianprocess.org/gpml/ (eq. 2.30 and 5.9).
    Hensman, J., Fusi, N. and Lawrence, N. D. (2013). Gaussian Processes for Big Data. UAI.
    https://arxiv.org/abs/1309.6835 (bound: eq. 4; natural gradients: section 3).
    Gardner, J. R., Pleiss, G., Bindel, D., Weinberger, K. Q. and Wilson, A. G. (2018). GPyTorch: Blackbox
    Matrix-Matrix Gaussian Process Inference with GPU Acceleration. NeurIPS. https://arxiv.org/abs/1809.11165
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcdrop.baselines.latents import Theta
from mcdrop.errors import TrainingError
from mcdrop.progress import Advance
from mcdrop.rng import seeded

__all__ = ["import_gpytorch", "maximize_bound", "maximize_evidence"]

Floats = NDArray[np.float64]

_AMPLITUDE = 2.0  # where the search starts: targets of 10 classes spread by 1.5, their noise by 1.7
_NATURAL_RATE = 0.3  # of the natural-gradient steps


class _NegativeLogDensity(torch.autograd.Function):
    """The negative log density of a Gaussian with mean zero, of its covariance (N, N) and its value (N,)."""

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, residual: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(covariance)
        inverse = torch.cholesky_inverse(factor)
        solved = inverse @ residual
        ctx.save_for_backward(inverse, solved)
        log_norm = factor.diagonal().log().sum() + 0.5 * len(residual) * np.log(2 * np.pi)
        return torch.as_tensor(0.5 * residual @ solved + log_norm)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor]:
        inverse, solved = ctx.saved_tensors
        return slopes[0] * 0.5 * torch.addr(inverse, solved, solved, alpha=-1), slopes[0] * solved


def import_gpytorch() -> Any:
    """Import GPyTorch without the notices of what it is built with (TorchScript's end)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import gpytorch
    return gpytorch


def maximize_evidence(
    x: Tensor, targets: Tensor, variances: Tensor, *, steps: int, learning_rate: float, advance: Advance
) -> tuple[Theta, Floats]:
    """Learn from all points at once, one process after the other.

    The search runs in float32, 2.5 times as fast: the noise variances, about log 2 or more for the usual
    concentrations, keep the covariance well conditioned, and accuracy and likelihood on digits stay the same to three
    digits.

    Args:
        x: Features, shape (N, C).
        targets: Shape (K, N), in log concentration.
        variances: Of the noise, same shape.
        steps: Steps of Adam for each process.
        learning_rate: Of Adam.
        advance: Told of every step done.

    Returns:
        The hyperparameters, and the mean over processes of the loss per point by step, in nats, shape (steps,).

    Raises:
        TrainingError: If the search leaves the finite numbers.
    """
    found, losses = [], np.zeros(steps)
    for y, noise in zip(targets, variances, strict=True):
        model = _start(_exact(x.float(), y.float(), noise.float()), x, y[None])
        adam = torch.optim.Adam(model.parameters(), lr=learning_rate)

        def loss(model: Any = model) -> Tensor:
            marginal = model.likelihood(model(*model.train_inputs))
            residual = model.train_targets - marginal.mean
            total: Tensor = _NegativeLogDensity.apply(marginal.covariance_matrix, residual)  # type: ignore[no-untyped-call]
            return total / len(x)

        losses += _descend(loss, [adam], steps, advance)
        found.append(_theta(model))
    each = zip(*((theta.lengthscale, theta.amplitude, theta.mean) for theta in found), strict=True)
    return Theta(*(torch.cat(parts) for parts in each)), losses / len(targets)


def maximize_bound(
    x: Tensor,
    targets: Tensor,
    variances: Tensor,
    *,
    anchors: Tensor,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    advance: Advance,
) -> tuple[Theta, Floats]:
    """Learn from minibatches, all processes together; time grows with steps, not with N.

    Args:
        x: Features, shape (N, C).
        targets: Shape (K, N), in log concentration.
        variances: Of the noise, same shape.
        anchors: The inducing points, shape (M, C).
        steps: Steps of Adam, one minibatch each.
        learning_rate: Of Adam.
        batch_size: Points in a minibatch.
        seed: Of the order in which the points are seen.
        advance: Told of every step done, once for each process.

    Returns:
        The hyperparameters, and the mean over processes of the minibatches' loss per point, in nats, shape (steps,).

    Raises:
        TrainingError: If the search leaves the finite numbers.
    """
    gpytorch = import_gpytorch()

    model = _start(_variational(anchors, len(targets)), x, targets)
    likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(variances, batch_shape=targets.shape[:1])
    bound = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=len(x))
    adam = torch.optim.Adam(model.hyperparameters(), lr=learning_rate)
    natural = gpytorch.optim.NGD(model.variational_parameters(), num_data=len(x), lr=_NATURAL_RATE)
    batches = _batches(len(x), batch_size)

    def loss() -> Tensor:
        rows = next(batches)
        elbo: Tensor = bound(model(x[rows]), targets[:, rows], noise=variances[:, rows])
        return -elbo.sum()

    with seeded(seed):
        losses = _descend(loss, [adam, natural], steps, lambda done: advance(done * len(targets)))
    return _theta(model), losses / len(targets)


def _exact(x: Tensor, y: Tensor, variances: Tensor) -> Any:
    """Return a GPyTorch model of one process and all points."""
    gpytorch = import_gpytorch()

    class Exact(gpytorch.models.ExactGP):  # type: ignore[misc, name-defined]
        forward = _prior

    return _with_prior(Exact(x, y, gpytorch.likelihoods.FixedNoiseGaussianLikelihood(variances)), ())


def _variational(anchors: Tensor, classes: int) -> Any:
    """Return a GPyTorch model of K processes and their posterior at the inducing points."""
    gpytorch = import_gpytorch()

    class Variational(gpytorch.models.ApproximateGP):  # type: ignore[misc, name-defined]
        forward = _prior

        def __init__(self) -> None:
            posterior = gpytorch.variational.NaturalVariationalDistribution(
                len(anchors), batch_shape=torch.Size([classes])
            )
            super().__init__(
                gpytorch.variational.VariationalStrategy(self, anchors, posterior, learn_inducing_locations=False)
            )

    return _with_prior(Variational(), (classes,))


def _with_prior(model: Any, batch: tuple[int, ...]) -> Any:
    gpytorch = import_gpytorch()

    shape = torch.Size(batch)
    model.mean_module = gpytorch.means.ConstantMean(batch_shape=shape)
    kernel = gpytorch.kernels.RBFKernel(batch_shape=shape)
    model.covar_module = gpytorch.kernels.ScaleKernel(kernel, batch_shape=shape)
    return model


def _prior(model: Any, x: Tensor) -> Any:
    gpytorch = import_gpytorch()

    return gpytorch.distributions.MultivariateNormal(model.mean_module(x), model.covar_module(x))


def _start(model: Any, x: Tensor, targets: Tensor) -> Any:
    """Return the model in training mode, with the lengthscale at the typical distance of a point from the center."""
    radius = x.square().sum(dim=1).mean().sqrt()
    model.to(torch.float32 if hasattr(model, "train_inputs") else torch.float64)
    # as tensors: GPyTorch would round plain numbers to the default dtype
    model.covar_module.base_kernel.lengthscale = radius
    model.covar_module.outputscale = torch.tensor(_AMPLITUDE**2, dtype=x.dtype)
    with torch.no_grad():
        model.mean_module.constant.copy_(targets.mean(dim=1).reshape(model.mean_module.constant.shape))
    return model.train()


def _descend(
    loss: Callable[[], Tensor], optimizers: Iterable[torch.optim.Optimizer], steps: int, advance: Advance
) -> Floats:
    """Take the steps and return the loss before each."""
    from linear_operator.utils.errors import NanError, NotPSDError
    from torch.linalg import LinAlgError  # type: ignore[attr-defined]  # documented, but in no list of names

    losses = np.full(steps, np.nan)
    try:
        for step in range(steps):
            for optimizer in optimizers:
                optimizer.zero_grad()
            value = loss()
            torch.autograd.backward(value)
            for optimizer in optimizers:
                optimizer.step()
            losses[step] = value.item()
            advance(1)
    except (LinAlgError, NanError, NotPSDError) as error:
        raise _diverged(f"no positive definite covariance in step {step + 1}") from error
    if not np.isfinite(losses).all():
        raise _diverged(f"a loss that is not finite in step {int(np.argmin(np.isfinite(losses))) + 1}")
    return losses


def _diverged(got: str) -> TrainingError:
    return TrainingError(f"the search must stay at hyperparameters that fit the data, got {got}; lower learning_rate")


def _theta(model: Any) -> Theta:
    values = (
        model.covar_module.base_kernel.lengthscale,
        model.covar_module.outputscale.sqrt(),
        model.mean_module.constant,
    )
    theta = Theta(*(value.detach().double().reshape(-1) for value in values))
    if not all(bool((value.isfinite() & (value > 0)).all()) for value in (theta.lengthscale, theta.amplitude)):
        raise _diverged("a lengthscale or an amplitude that is not a positive number")
    return theta


def _batches(count: int, batch_size: int) -> Iterator[Tensor]:
    """Yield row numbers without end: every point once, in random order, then anew."""
    while True:
        yield from torch.split(torch.randperm(count), batch_size)

r"""Concrete dropout: the rate is learned along with the weights.

A unit is not dropped outright but almost, by the concrete relaxation of a Bernoulli draw with temperature t,

$$\tilde z = \sigma\left(\frac1t \left(\log\frac{p}{1 - p} + \log\frac{u}{1 - u}\right)\right), \qquad
  u \sim U[0, 1), \qquad y = x \cdot \frac{1 - \tilde z}{1 - p} \qquad (5)$$

which has a gradient in p. As $t \to 0$ it is dropout: $P(\tilde z > 1/2) = p$ at any t. At t above 0 the mean of
$\tilde z$ is p only for $p = 1/2$, and y has the mean $x\,(1 - E[\tilde z]) / (1 - p)$: 0.13% below x at t = p = 0.1.

The loss needs the divergence of the dropout posterior from the prior $N(0, l^{-2} I)$, or the rate goes to 0. For a
layer with K input units it is, up to a constant,

$$\mathrm{KL} = \frac{l^2 (1 - p)}{2} \|M\|^2 - K\, H(p), \qquad H(p) = -p \log p - (1 - p) \log(1 - p) \qquad (3, 4)$$

where M is the weight of a mask of 0 and 1. Here inputs are scaled by $1 / (1 - p)$, so that $M = W / (1 - p)$ with W
the layer's weight, and the first term is $l^2 \|W\|^2 / 2 (1 - p)$. Biases have a flat prior, as in the authors' code.

| the loss, a mean over the rows of a batch | in torch | what to add, for N rows in all |
| --- | --- | --- |
| $-\log p(y_n \mid x_n)$ | `nn.CrossEntropyLoss()`, `nn.GaussianNLLLoss()` | $\mathrm{KL} / N$ (eq. 1) |
| $\|y_n - \hat y_n\|^2$, with noise of precision $\tau$ | `nn.MSELoss()` of one output | $2\,\mathrm{KL} / \tau N$ |

The second is the first times $2 / \tau$. For D outputs torch's losses of real targets are means over these too: divide
what is added by D.

References:
    Gal, Y., Hron, J. and Kendall, A. (2017). Concrete Dropout. NeurIPS. https://arxiv.org/abs/1705.07832 (eq. 1, 3-5).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcdrop.arguments import check_count
from mcdrop.errors import InputError
from mcdrop.layers.rate import check_positive, check_rate

__all__ = ["ConcreteDropout", "concrete_regularizer"]


class ConcreteDropout(nn.Module):
    """A layer whose inputs are dropped at a rate that is learned; in eval mode, the layer itself.

    Leave `p_logit` out of the optimizer's weight decay, and add `concrete_regularizer(net, ...)` to the loss.

    Attributes:
        layer: The wrapped layer.
        p_logit: The learned parameter, log(p / (1 - p)), one number.
        temperature: Temperature t of the relaxation.

    Example:
        >>> import torch
        >>> from mcdrop.layers import ConcreteDropout
        >>> layer = ConcreteDropout(torch.nn.Linear(3, 8), p=0.1)
        >>> loss = layer(torch.ones(4, 3)).square().mean() + layer.regularizer(length_scale=0.01, n=4)
        >>> loss.backward()
        >>> layer.p_logit.grad.shape
        torch.Size([])
    """

    def __init__(self, layer: nn.Module, *, p: float = 0.1, temperature: float = 0.1, channels: bool = False) -> None:
        """Wrap a layer; it is shared, not copied.

        Args:
            layer: A linear layer or a convolution, transposed ones too.
            p: Rate to start from, in (0, 1).
            temperature: Temperature t of the relaxation, above 0; 0.1 in the paper.
            channels: Whether whole channels of a convolution's inputs are dropped, rather than single pixels.

        Raises:
            InputError: If the layer is of another kind, or a number out of range.
        """
        super().__init__()
        rate = check_rate("p", p, zero=False, one=False)
        self.temperature = check_positive("temperature", temperature, advice="0.1 is usual")
        self.inputs, self.spatial = _inputs(layer)
        if channels and self.spatial == 0:
            raise InputError(
                f"channels=True is for convolutions, got {type(layer).__name__}; a linear layer's inputs are units, "
                "leave it out"
            )
        self.channels = channels
        self.layer = layer
        like = next(layer.parameters())
        self.p_logit = nn.Parameter(like.new_tensor(math.log(rate) - math.log1p(-rate)))

    @property
    def p(self) -> Tensor:
        """The rate as it is now, one number with a gradient."""
        return self.p_logit.sigmoid()

    @property
    def rate(self) -> float:
        """The rate as it is now."""
        return float(self.p_logit.detach().sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Call the layer, on nearly dropped inputs where the module is in training mode."""
        return self.layer(x * self._kept(x) if self.training else x)  # type: ignore[no-any-return]

    def _logit(self, dtype: torch.dtype) -> Tensor:
        """Return the logit within the bounds where 1 / (1 - p) and every draw are numbers, with its whole gradient.

        Beyond 16, the multiples of 2^-24 that u is in single precision can no longer tell one rate from another.
        """
        logit = self.p_logit.to(torch.promote_types(dtype, torch.float32))
        bound = min(16.0, math.log(torch.finfo(dtype).max) - 1)
        return logit + (logit.clamp(-bound, bound) - logit).detach()  # with clamp's own gradient it could not return

    def _kept(self, x: Tensor) -> Tensor:
        """Draw (1 - z) / (1 - p), in the type of x."""
        shape = (*x.shape[: -self.spatial], *(1,) * self.spatial) if self.channels else x.shape
        # In single precision at least: in half precision, the logarithms of u are too coarse.
        exact = torch.promote_types(x.dtype, torch.float32)
        logit = self._logit(x.dtype)
        noise = torch.rand(shape, dtype=exact, device=x.device).logit()  # u = 0 gives -inf: kept, and no gradient
        keep = torch.sigmoid(-(logit + noise) / self.temperature)
        return (keep * (1 + logit.exp())).to(x.dtype)  # 1 / (1 - p), also where p rounds to 1

    def regularizer(self, *, length_scale: float, n: int, tau: float | None = None) -> Tensor:
        r"""Return this layer's share of the loss: KL / n, or 2 KL / (tau n).

        Args:
            length_scale: Prior length scale l; the authors' code has 0.01.
            n: Number N of rows in the training set, not in a batch.
            tau: None for a loss that is a mean negative log-likelihood; for a mean squared error, the model precision
                in units of 1/y². The table at the top of this module has the details.

        Returns:
            One number with gradients in the rate and the weight; negative where the entropy is the larger part.

        Raises:
            InputError: If an argument is not usable, or a convolution drops pixels rather than channels: the
                divergence is known for the latter only.
        """
        length_scale = check_positive("length_scale", length_scale, advice="0.01 is usual")
        check_count("n", n, least=1, why="the rows of the training set")
        scale = 1 / n if tau is None else 2 / (check_positive("tau", tau, advice="1 / the noise variance") * n)
        if self.spatial and not self.channels:
            raise InputError(
                "the divergence of a convolution is that of dropped channels, got a layer that drops pixels; make it "
                "with channels=True"
            )
        logit = self._logit(self.p_logit.dtype)
        odds, p = logit.exp(), logit.sigmoid()
        weight = self.layer.weight.square().sum()  # type: ignore[operator]
        negative_entropy = p * F.logsigmoid(logit) + (1 - p) * F.logsigmoid(-logit)
        return scale * (length_scale**2 / 2 * weight * (1 + odds) + self.inputs * negative_entropy)

    def extra_repr(self) -> str:
        """Return the rate as it is now and the options, for the net's text."""
        return f"p={self.rate:.4g}, temperature={self.temperature:g}, channels={self.channels}"


def concrete_regularizer(net: nn.Module, *, length_scale: float, n: int, tau: float | None = None) -> Tensor:
    """Return the sum of `ConcreteDropout.regularizer` over a net: what to add to its loss.

    Args:
        net: A net with layers in `ConcreteDropout`; other layers need a penalty of their own.
        length_scale: Prior length scale l.
        n: Number N of rows in the training set.
        tau: None, or the model precision for a mean squared error.

    Returns:
        One number with gradients.

    Raises:
        InputError: If an argument is not usable, or there is no such layer.

    Example:
        >>> import torch
        >>> from mcdrop.layers import ConcreteDropout, concrete_regularizer
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), ConcreteDropout(torch.nn.Linear(8, 1)))
        >>> penalty = concrete_regularizer(net, length_scale=0.01, n=1000)
    """
    layers = [module for module in _modules(net) if isinstance(module, ConcreteDropout)]
    if not layers:
        raise InputError(
            f"net must hold ConcreteDropout, got a {type(net).__name__} without; wrap its layers, as in "
            "ConcreteDropout(nn.Linear(8, 1))"
        )
    total: Any = sum(layer.regularizer(length_scale=length_scale, n=n, tau=tau) for layer in layers)
    return total  # type: ignore[no-any-return]


def _modules(net: object) -> list[nn.Module]:
    return list(net.modules()) if isinstance(net, nn.Module) else []


def _inputs(layer: object) -> tuple[int, int]:
    """Return a layer's number of input units or channels, and of the axes that follow the channels."""
    if isinstance(layer, nn.modules.conv._ConvNd):
        return int(layer.in_channels), len(layer.kernel_size)
    if isinstance(layer, nn.Linear) and layer.in_features > 0:
        return int(layer.in_features), 0
    raise InputError(
        f"layer must be a linear layer or a convolution, got {type(layer).__name__}; wrap a torch.nn.Linear or Conv "
        "(a lazy one after its first forward)"
    )

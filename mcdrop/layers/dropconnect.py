r"""DropConnect: weights are dropped rather than units.

With a mask of the weight's own shape,

$$y = \left(\frac{M \cdot W}{1 - p}\right) x + b, \qquad M_{ij} \sim \mathrm{Bernoulli}(1 - p),$$

so that $E[y] = W x + b$ and, for a linear layer, $\mathrm{Var}[y_i] = \frac{p}{1 - p} \sum_j W_{ij}^2 x_j^2$. The
paper draws a mask per example; here one mask serves all rows of a call, as a draw of the weights does, and it scales
the weights that stay, where the paper approximates the mean when it predicts.

References:
    Wan, L. et al. (2013). Regularization of Neural Networks using DropConnect. ICML.
    https://proceedings.mlr.press/v28/wan13.html (section 3).
"""

from typing import Any

import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from mcdrop.errors import InputError
from mcdrop.layers.rate import check_rate

__all__ = ["DropConnect"]


class DropConnect(nn.Module):
    """A layer whose weight, and not whose bias, is dropped in every call; in eval mode, the layer itself.

    Example:
        >>> import torch
        >>> from mcdrop.layers import DropConnect
        >>> net = torch.nn.Sequential(DropConnect(torch.nn.Linear(3, 8), p=0.5), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        >>> net(torch.ones(4, 3)).shape
        torch.Size([4, 1])
    """

    def __init__(self, layer: nn.Module, p: float = 0.5) -> None:
        """Wrap a layer; it is shared, not copied.

        Args:
            layer: A layer with a parameter named `weight`: linear, convolution, embedding.
            p: Probability to drop a weight, in [0, 1].

        Raises:
            InputError: If the rate lies outside [0, 1], or the layer has no weight of its own to drop.
        """
        super().__init__()
        self.p = check_rate("p", p)
        _check_layer(layer)
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer with dropped weights; arguments and result are the layer's own."""
        _check_layer(self.layer)  # a parametrization may have come since
        weight = self.layer.weight
        dropped = F.dropout(weight, self.p, self.training) if self.p > 0 else weight  # type: ignore[arg-type]
        if dropped is weight:  # nothing to swap in: threads in eval mode do not meet
            return self.layer(*args, **kwargs)
        return functional_call(self.layer, {"weight": dropped}, args, kwargs)  # type: ignore[dict-item]

    def extra_repr(self) -> str:
        """Return the rate, for the net's text."""
        return f"p={self.p:g}"


def _check_layer(layer: nn.Module) -> None:
    if not isinstance(layer, nn.Module):
        raise InputError(f"layer must be a torch.nn.Module, got {type(layer).__name__}; pass for example a Linear")
    if isinstance(layer._parameters.get("weight"), nn.Parameter):
        return
    if hasattr(layer, "weight"):
        raise InputError(
            f"layer must hold its weight as a plain parameter, got a {type(layer).__name__} that computes it; "
            "make the parametrization or weight norm permanent first, with torch.nn.utils.parametrize.remove_"
            "parametrizations(layer, 'weight') or torch.nn.utils.remove_weight_norm(layer)"
        )
    raise InputError(
        f"layer must have a parameter named weight, got {type(layer).__name__}; wrap a Linear or a convolution, "
        "and a recurrent layer with VariationalRNN"
    )

r"""Inverted dropout from scratch, three lines of arithmetic: what `torch.nn.Dropout` does.

With one uniform number u per unit,

$$y = \frac{x \cdot [u \ge p]}{1 - p}, \qquad u \sim U[0, 1),$$

so that $E[y] = x$ and $\mathrm{Var}[y] = x^2 p / (1 - p)$. It is inverted since the kept units are scaled up while
dropout is on, rather than all of them down while it is off.

References:
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15.
    https://jmlr.org/papers/v15/srivastava14a.html (section 10: scaling up at training time).
"""

import torch
from torch import Tensor, nn

from mcdrop.layers.rate import check_rate

__all__ = ["InvertedDropout"]


class InvertedDropout(nn.Module):
    """Drop each unit with probability p and scale the others by 1 / (1 - p); in eval mode, return the input.

    Example:
        >>> import torch
        >>> from mcdrop.layers import InvertedDropout
        >>> y = InvertedDropout(0.5)(torch.ones(2, 1000))
        >>> y.unique()
        tensor([0., 2.])
    """

    def __init__(self, p: float = 0.5) -> None:
        """Set the rate.

        Args:
            p: Probability to drop a unit, in [0, 1]; at 1 everything is 0, as in torch.

        Raises:
            InputError: If the rate lies outside [0, 1].
        """
        super().__init__()
        self.p = check_rate("p", p)

    def forward(self, x: Tensor) -> Tensor:
        """Return x, any shape, with units dropped where the module is in training mode."""
        if not self.training or self.p == 0:
            return x
        # In single precision whatever x is: a half's uniform numbers are too coarse to compare with a rate.
        kept = torch.rand_like(x, dtype=torch.float32) >= self.p
        return x * kept / (1 - self.p if self.p < 1 else 1)

    def extra_repr(self) -> str:
        """Return the rate, for the net's text."""
        return f"p={self.p:g}"

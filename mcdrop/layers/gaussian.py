r"""Gaussian dropout: every unit times a normal number of mean 1 and the variance that dropout's mask has.

$$y = x \cdot \left(1 + \sqrt{\frac{p}{1 - p}}\, \epsilon\right), \qquad \epsilon \sim N(0, 1),$$

so that $E[y] = x$ and $\mathrm{Var}[y] = x^2 p / (1 - p)$, as for dropout with rate p. No unit is ever dropped
altogether, and a large one may change its sign.

References:
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15.
    https://jmlr.org/papers/v15/srivastava14a.html (section 10; there p is the probability to keep a unit).
    Wang, S. and Manning, C. (2013). Fast dropout training. ICML. https://proceedings.mlr.press/v28/wang13a.html
"""

import torch
from torch import Tensor, nn

from mcdrop.layers.rate import check_rate

__all__ = ["GaussianDropout"]


class GaussianDropout(nn.Module):
    """Multiply each unit by N(1, p / (1 - p)); in eval mode, return the input.

    Example:
        >>> import torch
        >>> from mcdrop.layers import GaussianDropout
        >>> layer = GaussianDropout(0.2)
        >>> bool(layer(torch.ones(100_000)).var() < 0.26)  # 0.2 / 0.8 = 0.25
        True
    """

    def __init__(self, p: float = 0.5) -> None:
        """Set the rate.

        Args:
            p: Rate of the dropout with the same variance, in [0, 1).

        Raises:
            InputError: If the rate lies outside [0, 1).
        """
        super().__init__()
        self.p = check_rate("p", p, one=False)

    @property
    def std(self) -> float:
        """Standard deviation of the factor."""
        return float((self.p / (1 - self.p)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return x, any shape, with noise where the module is in training mode."""
        if not self.training or self.p == 0:
            return x
        return x * (1 + self.std * torch.randn_like(x))

    def extra_repr(self) -> str:
        """Return the rate, for the net's text."""
        return f"p={self.p:g}"

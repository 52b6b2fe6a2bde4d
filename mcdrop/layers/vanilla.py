r"""Dropout as it was first proposed: units are dropped in training, and all are scaled down at test time.

With one uniform number u per unit,

$$y = x \cdot [u \ge p], \quad u \sim U[0, 1) \quad \text{(training)}, \qquad y = (1 - p)\, x \quad \text{(eval)},$$

so that both have the mean $(1 - p)\, x$, and training has the variance $x^2 p (1 - p)$. The layer after it sees smaller
inputs than after inverted dropout, by the factor $1 - p$ in either mode: with weights W it computes what a layer with
weights $(1 - p) W$ computes after inverted dropout with the same masks.

The mean is that of the units, not of what comes after them: the net in eval mode, Hinton et al.'s "mean network", gives
the mean over all thinned networks where the rest is linear, and stands for it elsewhere.

References:
    Hinton, G. E. et al. (2012). Improving neural networks by preventing co-adaptation of feature detectors.
    https://arxiv.org/abs/1207.0580 (the mean network: all units, with their outgoing weights halved at p = 1/2).
    Srivastava, N. et al. (2014). Dropout: A Simple Way to Prevent Neural Networks from Overfitting. JMLR 15.
    https://jmlr.org/papers/v15/srivastava14a.html (section 4; there p is the probability to keep a unit).
"""

import torch
from torch import Tensor, nn

from mcdrop.layers.rate import check_rate

__all__ = ["VanillaDropout"]


class VanillaDropout(nn.Module):
    """Drop each unit with probability p; in eval mode, scale all units by 1 - p.

    Example:
        >>> import torch
        >>> from mcdrop.layers import VanillaDropout
        >>> layer = VanillaDropout(0.25)
        >>> layer(torch.ones(2, 1000)).unique()
        tensor([0., 1.])
        >>> layer.eval()(torch.ones(3))
        tensor([0.7500, 0.7500, 0.7500])
    """

    def __init__(self, p: float = 0.5) -> None:
        """Set the rate.

        Args:
            p: Probability to drop a unit, in [0, 1]; at 1 everything is 0 in both modes.

        Raises:
            InputError: If the rate lies outside [0, 1].
        """
        super().__init__()
        self.p = check_rate("p", p)

    def forward(self, x: Tensor) -> Tensor:
        """Return x, any shape, with units dropped in training mode and scaled by 1 - p in eval mode."""
        if self.p == 0:
            return x
        if not self.training:
            return x * (1 - self.p)
        # In single precision whatever x is: a half's uniform numbers are too coarse to compare with a rate.
        return x * (torch.rand_like(x, dtype=torch.float32) >= self.p)

    def extra_repr(self) -> str:
        """Return the rate, for the net's text."""
        return f"p={self.p:g}"

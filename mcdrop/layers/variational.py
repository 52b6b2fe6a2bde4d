r"""Variational dropout of sequences: one mask for all time steps.

$$y_t = x_t \cdot \frac{m}{1 - p}, \qquad m_f \sim \mathrm{Bernoulli}(1 - p) \text{ once per sequence and feature,}$$

so that a pass is one draw of the weights for the whole sequence; `torch.nn.Dropout` draws anew at every step.

References:
    Gal, Y. and Ghahramani, Z. (2016). A Theoretically Grounded Application of Dropout in Recurrent Neural Networks.
    NeurIPS. https://arxiv.org/abs/1512.05287 (section 4 and figure 1).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mcdrop.errors import InputError
from mcdrop.layers.rate import check_rate

__all__ = ["VariationalDropout", "check_sequences"]


class VariationalDropout(nn.Module):
    """Drop the same features at all steps of a sequence ("locked" dropout); in eval mode, return the input.

    Example:
        >>> import torch
        >>> from mcdrop.layers import VariationalDropout
        >>> y = VariationalDropout(0.5)(torch.ones(2, 7, 3))
        >>> bool((y == y[:, :1]).all())
        True
    """

    def __init__(self, p: float = 0.5, *, batch_first: bool = True) -> None:
        """Set the rate.

        Args:
            p: Probability to drop a feature, in [0, 1].
            batch_first: Whether inputs are (N, time, features); otherwise they are (time, N, features), which is
                what torch's recurrent layers take unless told otherwise.

        Raises:
            InputError: If the rate lies outside [0, 1].
        """
        super().__init__()
        self.p = check_rate("p", p)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        """Return x with features dropped where the module is in training mode.

        Args:
            x: Sequences, shape (N, time, features), or (time, N, features).

        Raises:
            InputError: If x is packed, or has another number of axes.
        """
        check_sequences(x, type(self).__name__, batch_first=self.batch_first)
        if self.p == 0:
            return x
        once = x[:, :1] if self.batch_first else x[:1]
        return x * F.dropout(once.new_ones(once.shape), self.p, self.training)

    def extra_repr(self) -> str:
        """Return the rate and the layout, for the net's text."""
        return f"p={self.p:g}, batch_first={self.batch_first}"


def check_sequences(x: object, taker: str, *, batch_first: bool) -> None:
    """Refuse what is no padded batch of sequences.

    Raises:
        InputError: Saying what to do instead.
    """
    axes = "(N, time, features)" if batch_first else "(time, N, features)"
    if isinstance(x, nn.utils.rnn.PackedSequence):
        raise InputError(
            f"{taker} takes padded sequences of shape {axes}, got a PackedSequence; unpack it with torch.nn.utils.rnn"
            f".pad_packed_sequence(x, batch_first={batch_first}), and read the outputs at each sequence's last step"
        )
    if not isinstance(x, Tensor) or x.dim() != 3:
        got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(
            f"{taker} takes sequences of shape {axes}, got {got}; add a batch axis to a single one with "
            f"unsqueeze({0 if batch_first else 1})"
        )

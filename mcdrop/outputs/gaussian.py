r"""Heads that return a mean and the log-variance of the noise, in every form they come in.

A net that predicts $s = \log\sigma^2$ beside the mean can be trained with a Gaussian likelihood and never divides by
zero.

References:
    Kendall, A. and Gal, Y. (2017). What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?
    NeurIPS. https://arxiv.org/abs/1703.04977 (section 3; the head: eq. 8, its variance: eq. 9).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mcdrop.errors import NetError
from mcdrop.outputs.choice import Selection, tensors_with_rows
from mcdrop.outputs.numbers import require_real
from mcdrop.outputs.parts import describe, find

__all__ = ["GaussianReader"]

_LOG_VARIANCE = ("log_variance", "log_var", "logvar")


@dataclass(frozen=True, slots=True)
class GaussianReader:
    """Takes what a net returns to its mean and log-variance, stacked on the axis after the rows.

    Accepted are: entries or attributes `mean` and `log_variance` (or `log_var`, `logvar`); a plain tuple or list of the
    two, mean first; and one tensor of shape (N, 2D), by itself or alone in what holds it, the means in front of the
    log-variances. A tensor with more axes does not say which of them holds the two: split it, for example with
    `output=lambda out: out.chunk(2, dim=1)`. Other names are refused, since a variance or a deviation may be behind
    them: convert it, for example with `output=lambda o: (o["mean"], o["var"].log())`.

    Attributes:
        selection: Which part of the net's return to look at.
    """

    selection: Selection = field(default_factory=Selection)

    def __call__(self, output: Any) -> Tensor:
        """Return mean and log-variance in shape (n, 2, ...).

        Raises:
            NetError: If there are no such two, or they do not have one shape.
        """
        mean, log_variance = (require_real(tensor) for tensor in self._pair(self.selection.part(output)))
        if mean.shape != log_variance.shape or mean.dim() == 0:
            raise NetError(
                "the net must return one log-variance per mean, got shapes "
                f"{tuple(mean.shape)} and {tuple(log_variance.shape)}; expand what they share"
            )
        dtype = torch.promote_types(mean.dtype, log_variance.dtype)
        return torch.stack([mean.to(dtype), log_variance.to(mean.device, dtype)], dim=1)

    def _pair(self, part: Any) -> tuple[Tensor, Tensor]:
        named = [find(part, name) for name in _LOG_VARIANCE]
        log_variance = next((tensor for tensor in named if isinstance(tensor, Tensor)), None)
        mean = find(part, "mean")
        if isinstance(mean, Tensor) and log_variance is not None:
            return mean, log_variance
        is_plain = isinstance(part, tuple | list) and not hasattr(part, "_fields")
        if is_plain and len(part) == 2 and all(isinstance(item, Tensor) for item in part):
            return part[0], part[1]
        alone = [part] if isinstance(part, Tensor) else tensors_with_rows(part)
        if isinstance(mean, Tensor) or log_variance is not None or len(alone) != 1 or not _is_halved(alone[0]):
            raise _unfit(part)
        first, second = alone[0].chunk(2, dim=1)
        return first, second


def _is_halved(tensor: Tensor) -> bool:
    """Whether its columns may be means and as many log-variances."""
    return tensor.dim() == 2 and tensor.shape[1] % 2 == 0 and tensor.shape[1] > 0


def _unfit(part: Any) -> NetError:
    example = "out: out.chunk(2, dim=1)" if isinstance(part, Tensor) else 'o: (o["mean"], o["var"].log())'
    return NetError(
        "a heteroscedastic net must return (mean, log_variance), a dict of the two named mean and log_variance (or "
        f"log_var, logvar), or one tensor of shape (N, 2D), got {describe(part)}; say where they are, for example with "
        f"output=lambda {example}"
    )

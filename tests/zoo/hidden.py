"""Dropout whose rate a net hides in eval mode, in the ways that people hide it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from laws import Call
from torch import Tensor, nn

from zoo.case import Case, P, rows
from zoo.kinds import sandwich, sandwich_by_hand
from zoo.references import dropped

__all__ = ["CASES"]


def early_return(self: Any, x: Tensor) -> Tensor:
    if not self.training or self.drop_prob == 0.0:
        return x
    return F.dropout(x, self.drop_prob)


def hidden(function: Callable[..., Tensor], **members: Any) -> Case:
    return Case(lambda: sandwich(Call(function, **members)), sandwich_by_hand(dropped), (rows(3),))


CASES = {
    "hidden: rate 0 in eval mode": hidden(lambda self, x: F.dropout(x, self.p if self.training else 0.0), p=P),
    "hidden: early return": hidden(early_return, drop_prob=P),
    "hidden: times the flag": hidden(lambda self, x: F.dropout(x, p=self.dropout_rate * self.training), dropout_rate=P),
    "hidden: module in a branch": hidden(
        lambda self, x: self.drop(x) if self.training and self.drop.p > 0 else x, drop=nn.Dropout(P)
    ),
    "hidden: rate known to the config alone": hidden(
        lambda self, x: F.dropout(x, self.config["dropout"] if self.training else 0.0), config={"dropout": P}
    ),
    "hidden: rate in the code": hidden(lambda self, x: F.dropout(x, P) if self.training else x),
    "hidden: rate in a tensor": hidden(
        lambda self, x: F.dropout(x, float(self.rate)) if self.training else x, rate=torch.tensor(P)
    ),
}

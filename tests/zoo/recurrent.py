"""Stacked recurrent nets, plain and on packed sequences."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.case import TIME, Case, P, rows
from zoo.references import in_training

__all__ = ["CASES"]


class Recurrent(nn.Module):
    """A stacked recurrent net, rows first whatever the layer wants."""

    def __init__(self, kind: Callable[..., nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.rnn = kind(3, 4, **({"num_layers": 2, "dropout": P} | options))

    def forward(self, x: Tensor) -> Tensor:
        first = self.rnn.batch_first
        out = self.rnn(x if first else x.transpose(0, 1))[0]
        return out[:, -1] if first else out[-1]


class Packed(Recurrent):
    """The same on packed sequences."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=TIME)[0].mean(1)


def recurrent_cases() -> dict[str, Case]:
    options: dict[str, tuple[Any, dict[str, Any]]] = {
        "lstm": (nn.LSTM, {}),
        "lstm, rows first, 3 layers": (nn.LSTM, {"batch_first": True, "num_layers": 3}),
        "gru, both ways": (nn.GRU, {"bidirectional": True}),
        "rnn, both ways, rows first": (nn.RNN, {"bidirectional": True, "batch_first": True}),
    }
    cases = {
        name: Case(partial(Recurrent, kind, **given), in_training, (rows(TIME, 3),), vectorized=False)
        for name, (kind, given) in options.items()
    }
    lengths = torch.tensor([2, 2, 3])
    for name, kind in (("lstm", nn.LSTM), ("gru", nn.GRU)):
        cases[f"{name}, packed"] = Case(
            partial(Packed, kind, batch_first=True), in_training, (rows(TIME, 3), lengths), vectorized=False
        )
    return cases


CASES = recurrent_cases()

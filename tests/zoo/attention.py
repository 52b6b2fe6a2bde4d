"""Attention: the fused function, torch's own layers, and whole transformers."""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from laws import Call, randn
from torch import Tensor, nn

from zoo.case import TIME, UNITS, Case, P, rows
from zoo.references import by_hand, dropped, in_training

__all__ = ["CASES"]

HEADS = 2


class Attention(nn.Module):
    """Self-attention by the fused function, its rate as it stands or hidden in eval mode."""

    def __init__(self, *, hides: bool = False, causal: bool = False, mask: Tensor | None = None) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(3, 3 * UNITS), nn.Linear(UNITS, 1)
        self.dropout, self.hides, self.causal, self.mask = P, hides, causal, mask

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind()

    def close(self, mixed: Tensor) -> Tensor:
        return self.out(mixed.transpose(1, 2).flatten(2)).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        rate = self.dropout if self.training or not self.hides else 0.0
        return self.close(
            F.scaled_dot_product_attention(*self.heads(x), attn_mask=self.mask, dropout_p=rate, is_causal=self.causal)
        )


OPEN = torch.tensor([[1, 0, 1], [1, 1, 0], [0, 1, 1]], dtype=torch.bool)
BIAS = randn(TIME, TIME, seed=5)


def attended(net: Attention, generator: torch.Generator, x: Tensor) -> Tensor:
    q, k, v = net.heads(x)
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[-1])
    if net.causal:
        scores = scores + torch.full((TIME, TIME), -math.inf).triu(1)
    if net.mask is not None:
        scores = scores.masked_fill(~net.mask, -math.inf) if net.mask.dtype == torch.bool else scores + net.mask
    return net.close(torch.einsum("bhij,bhjd->bhid", dropped(generator, scores.softmax(-1)), v))


def attention_cases() -> dict[str, Case]:
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "bool mask": {"mask": OPEN},
        "float mask": {"mask": BIAS},
        "causal": {"causal": True},
    }
    return {
        f"sdpa: {name}{', hidden' * hides}": Case(
            partial(Attention, hides=hides, **given), by_hand(attended), (rows(TIME, 3),)
        )
        for name, given in options.items()
        for hides in (False, True)
    }


class MultiHead(nn.Module):
    """torch's own attention, rows first whatever the layer wants."""

    def __init__(self, *, batch_first: bool, need_weights: bool) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(UNITS, HEADS, dropout=P, batch_first=batch_first)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        q = x if self.mha.batch_first else x.transpose(0, 1)
        out, weights = self.mha(q, q, q, need_weights=self.need_weights)
        out = out if self.mha.batch_first else out.transpose(0, 1)
        return out.sum(-1) if weights is None else out.sum(-1) + weights.sum(1)


class Encoder(nn.Module):
    """An encoder that would take nested tensors and the fast path if it could."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(UNITS, HEADS, 4, P, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(UNITS, 2)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        h = self.encoder(x, src_key_padding_mask=padding)
        return self.head(h.masked_fill(padding[..., None], 0).mean(1))


class Decoder(nn.Module):
    """A decoder layer on a memory, causal."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(UNITS, HEADS, 4, P, batch_first=True)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layer(x, memory, tgt_mask=mask, tgt_is_causal=True)[:, -1]


class Whole(nn.Module):
    """The whole transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Transformer(UNITS, HEADS, 1, 1, 4, P, batch_first=True)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return self.net(x, target)[:, -1]


PADDING = torch.tensor([[0, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)


def transformer_cases() -> dict[str, Case]:
    layer = partial(nn.TransformerEncoderLayer, UNITS, HEADS, 4, P, batch_first=True)
    last = Call(lambda _, x: x[:, -1])
    return {
        **{
            f"multi-head: batch_first={first}, need_weights={weights}": Case(
                partial(MultiHead, batch_first=first, need_weights=weights), in_training, (rows(TIME, UNITS),)
            )
            for first in (True, False)
            for weights in (True, False)
        },
        "encoder layer": Case(lambda: nn.Sequential(layer(), last), in_training, (rows(TIME, UNITS),)),
        "encoder layer, norm first": Case(
            lambda: nn.Sequential(layer(norm_first=True, activation="gelu"), last), in_training, (rows(TIME, UNITS),)
        ),
        "encoder, padded": Case(Encoder, in_training, (rows(TIME, UNITS), PADDING)),
        "decoder layer": Case(Decoder, in_training, (rows(TIME, UNITS), rows(2, UNITS, seed=3))),
        "transformer": Case(Whole, in_training, (rows(TIME, UNITS), rows(2, UNITS, seed=3))),
    }


CASES = attention_cases() | transformer_cases()

"""Nets that people write, each with passes made without mcdrop: what the sampler is held against.

A case builds a trained net in eval mode and inputs whose rows 0 and 1 are equal, and draws reference passes in one of
two ways: `by_hand`, a forward written out again with explicit masks from a generator of its own; or `in_training`, the
net in train mode with whatever else train mode changes (running statistics, power iterations) kept in eval mode. Both
run every pass as a row of one large batch.
"""

import math
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from laws import ALPHA_PRIME, KINDS, Call, randn, with_weights
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

P = 0.3
UNITS, TIME, HEADS = 4, 3, 2

Inputs = tuple[Tensor, ...]
Reference = Callable[[nn.Module, Inputs, int], Tensor]


@dataclass(frozen=True)
class Case:
    """A net, its inputs, and an independent source of its passes.

    Attributes:
        make: Builds the net; weights are set afterwards.
        reference: Draws passes from the net as built, shape (T, rows, ...).
        x: Inputs, rows first, the first two rows equal.
        wrap: What is done to the net last, before it is handed over: compiled, exported, ...
        vectorized: Whether passes can run side by side.
        tiled: Whether more rows can be given than `x` holds, each with draws of its own under independent masks.
        rowwise: Whether each row has draws of its own; False for noise that serves a whole batch, or weights.
        dtype: The net's type.
        warns: What the sampler says of the net, if anything.
    """

    make: Callable[[], nn.Module]
    reference: Reference
    x: Inputs
    wrap: Callable[[nn.Module, Inputs], Any] = lambda net, x: net
    vectorized: bool = True
    tiled: bool = True
    rowwise: bool = True
    dtype: torch.dtype = torch.float32
    warns: str | None = None

    def net(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return with_weights(self.make()).to(self.dtype).eval()

    def wrapped(self) -> Any:
        return self.wrap(self.net(), self.inputs())

    def inputs(self) -> Inputs:
        return tuple(v.to(self.dtype) if v.is_floating_point() else v for v in self.x)

    def draws(self, passes: int) -> Tensor:
        state = random.getstate()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(7)
            random.seed(7)
            try:
                return self.reference(self.net(), self.inputs(), passes)
            finally:
                random.setstate(state)


def rows(*shape: int, seed: int = 1) -> Tensor:
    """Return three rows, the first two equal."""
    return randn(2, *shape, seed=seed)[torch.tensor([0, 0, 1])]


# References


def tiled(x: Inputs, copies: int) -> Inputs:
    return tuple(value.repeat_interleave(copies, 0) for value in x)


def untiled(outputs: Tensor, copies: int) -> Tensor:
    return outputs.unflatten(0, (-1, copies)).transpose(0, 1)


def by_hand(forward: Callable[..., Tensor]) -> Reference:
    """Draw passes with a forward (net, generator, *inputs) that gives every row masks of its own."""

    def draws(net: nn.Module, x: Inputs, passes: int) -> Tensor:
        return untiled(forward(net, torch.Generator().manual_seed(11), *tiled(x, passes)), passes)

    return draws


FROZEN = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    parametrize.ParametrizationList,
    parametrizations._SpectralNorm,
)


def training_mode(net: nn.Module) -> nn.Module:
    """Switch to train mode all but what keeps statistics or iterates on weights there."""
    net.train()
    for module in net.modules():
        if isinstance(module, FROZEN) or hasattr(module, "weight_u"):
            module.training = False
    return net


def in_training(net: nn.Module, x: Inputs, passes: int) -> Tensor:
    return untiled(training_mode(net)(*tiled(x, passes)), passes)


def one_by_one(net: nn.Module, x: Inputs, passes: int) -> Tensor:
    """Draw passes one at a time, for noise that a batch shares; the first row alone decides nothing."""
    net = training_mode(net)
    return torch.stack([net(*x) for _ in range(passes)])


def keep(generator: torch.Generator, like: Tensor, p: float, *, channels: int | None = None) -> Tensor:
    """Return which units stay: one draw an element, or one for each entry of the first so many axes."""
    shape = like.shape if channels is None else (*like.shape[:channels], *[1] * (like.dim() - channels))
    return torch.rand(shape, generator=generator, dtype=torch.float64) >= p


def dropped(generator: torch.Generator, x: Tensor, p: float = P, *, channels: int | None = None) -> Tensor:
    return (x * keep(generator, x, p, channels=channels) / (1 - p)).to(x.dtype)


def alpha_dropped(generator: torch.Generator, x: Tensor, p: float = P, *, channels: int | None = None) -> Tensor:
    a = 1 / math.sqrt((1 - p) * (1 + p * ALPHA_PRIME**2))
    return a * torch.where(keep(generator, x, p, channels=channels), x, ALPHA_PRIME) - a * p * ALPHA_PRIME


# Kinds in every form


def sandwich(noise: nn.Module, shape: tuple[int, ...] = (UNITS,), inputs: int = 3) -> nn.Module:
    size = math.prod(shape)
    return nn.Sequential(
        nn.Linear(inputs, size), nn.Unflatten(1, shape), noise, nn.Flatten(), nn.Tanh(), nn.Linear(size, 2)
    )


def noisy(name: str) -> Callable[[torch.Generator, Tensor], Tensor]:
    kind = KINDS[name]
    channels = 2 if kind.channels else None
    return partial(alpha_dropped if "Alpha" in name else dropped, channels=channels)


def sandwich_by_hand(noise: Callable[[torch.Generator, Tensor], Tensor]) -> Reference:
    return by_hand(lambda net, g, x: net[3:](noise(g, net[:2](x))))


def only_in_training(self: Any, x: Tensor, *, function: Callable[..., Tensor]) -> Tensor:
    if self.training:
        x = function(x, self.p, True)
    return x


def early_return(self: Any, x: Tensor) -> Tensor:
    if not self.training or self.drop_prob == 0.0:
        return x
    return F.dropout(x, self.drop_prob)


def forms(name: str) -> dict[str, Callable[[], nn.Module]]:
    """Return one kind of dropout as people call it."""
    kind = KINDS[name]
    f, plain, in_place = kind.function, kind.plain[0], kind.plain[1]
    return {
        "module": lambda: kind.module(P),
        "module, in place": lambda: kind.module(P, inplace=True),
        "functional, training=self.training": lambda: Call(lambda self, x: f(x, P, training=self.training)),
        "functional, training=False": lambda: Call(lambda _, x: f(x, P, False)),
        "functional, if self.training": lambda: Call(partial(only_in_training, function=f), p=P),
        f"torch.{plain.__name__}": lambda: Call(lambda self, x: plain(x, P, self.training)),
        f"torch.{in_place.__name__}": lambda: Call(lambda self, x: in_place(x, P, self.training)),
    }


def kind_cases() -> dict[str, Case]:
    return {
        f"{name}: {form}": Case(partial(_built, build, kind.shape), sandwich_by_hand(noisy(name)), (rows(3),))
        for name, kind in KINDS.items()
        for form, build in forms(name).items()
    }


def _built(noise: Callable[[], nn.Module], shape: tuple[int, ...]) -> nn.Module:
    return sandwich(noise(), shape)


def hidden(function: Callable[..., Tensor], **members: Any) -> Case:
    return Case(lambda: sandwich(Call(function, **members)), sandwich_by_hand(dropped), (rows(3),))


HIDDEN = {
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


# Several sites


class Several(nn.Module):
    """Four kinds in one net."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop2d, self.alpha = nn.Conv1d(1, 4, 3), nn.Dropout1d(0.2), nn.AlphaDropout(0.2)
        self.mid, self.drop, self.last = nn.Linear(12, 6), nn.Dropout(0.5), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop2d(self.conv(x)).flatten(1)
        h = F.selu(self.mid(self.alpha(F.selu(h))))
        return self.last(torch.dropout(self.drop(h), 0.2, self.training))


class Branch(nn.Module):
    """A branch that p = 1 switches off altogether."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.off, self.drop = nn.Linear(3, 4), nn.Linear(3, 4), nn.Dropout(1.0), nn.Dropout(P)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.a(x)).tanh() + self.off(self.b(x)))


class Twice(nn.Module):
    """One dropout module at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.drop = nn.Linear(3, 4), nn.Linear(4, 2), nn.Dropout(P)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.drop(self.first(x)).tanh()))


SEVERAL = {
    "several kinds": Case(Several, in_training, (rows(1, 5),)),
    "p=1 on a branch": Case(Branch, by_hand(lambda n, g, x: n.last(dropped(g, n.a(x)).tanh())), (rows(3),)),
    "called twice": Case(Twice, by_hand(lambda n, g, x: n.last(dropped(g, dropped(g, n.first(x)).tanh()))), (rows(3),)),
    "on the inputs": Case(
        lambda: nn.Sequential(nn.Dropout(P), nn.Linear(5, 2)),
        by_hand(lambda net, g, x: net[1](dropped(g, x))),
        (rows(5),),
    ),
    "on the inputs, in place": Case(
        lambda: nn.Sequential(nn.Dropout(P, inplace=True), nn.Linear(5, 2)),
        by_hand(lambda net, g, x: net[1](dropped(g, x))),
        (rows(5),),
    ),
    "on the outputs": Case(
        lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)),
        by_hand(lambda net, g, x: dropped(g, net[0](x), 0.5)),
        (rows(3),),
    ),
    "dropout1d without a batch": Case(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout1d(P), nn.Linear(4, 2)),
        by_hand(lambda net, g, x: net[2](dropped(g, net[0](x), channels=1))),
        (rows(3),),
    ),
    "dropout3d without a batch": Case(
        lambda: nn.Sequential(nn.Dropout3d(P), nn.Flatten(), nn.Linear(8, 2)),
        by_hand(lambda net, g, x: net[2](dropped(g, x, channels=1).flatten(1))),
        (rows(2, 2, 2),),
    ),
}


# Attention


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


# Recurrent nets


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


# Chance drawn directly


class DropPath(nn.Module):
    """Stochastic depth with one draw a row, in the spelling that `draw` has."""

    def __init__(self, draw: Callable[[Tensor, float], Tensor], rate: float = P) -> None:
        super().__init__()
        self.draw, self.drop_prob = draw, rate

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        return x * self.draw(x, 1 - self.drop_prob)


def filled_in_place(x: Tensor, stay: float) -> Tensor:
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(stay)
    if stay > 0.0:
        mask.div_(stay)
    return mask


def floor_of_uniform(x: Tensor, stay: float) -> Tensor:
    mask = stay + torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
    mask.floor_()
    return mask / stay


def filled_empty(x: Tensor, stay: float, *, mode: str) -> Tensor:
    size = [x.shape[0]] + [1] * (x.ndim - 1) if mode == "row" else [1] * x.ndim
    mask = torch.empty(size, dtype=x.dtype, device=x.device)
    return mask.bernoulli_(stay).div_(stay)


def of_probabilities(x: Tensor, stay: float) -> Tensor:
    return torch.bernoulli(torch.full_like(x[:, :1], stay)) / stay


def compared(x: Tensor, stay: float) -> Tensor:
    return (torch.rand(len(x), 1) < stay).to(x.dtype) / stay


class Block(nn.Module):
    """A residual branch that a row may skip."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.first, self.branch, self.last, self.noise = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2), noise

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(h + self.noise(self.branch(h).tanh()))


def block_by_hand(noise: Callable[[torch.Generator, Tensor], Tensor]) -> Reference:
    def forward(net: Block, generator: torch.Generator, x: Tensor) -> Tensor:
        h = net.first(x)
        return net.last(h + noise(generator, net.branch(h).tanh()))

    return by_hand(forward)


def gaussian(generator: torch.Generator, x: Tensor) -> Tensor:
    return x * (1 + P * torch.randn(x.shape, generator=generator))


class GaussianDropout(nn.Module):
    """Multiplicative Gaussian noise, in training alone."""

    def __init__(self, draw: Callable[[Tensor], Tensor] = torch.randn_like) -> None:
        super().__init__()
        self.p, self.draw = P, draw

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.p > 0:
            x = x * (1 + self.p * self.draw(x))
        return x


def chance_cases() -> dict[str, Case]:
    by_row = block_by_hand(partial(dropped, channels=1))
    draws: dict[str, Callable[..., Tensor]] = {
        "bernoulli_ on new_empty": filled_in_place,
        "floor of rand": floor_of_uniform,
        "bernoulli_ on empty, row": partial(filled_empty, mode="row"),
        "bernoulli of probabilities": of_probabilities,
        "rand below": compared,
    }
    noises: dict[str, Callable[[Tensor], Tensor]] = {
        "randn_like": torch.randn_like,
        "randn": lambda x: torch.randn(x.shape),
        "normal": lambda x: torch.normal(0.0, 1.0, x.shape),
        "normal of tensors": lambda x: torch.normal(torch.zeros_like(x), torch.ones_like(x)),
        "normal_": lambda x: torch.empty_like(x).normal_(),
    }
    return {
        **{f"depth: {name}": Case(partial(_block, draw), by_row, (rows(3),)) for name, draw in draws.items()},
        "depth: bernoulli_ on empty, batch": Case(
            partial(_block, partial(filled_empty, mode="batch")), by_row, (rows(3),), tiled=False, rowwise=False
        ),
        **{
            f"gaussian: {name}": Case(partial(_noisy_block, draw), block_by_hand(gaussian), (rows(3),))
            for name, draw in noises.items()
        },
        "rand in eval mode too": Case(
            lambda: Block(Call(lambda _, x: x * (torch.rand_like(x) > P) / (1 - P))), block_by_hand(dropped), (rows(3),)
        ),
    }


def _block(draw: Callable[..., Tensor]) -> nn.Module:
    return Block(DropPath(draw))


def _noisy_block(draw: Callable[..., Tensor]) -> nn.Module:
    return Block(GaussianDropout(draw))


# Norms, weights, types and memory


def normed(norm: Callable[[], nn.Module], *, hides: bool = False) -> nn.Module:
    drop = Call(partial(only_in_training, function=F.dropout), p=P) if hides else nn.Dropout(P)
    return nn.Sequential(nn.Conv1d(2, 4, 2), norm(), drop, nn.Flatten(), nn.Linear(12, 2))


def normed_by_hand(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    return net[3:](dropped(generator, net[1](net[0](x))))


def reweighted(change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(change(nn.Linear(3, 6)), nn.Dropout(P), change(nn.Linear(6, 2)))


def dropped_between(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    return net[2](dropped(generator, net[0](x)))


class Positive(nn.Module):
    """Weights kept positive."""

    def forward(self, weight: Tensor) -> Tensor:
        return F.softplus(weight)


class DropWeights(nn.Module):
    """Weights dropped, as a parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return F.dropout(weight, P, self.training)


def parametrized(change: Callable[[], nn.Module]) -> nn.Module:
    layer = nn.Linear(3, 4)
    parametrize.register_parametrization(layer, "weight", change())
    return layer


def weights_dropped(net: nn.Module, generator: torch.Generator, x: Tensor) -> Tensor:
    weight = net[0].parametrizations.weight.original
    many = dropped(generator, weight.expand(len(x), *weight.shape))
    return net[1:](torch.einsum("noi,ni->no", many, x) + net[0].bias)


class HiddenInside(nn.Module):
    """A hidden rate in the same module as a batch norm and a spectral norm: waking it must not touch either."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 2)
        self.norm, self.p = nn.BatchNorm1d(4), P

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.first(x))
        return self.last(F.dropout(h, self.p if self.training else 0.0))


def kept_cases() -> dict[str, Case]:
    norms: dict[str, Callable[[], nn.Module]] = {
        "batch norm": lambda: nn.BatchNorm1d(4),
        "instance norm": lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        "group norm": lambda: nn.GroupNorm(2, 4),
    }
    weights: dict[str, Callable[[nn.Module], nn.Module]] = {
        "weight norm, old": nn.utils.weight_norm,
        "weight norm": parametrizations.weight_norm,
        "spectral norm, old": nn.utils.spectral_norm,
        "spectral norm": parametrizations.spectral_norm,
    }
    small = lambda: nn.Sequential(nn.Linear(3, 6), nn.Dropout(P), nn.Linear(6, 2))  # noqa: E731
    return {
        **{
            f"{name}{', hidden' * hides}": Case(
                partial(normed, norm, hides=hides), by_hand(normed_by_hand), (rows(2, 4),)
            )
            for name, norm in norms.items()
            for hides in (False, True)
        },
        "norms around a hidden rate": Case(
            HiddenInside,
            by_hand(lambda net, g, x: net.last(dropped(g, net.norm(net.first(x))))),
            (rows(3),),
        ),
        **{
            name: Case(partial(reweighted, change), by_hand(dropped_between), (rows(3),))
            for name, change in weights.items()
        },
        "parametrized": Case(
            lambda: nn.Sequential(parametrized(Positive), nn.Dropout(P), nn.Linear(4, 2)),
            by_hand(dropped_between),
            (rows(3),),
        ),
        "parametrized by dropout": Case(
            lambda: nn.Sequential(parametrized(DropWeights), nn.Tanh(), nn.Linear(4, 2)),
            by_hand(weights_dropped),
            (rows(3),),
            tiled=False,
            rowwise=False,
        ),
        "channels last": Case(
            lambda: nn.Sequential(nn.Conv2d(2, 4, 2), nn.Dropout2d(P), nn.Flatten(), nn.Linear(16, 2)),
            by_hand(lambda net, g, x: net[2:](dropped(g, net[0](x), channels=2))),
            (rows(2, 3, 3).to(memory_format=torch.channels_last),),
            wrap=lambda net, x: net.to(memory_format=torch.channels_last),
        ),
        "double": Case(small, by_hand(dropped_between), (rows(3),), dtype=torch.float64),
        "bfloat16": Case(small, in_training, (rows(3),), dtype=torch.bfloat16),
    }


# Wrapped nets


def exported(net: nn.Module, x: Inputs, *, dynamic: bool) -> Any:
    shapes = tuple({0: torch.export.Dim("rows", min=1, max=4096)} for _ in x) if dynamic else None
    return torch.export.export(net, x, dynamic_shapes=shapes)


def compiled_in_place(net: nn.Module, x: Inputs) -> nn.Module:
    net.compile(backend="eager")
    return net


def traced_in_training(net: nn.Module, x: Inputs) -> nn.Module:
    """Trace with dropout on, the one way to have it in the program at all."""
    return torch.jit.trace(net.train(), x, check_trace=False)


UNCOUNTED = "drawn past the counter"


def wrapped_cases() -> dict[str, Case]:
    small = lambda: nn.Sequential(nn.Linear(3, 6), nn.Dropout(P), nn.Linear(6, 2))  # noqa: E731
    case = partial(Case, small, by_hand(dropped_between), (rows(3),))
    return {
        "compiled": case(wrap=lambda net, x: torch.compile(net, backend="eager")),
        "compiled in place": case(wrap=compiled_in_place),
        "compiled inside": Case(
            lambda: nn.Sequential(nn.Linear(3, 6), nn.Dropout(P), nn.Linear(6, 2)),
            by_hand(dropped_between),
            (rows(3),),
            wrap=lambda net, x: nn.Sequential(torch.compile(net[:2], backend="eager"), net[2]),
        ),
        "data parallel": case(wrap=lambda net, x: nn.DataParallel(net)),
        "exported, rows free": case(wrap=partial(exported, dynamic=True)),
        "exported, rows fixed": case(wrap=partial(exported, dynamic=False), tiled=False),
        "exported, as a module": case(wrap=lambda net, x: exported(net, x, dynamic=True).module()),
        "traced in train mode": case(wrap=traced_in_training, vectorized=False, warns=UNCOUNTED),
        "scripted": case(wrap=lambda net, x: torch.jit.script(net), vectorized=False, warns=UNCOUNTED),
        "scripted inside": case(
            wrap=lambda net, x: nn.Sequential(net[0], torch.jit.script(net[1]), net[2]),
            vectorized=False,
            warns=UNCOUNTED,
        ),
    }


# What hides chance so well that saying so is enough


class Beside(nn.Module):
    """Chance in training mode alone, of some sort, beside a dropout that is plain to see."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.first, self.noise, self.drop, self.last = nn.Linear(3, 6), noise, nn.Dropout(0.1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.noise(self.first(x))))


def overwritten(self: Any, x: Tensor) -> Tensor:
    if not self.training:
        return x
    x = x.clone()
    x[torch.rand(x.shape) < self.drop_prob] = 0
    return x / (1 - self.drop_prob)


def tokens_left_out(self: Any, x: Tensor) -> Tensor:
    if not self.training:
        return x
    index = torch.rand(x.shape).topk(4, dim=1).indices
    return torch.zeros_like(x).scatter(1, index, x.gather(1, index)) * 1.5


class LayersLeftOut(nn.Module):
    """Layers skipped by draws made beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.layerdrop = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)]), 0.4

    def forward(self, x: Tensor) -> Tensor:
        draws = torch.empty(len(self.layers)).uniform_()
        for draw, layer in zip(draws, self.layers, strict=True):
            if not self.training or draw > self.layerdrop:
                x = layer(x).tanh()
        return x


class LearnedDropout(nn.Module):
    """A rate behind a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > torch.sigmoid(self.logit)) if self.training else x


def plain_dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return torch.dropout(x, rate, training)


with warnings.catch_warnings():  # torch would rather have other ways, and people keep their code
    warnings.simplefilter("ignore", DeprecationWarning)
    scripted_dropout = torch.jit.script(plain_dropout)


def _beside(noise: Callable[[], nn.Module], *, shared: bool = False) -> Case:
    reference = one_by_one if shared else in_training
    return Case(lambda: Beside(noise()), reference, (rows(3),), rowwise=not shared)


def hidden_in(function: Callable[..., Tensor], *, shared: bool = False, **members: Any) -> Case:
    return _beside(lambda: Call(function, **members), shared=shared)


def skipped(self: Any, x: Tensor) -> Tensor:
    return x if not self.training or random.random() > self.drop_rate else 2 * x


DECLARED: dict[str, Case] = {
    "masked by a draw": hidden_in(
        lambda self, x: (
            x.masked_fill(torch.rand_like(x) < self.drop_prob, 0.0) / (1 - self.drop_prob) if self.training else x
        ),
        drop_prob=P,
    ),
    "overwritten by index": hidden_in(overwritten, drop_prob=P),
    "one mask for all rows": hidden_in(
        lambda self, x: x * (torch.rand(1, 6) > self.dropout) if self.training else x, shared=True, dropout=P
    ),
    "layers left out": _beside(LayersLeftOut, shared=True),
    "learned rate": _beside(LearnedDropout),
    "python's generator": hidden_in(skipped, shared=True, drop_rate=0.5),
    "scripted function": hidden_in(lambda self, x: scripted_dropout(x, self.dropout, self.training), dropout=P),
    "a child's flag": hidden_in(lambda self, x: self.drop(x) if self.drop.training else x, drop=nn.Dropout(P)),
}
"""Nets that declare dropout and hide it so well that a sampler may miss it, as long as it warns."""

NAMELESS: dict[str, Case] = {
    "noise": hidden_in(lambda self, x: x + self.sigma * torch.randn_like(x) if self.training else x, sigma=1.0),
    "reparametrized": hidden_in(lambda self, x: x + torch.randn_like(x) * x.exp() if self.training else x),
    "tokens left out": hidden_in(tokens_left_out),
    "leaky by chance": _beside(lambda: nn.RReLU(0.1, 0.9)),
    "scripted function": hidden_in(lambda self, x: scripted_dropout(x, P, self.training)),
}
"""Nets with chance in training mode that nothing calls dropout: it may stay off, as long as the audit lists it."""

CASES: dict[str, Case] = {
    **kind_cases(),
    **HIDDEN,
    **SEVERAL,
    **attention_cases(),
    **transformer_cases(),
    **recurrent_cases(),
    **chance_cases(),
    **kept_cases(),
    **wrapped_cases(),
}

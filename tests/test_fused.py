"""Dropout inside fused calls: torch's own training-mode draws and statistics, and the engine's laws, on real layers."""

import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.bias import causal_lower_right, causal_upper_left
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mcdrop import MCDropout
from mcdrop.errors import ExecutionError
from mcdrop.fused import unfold

ROWS, TIME, UNITS, HEADS = 3, 4, 8, 2
PASSES = 2000
# Means and variances of PASSES draws against PASSES draws in training mode, at most 96 outputs a net, 60 nets: fewer
# than 12,000 comparisons. At 6 standard errors the normal approximation gives a false alarm in 1 of 40,000 seeds.
LIMIT = 6.0
ALMOST_ZERO = 1e-12  # below the resolution of a mask: nothing is dropped, but the fused call is written out

CAUSAL = nn.Transformer.generate_square_subsequent_mask(TIME)
BOOL_MASK = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@pytest.fixture(autouse=True)
def one_thread():
    """Nets this small only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Attend(nn.Module):
    """Multi-head attention, rows first whatever the layer wants."""

    def __init__(self, *, call=None, weights=False, rate=0.3, **options):
        super().__init__()
        self.mha = nn.MultiheadAttention(UNITS, HEADS, dropout=rate, **options)
        self.call, self.weights = call or {}, weights

    def forward(self, x, closed=None):
        first = self.mha.batch_first
        q = x if first else x.transpose(0, 1)
        if closed is not None and closed.dim() == 4:  # a mask a head: torch wants heads folded into rows
            options = {"attn_mask": closed.flatten(0, 1)}
        else:
            options = {"key_padding_mask": closed}
        out, weights = self.mha(q, q, q, **options, **self.call)
        if self.weights:
            return weights
        return out if first else out.transpose(0, 1)


class Functional(nn.Module):
    """The bare functional call, with the rate as it stands."""

    def __init__(self, *, kv_heads=HEADS, rate=0.3, **options):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(UNITS, 4 * heads) for heads in (HEADS, kv_heads, kv_heads))
        self.rate, self.options = rate, options

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.rate, **self.options)


class Recur(nn.Module):
    """A stacked recurrent net, rows first whatever the layer wants; `end` returns its last states."""

    def __init__(self, kind, *, end=False, **options):
        super().__init__()
        self.rnn = kind(UNITS, 5, **({"num_layers": 2, "dropout": 0.4} | options))
        self.end = end

    def forward(self, x):
        first = self.rnn.batch_first
        out, state = self.rnn(x if first else x.transpose(0, 1))
        if self.end:
            return torch.cat(state, -1).transpose(0, 1)
        return out if first else out.transpose(0, 1)


class Pack(nn.Module):
    """A stacked recurrent net on packed sequences."""

    def __init__(self, kind, *, ordered, **options):
        super().__init__()
        self.rnn = kind(UNITS, 5, num_layers=2, dropout=0.4, batch_first=True, **options)
        self.ordered = ordered

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.ordered)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=TIME)[0]


class Encode(nn.Module):
    """An encoder that would use nested tensors and the fast path if it could."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(encoder_layer(), 2)

    def forward(self, x, padding):
        return self.encoder(x, src_key_padding_mask=padding)


class Decode(nn.Module):
    """A decoder on a memory of two steps."""

    def __init__(self, layer):
        super().__init__()
        self.decoder = layer

    def forward(self, target, memory):
        return self.decoder(target, memory, tgt_mask=CAUSAL, tgt_is_causal=True)


@dataclass(frozen=True)
class Case:
    """A net, its inputs besides x, its sites by module path, and whether vmap runs it."""

    build: object
    sites: tuple[str, ...]
    extra: tuple[torch.Tensor, ...] = ()
    vectorized: bool = True

    def net(self, *, rate=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = self.build()
            for parameter in net.parameters():
                nn.init.normal_(parameter, std=0.5)
        return (net if rate is None else with_rate(net, rate)).eval()

    def inputs(self):
        return (torch.randn(ROWS, TIME, UNITS, generator=torch.Generator().manual_seed(1)), *self.extra)


def with_rate(net, rate):
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        elif isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            module.dropout = rate
        elif isinstance(module, Functional):
            module.rate = rate
    return net


encoder_layer = partial(nn.TransformerEncoderLayer, UNITS, HEADS, 6, 0.2, batch_first=True)
decoder_layer = partial(nn.TransformerDecoderLayer, UNITS, HEADS, 6, 0.2, batch_first=True)
ENCODER = ("self_attn", "dropout1", "dropout", "dropout2")
DECODER = ("self_attn", "dropout1", "multihead_attn", "dropout2", "dropout", "dropout3")
PADDING = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=torch.bool)
LENGTHS = torch.tensor([4, 3, 1])
UNSORTED = torch.tensor([3, 4, 1])
HEAD_MASK = torch.randn(ROWS, HEADS, TIME, TIME, generator=torch.Generator().manual_seed(2))
MEMORY = torch.randn(ROWS, 2, UNITS, generator=torch.Generator().manual_seed(3))


def stack(name, sites, layers):
    return tuple(f"{name}.{i}.{site}" for i in range(layers) for site in sites)


CASES = {
    "attention": Case(Attend, ("mha",)),
    "attention, weights": Case(partial(Attend, weights=True), ("mha",)),
    "attention, weights a head": Case(
        partial(Attend, weights=True, call={"average_attn_weights": False}), ("mha",), (PADDING,)
    ),
    "attention, no weights": Case(partial(Attend, call={"need_weights": False}), ("mha",)),
    "attention, rows first": Case(partial(Attend, batch_first=True), ("mha",)),
    "attention, rows first, no weights, padded": Case(
        partial(Attend, batch_first=True, call={"need_weights": False}), ("mha",), (PADDING,)
    ),
    "attention, padded and masked": Case(partial(Attend, call={"attn_mask": BOOL_MASK}), ("mha",), (PADDING,)),
    "attention, mask a head": Case(partial(Attend, call={"need_weights": False}), ("mha",), (HEAD_MASK,)),
    "attention, causal": Case(
        partial(Attend, call={"need_weights": False, "is_causal": True, "attn_mask": CAUSAL}), ("mha",)
    ),
    "attention, extra keys": Case(partial(Attend, add_bias_kv=True, add_zero_attn=True), ("mha",)),
    "attention, separate widths": Case(partial(Attend, kdim=UNITS, vdim=UNITS, bias=False), ("mha",)),
    "functional": Case(Functional, ("",)),
    "functional, masked": Case(partial(Functional, attn_mask=~BOOL_MASK, scale=0.7), ("",)),
    "functional, causal, grouped": Case(partial(Functional, kv_heads=1, enable_gqa=True, is_causal=True), ("",)),
    "encoder layer": Case(encoder_layer, ENCODER),
    "encoder layer, norm first": Case(partial(encoder_layer, norm_first=True, activation="gelu"), ENCODER),
    "encoder": Case(lambda: nn.TransformerEncoder(encoder_layer(), 2), stack("layers", ENCODER, 2)),
    "encoder, padded": Case(Encode, stack("encoder.layers", ENCODER, 2), (PADDING,)),
    "decoder layer": Case(lambda: Decode(decoder_layer()), tuple(f"decoder.{site}" for site in DECODER), (MEMORY,)),
    "decoder": Case(
        lambda: Decode(nn.TransformerDecoder(decoder_layer(), 2)), stack("decoder.layers", DECODER, 2), (MEMORY,)
    ),
    "lstm": Case(partial(Recur, nn.LSTM), ("rnn",), vectorized=False),
    "lstm, last states": Case(partial(Recur, nn.LSTM, end=True, bidirectional=True), ("rnn",), vectorized=False),
    "lstm, rows first, 3 layers": Case(
        partial(Recur, nn.LSTM, batch_first=True, num_layers=3), ("rnn", "rnn"), vectorized=False
    ),
    "lstm, projected": Case(partial(Recur, nn.LSTM, proj_size=2, bidirectional=True), ("rnn",), vectorized=False),
    "gru": Case(partial(Recur, nn.GRU, batch_first=True, bidirectional=True), ("rnn",), vectorized=False),
    "gru, no bias": Case(partial(Recur, nn.GRU, bias=False), ("rnn",), vectorized=False),
    "rnn": Case(partial(Recur, nn.RNN, bidirectional=True), ("rnn",), vectorized=False),
    "rnn, relu": Case(partial(Recur, nn.RNN, nonlinearity="relu", batch_first=True), ("rnn",), vectorized=False),
    "lstm, packed": Case(partial(Pack, nn.LSTM, ordered=True), ("rnn",), (LENGTHS,), vectorized=False),
    "gru, packed, unsorted": Case(
        partial(Pack, nn.GRU, ordered=False, bidirectional=True), ("rnn",), (UNSORTED,), vectorized=False
    ),
}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


# The engine's laws


@every_case
def test_audit_finds_every_site_in_its_module(case):
    net = case.net()
    table = MCDropout(net).sites(case.inputs())
    assert tuple(site.module for site in table) == case.sites
    assert {site.kind for site in table} == {"dropout"}
    assert not table.silent
    assert all(site.layout is not None for site in table)


@every_case
def test_almost_zero_rate_gives_the_eval_forward(case):
    net = case.net(rate=ALMOST_ZERO)
    with torch.no_grad():
        plain = net(*case.inputs())
    torch.testing.assert_close(MCDropout(net).sample(case.inputs(), passes=1)[0], plain, atol=1e-6, rtol=1e-5)


@every_case
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_strategies_agree_and_batches_change_nothing(case, masks):
    model, inputs = MCDropout(case.net()), case.inputs()
    state = torch.get_rng_state()
    draw = partial(model.sample, inputs, passes=5, seed=3, masks=masks)
    loop = draw(execution="loop")
    close = partial(torch.testing.assert_close, expected=loop, atol=1e-5, rtol=1e-5)
    close(draw())
    if case.vectorized:
        close(draw(execution="vectorized", chunk_size=3))
    else:
        with pytest.raises(ExecutionError, match="Batching rule"):
            draw(execution="vectorized")
    if not isinstance(case.net(), Pack) or masks == "shared":
        close(draw(batch_size=2))
    assert torch.equal(torch.get_rng_state(), state)


@every_case
def test_equal_rows_agree_under_shared_masks_alone(case):
    model, inputs = (
        MCDropout(case.net()),
        tuple(value[:1].repeat(ROWS, *[1] * (value.dim() - 1)) for value in case.inputs()),
    )
    shared = model.sample(inputs, passes=5)
    torch.testing.assert_close(shared, shared[:, :1].expand_as(shared), atol=1e-5, rtol=1e-5)
    independent = model.sample(inputs, passes=5, masks="independent")
    assert (independent[:, 0] - independent[:, 1]).abs().amax() > 1e-2
    assert (independent[:, 1] - independent[:, 2]).abs().amax() > 1e-2
    assert (independent[0] - independent[1]).abs().amax() > 1e-2


@pytest.mark.parametrize("name", [*(n for n, c in CASES.items() if c.vectorized), "lstm", "gru", "lstm, packed"])
def test_passes_have_the_moments_of_training_mode(name):
    samples = MCDropout(CASES[name].net()).sample(CASES[name].inputs(), passes=PASSES, chunk_size=500)
    assert_same_moments(samples, training_mode(CASES[name]))


@every_case
def test_rows_with_their_own_masks_have_the_moments_of_training_mode(case):
    passes, copies = 10, PASSES // 10
    many = tuple(value.repeat_interleave(copies, 0) for value in case.inputs())
    samples = MCDropout(case.net()).sample(many, passes=passes, masks="independent")
    draws = samples.unflatten(1, (ROWS, copies)).transpose(1, 2).flatten(0, 1)
    assert_same_moments(draws, training_mode(case))


def training_mode(case):
    """Return as many draws of the net in training mode, with the global generator, shape (PASSES, ROWS, ...)."""
    many = [value.repeat_interleave(PASSES, 0) for value in case.inputs()]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(5)
        return case.net().train()(*many).unflatten(0, (ROWS, PASSES)).transpose(0, 1)


def assert_same_moments(a, b):
    """Compare means and variances, each at LIMIT standard errors as estimated from the draws."""
    moments = []
    for draws in (a.double(), b.double()):
        square = (draws - draws.mean(0)) ** 2
        moments.append((draws.mean(0), draws.var(0) / len(draws), draws.var(0), square.var(0) / len(draws)))
    (mean_a, mean_var_a, var_a, var_var_a), (mean_b, mean_var_b, var_b, var_var_b) = moments
    assert var_b.amax() > 1e-4
    tiny = 1e-6  # what rounding does to outputs without spread, such as the steps past a sequence's end
    assert ((mean_a - mean_b).abs() <= LIMIT * (mean_var_a + mean_var_b).sqrt() + tiny).all()
    assert ((var_a - var_b).abs() <= LIMIT * (var_var_a + var_var_b).sqrt() + tiny).all()


# The written-out calls themselves

QUERY, KEY, VALUE = torch.randn(3, 2, 4, 5, 6, generator=torch.Generator().manual_seed(4)).unbind()
FLOAT_MASK = torch.randn(5, 5, generator=torch.Generator().manual_seed(6))
OPEN = FLOAT_MASK > 0
NOWHERE = OPEN & (torch.arange(5) != 2)[:, None]  # the query at step 2 may look at nothing
ATTENTION = {
    "plain": {},
    "bool mask": {"attn_mask": OPEN},
    "float mask": {"attn_mask": FLOAT_MASK},
    "closed query": {"attn_mask": NOWHERE},
    "closed query, float": {"attn_mask": torch.zeros(5, 5).masked_fill(~NOWHERE, -math.inf)},
    "mask a row": {"attn_mask": torch.stack([OPEN, ~OPEN])[:, None]},
    "causal": {"is_causal": True},
    "causal, fewer keys": {"is_causal": True, "key": KEY[:, :, :3], "value": VALUE[:, :, :3]},
    "causal, by its own class": {"attn_mask": causal_upper_left(5, 5)},
    "causal, from the end": {"query": QUERY[:, :, :3], "attn_mask": causal_lower_right(3, 5)},
    "scale": {"scale": 0.3},
    "grouped": {"key": KEY[:, :2], "value": VALUE[:, :2], "enable_gqa": True},
    "no batch": {"query": QUERY[0, 0], "key": KEY[0, 0], "value": VALUE[0, 0]},
    "double": {"query": QUERY.double(), "key": KEY.double(), "value": VALUE.double()},
}


@pytest.mark.parametrize("options", ATTENTION.values(), ids=ATTENTION.keys())
@pytest.mark.parametrize("rate", [ALMOST_ZERO, 0.4])
def test_attention_draws_what_torch_draws(options, rate):
    given = {"query": QUERY, "key": KEY, "value": VALUE, "dropout_p": rate} | options
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = F.scaled_dot_product_attention(**given)
        torch.manual_seed(7)
        written_out = unfold(F.scaled_dot_product_attention, (), given)()
    torch.testing.assert_close(written_out, expected, atol=1e-6, rtol=1e-5)
    assert written_out.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_attention_keeps_its_type_and_range(dtype):
    given = {"query": 90 * QUERY.to(dtype), "key": 90 * KEY.to(dtype), "value": VALUE.to(dtype), "scale": 0.01}
    out = unfold(F.scaled_dot_product_attention, (), {**given, "dropout_p": ALMOST_ZERO})()
    assert out.dtype == dtype
    torch.testing.assert_close(out, F.scaled_dot_product_attention(**given), atol=2e-2, rtol=2e-2)


def test_mask_and_causal_together_are_refused_as_in_torch():
    given = {"attn_mask": OPEN, "is_causal": True, "dropout_p": 0.1}
    for call in (F.scaled_dot_product_attention, lambda *a, **k: unfold(F.scaled_dot_product_attention, a, k)()):
        with pytest.raises(RuntimeError, match="is_causal"):
            call(QUERY, KEY, VALUE, **given)


@pytest.mark.parametrize("weights", [True, False])
def test_multi_head_attention_in_eval_mode_draws_what_training_mode_draws(weights):
    net, x = nn.MultiheadAttention(UNITS, HEADS, dropout=0.3), torch.ones(TIME, ROWS, UNITS)

    class Catch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is not F.multi_head_attention_forward:
                return func(*args, **kwargs or {})
            assert kwargs["training"] is False
            return unfold(func, args, kwargs)()

    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected = net.train()(x, x, x, need_weights=weights)
        torch.manual_seed(7)
        with Catch():
            written_out = net.eval()(x, x, x, need_weights=weights)
    torch.testing.assert_close(written_out, expected)


RECURRENT = {
    "lstm": (nn.LSTM, {}),
    "lstm, projected, bidirectional": (nn.LSTM, {"proj_size": 2, "bidirectional": True}),
    "gru, no bias": (nn.GRU, {"bias": False, "num_layers": 2}),
    "rnn, bidirectional": (nn.RNN, {"bidirectional": True}),
    "rnn, relu": (nn.RNN, {"nonlinearity": "relu"}),
}


def kernel_call(kind, options, *, rate, train, packed=False):
    """Return the kernel's function and arguments for a net with random weights and random first states."""
    generator = torch.Generator().manual_seed(8)
    net = kind(UNITS, 5, **({"num_layers": 3, "dropout": rate} | options))
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    lead = net.num_layers * (2 if net.bidirectional else 1)
    widths = (net.proj_size or 5, 5) if kind is nn.LSTM else (5,)
    states = [torch.randn(lead, ROWS, width, generator=generator) for width in widths]
    x = torch.randn(TIME, ROWS, UNITS, generator=generator)
    data = pack_padded_sequence(x, LENGTHS)[:2] if packed else (x,)
    rest = (net._flat_weights, net.bias, net.num_layers, rate, train, net.bidirectional, *([] if packed else [False]))
    func = getattr(torch, net.mode.lower())
    return func, (*data, states if kind is nn.LSTM else states[0], *rest)


@pytest.mark.parametrize(("kind", "options"), RECURRENT.values(), ids=RECURRENT.keys())
@pytest.mark.parametrize("rate", [ALMOST_ZERO, 0.4, 1.0])
def test_recurrent_kernels_draw_what_torch_draws(kind, options, rate):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        func, args = kernel_call(kind, options, rate=rate, train=True)
        expected = func(*args)
        torch.manual_seed(7)
        func, args = kernel_call(kind, options, rate=rate, train=False)
        written_out = unfold(func, args, {})()
    torch.testing.assert_close(written_out, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kind", "options"), RECURRENT.values(), ids=RECURRENT.keys())
@pytest.mark.parametrize("rate", [ALMOST_ZERO, 1.0])
def test_packed_kernels_equal_torch_where_nothing_is_left_to_chance(kind, options, rate):
    with torch.no_grad():
        func, args = kernel_call(kind, options, rate=rate, train=True, packed=True)
        torch.testing.assert_close(unfold(func, args, {})(), func(*args), atol=1e-6, rtol=1e-5)


def test_shared_masks_of_packed_rows_are_those_of_padded_rows():
    padded, packed = CASES["lstm, rows first, 3 layers"].net(), CASES["lstm, packed"].net()
    packed.rnn = padded.rnn
    x = CASES["lstm"].inputs()
    a = MCDropout(packed).sample((*x, LENGTHS), passes=3)
    b = MCDropout(padded).sample(x, passes=3)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(a[:, row, :length], b[:, row, :length], atol=1e-6, rtol=1e-5)


def test_calls_without_dropout_are_left_alone():
    func, args = kernel_call(nn.LSTM, {"num_layers": 1, "dropout": 0.0}, rate=0.4, train=True)
    assert unfold(func, args, {}) is None
    func, args = kernel_call(nn.GRU, {}, rate=0.0, train=True)
    assert unfold(func, args, {}) is None
    assert unfold(F.scaled_dot_product_attention, (QUERY, KEY, VALUE), {}) is None
    assert unfold(torch.softmax, (QUERY, -1), {}) is None


def test_names_below_the_public_ones_are_known():
    aten = torch.ops.aten
    func, args = kernel_call(nn.GRU, {}, rate=0.4, train=False)
    assert func is torch.gru
    for name in (aten.gru, aten.gru.input):
        assert unfold(name, args, {}) is not None
    for name in (aten.scaled_dot_product_attention, aten.scaled_dot_product_attention.default):
        assert unfold(name, (QUERY, KEY, VALUE, None, 0.1), {})().shape == VALUE.shape


def test_net_without_dropout_in_its_attention_is_not_touched():
    net = CASES["encoder layer"].net()
    net.self_attn.dropout = 0.0
    table = MCDropout(net).sites(CASES["encoder layer"].inputs())
    assert tuple(site.module for site in table) == ENCODER[1:]

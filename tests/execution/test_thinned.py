"""Thinned execution equals the loop, or says why it cannot."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import NETS, Call, randn, with_weights
from torch import nn

from execution.against_loop import Case, assert_equal, batch_of
from mcdrop import ExecutionError, MCDropout
from mcdrop.execution.thinning import make_thinned
from mcdrop.execution.thinning.layers import Layer
from mcdrop.networks import co2_mlp, lenet, mlp

REFUSED = {
    "heads folded into rows": "torch.fx cannot trace it",
    "rows folded into time": "torch.fx cannot trace it",
    "heads folded on axis 1": "torch.fx cannot trace it",
    "written over after dropout": "torch.fx cannot trace it",
    "dropped in place by another name": "drops in place what other calls may read",
    "dropped in place and returned": "drops in place what other calls may read",
    "dropped, and again in place": "drops in place what other calls may read",
    "writes to its input": "writes over a tensor",
    "path depends on the draw": "torch.fx cannot trace it",
}


@pytest.mark.parametrize("name", NETS)
def test_equals_the_loop_or_says_why_not(name):
    net = NETS[name]
    x = net.x()
    case = Case(net.build(), x.to(net.dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x)
    if name in REFUSED:
        with pytest.raises(ExecutionError, match=rf"thinned execution cannot run this net: .*{REFUSED[name]}.*'loop'"):
            case.make()
    else:
        assert_equal(case, **net.tolerance)


@pytest.mark.parametrize(
    ("net", "shape", "sliced"),
    [
        (mlp(hidden=(40, 30)), (1, 28, 28), 2),
        (lenet(), (1, 28, 28), 3),
        (lenet(conv_activation="relu"), (1, 28, 28), 3),
        (lenet(conv_activation="sigmoid", activation="gelu"), (1, 28, 28), 3),
        (co2_mlp(hidden=(64,) * 4), (1,), 4),
        (co2_mlp(hidden=(150, 130, 200)), (1,), 3),  # wide enough for widths to be rounded up
        (lenet(image_size=8, channels=(130, 140)), (1, 8, 8), 3),
        (co2_mlp(hidden=(64,) * 3, p=0.5, activation="tanh"), (1,), 3),
    ],
)
def test_equals_the_loop_on_the_tutorials_nets(net, shape, sliced):
    assert_equal(Case(net, randn(6, *shape)), sliced=sliced)


ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Hardtanh, nn.Identity]
RATES = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]) | st.floats(0.01, 0.99)


class Shortcut(nn.Module):
    """A block and its input, added."""

    def __init__(self, *members):
        super().__init__()
        self.block = nn.Sequential(*members)

    def forward(self, x):
        return x + self.block(x)


@st.composite
def perceptrons(draw):
    members, width = [], 3
    for _ in range(draw(st.integers(1, 3))):
        wider = draw(st.integers(1, 24))
        between = [draw(st.sampled_from(ACTIVATIONS))(), nn.Dropout(draw(RATES), inplace=draw(st.booleans()))]
        if draw(st.booleans()):
            between.append(nn.BatchNorm1d(wider))
        block = [nn.Linear(width, wider, bias=draw(st.booleans())), *draw(st.permutations(between))]
        if draw(st.booleans()):
            members.append(Shortcut(*block, nn.Linear(wider, width)))
        else:
            members += block
            width = wider
    members += [nn.Dropout(draw(RATES)), nn.Linear(width, draw(st.integers(1, 3)))]
    return with_weights(nn.Sequential(*members)).double().eval(), (3,)


@st.composite
def convolutional(draw):
    channels, members, axes = 2, [], draw(st.integers(1, 3))
    conv, drop, norm, pools = {
        1: (nn.Conv1d, nn.Dropout1d, nn.BatchNorm1d, (nn.MaxPool1d, nn.AvgPool1d)),
        2: (nn.Conv2d, nn.Dropout2d, nn.BatchNorm2d, (nn.MaxPool2d, nn.AvgPool2d)),
        3: (nn.Conv3d, nn.Dropout3d, nn.BatchNorm3d, (nn.MaxPool3d, nn.AvgPool3d)),
    }[axes]
    for _ in range(draw(st.integers(1, 2))):
        more, kernel = draw(st.integers(1, 7)), draw(st.sampled_from([1, 3]))
        between = [draw(st.sampled_from(ACTIVATIONS))(), drop(draw(RATES))]
        between += [norm(more)] if draw(st.booleans()) else []
        pool = draw(st.sampled_from(pools))
        between += [pool(draw(st.sampled_from([2, 3])), stride=draw(st.integers(1, 2)), padding=1)]
        members += [conv(channels, more, kernel, padding=kernel // 2), *draw(st.permutations(between))]
        channels = more
    members += [nn.AdaptiveAvgPool1d(2)] if axes == 1 else [nn.AdaptiveAvgPool2d(2)] if axes == 2 else []
    size = channels * 2**axes
    if axes == 3:
        members.append(nn.AdaptiveMaxPool3d(2))
    head = [nn.Flatten(), nn.Dropout(draw(RATES)), nn.Linear(size, 4), nn.Dropout(0.4), nn.Linear(4, 2)]
    return with_weights(nn.Sequential(*members, *head)).double().eval(), (2, *[5] * axes)


@given(perceptrons() | convolutional(), st.integers(1, 40), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_equals_the_loop_on_any_net(net, rows, passes, seed):
    net, shape = net
    x = randn(rows, *shape).double()
    case = Case(net, x, seed=seed)
    assert_equal(case, passes=range(seed, seed + passes), rtol=1e-9, atol=1e-9)


FUNCTIONAL = {
    "view": lambda h: h.view(h.size(0), -1),
    "view, other size": lambda h: h.view(-1, 16),
    "reshape by shape": lambda h: h.reshape(h.shape[0], -1),
    "flatten": lambda h: h.flatten(1),
    "torch.flatten": lambda h: torch.flatten(F.relu(h), 1),
    "functional": lambda h: torch.tanh(F.relu(h)).flatten(1),
    "in place": lambda h: F.relu(h, inplace=True).flatten(1),
    "permuted": lambda h: h.permute(0, 2, 3, 1).flatten(1),
    "mixed": lambda h: h.flip(1).flatten(1),
    "softmax": lambda h: h.softmax(1).flatten(1),
    "halves as rows": lambda h: h.reshape(h.shape[0] * 2, -1).softmax(1).view(h.shape[0], -1),
    "sigmoid": lambda h: torch.sigmoid(h).flatten(1),
    "shifted": lambda h: (h + 1).flatten(1),
    "cumulative": lambda h: h.flatten(1).cumsum(1),
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_what_moves_units_is_followed_or_run_in_full(name):
    """Sixteen features after the flattening, of four channels."""

    def forward(self, x):
        h = F.max_pool2d(F.dropout2d(self.middle(F.dropout2d(self.first(x), 0.5)), 0.5), 2)
        return self.last(F.dropout(torch.relu(self.dense(FUNCTIONAL[name](h))), 0.5))

    net = with_weights(
        Call(
            forward,
            first=nn.Conv2d(1, 6, 3, padding=1),
            middle=nn.Conv2d(6, 4, 3, padding=1),
            dense=nn.Linear(16, 12),
            last=nn.Linear(12, 2),
        )
    )
    for rows in (1, 2, 5):
        assert_equal(Case(net, randn(rows, 1, 4, 4)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("order", ["before", "after"])
def test_activations_before_and_after_a_site(activation, order):
    between = [activation(), nn.Dropout(0.5)] if order == "before" else [nn.Dropout(0.5), activation()]
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 9), *between, nn.Linear(9, 2))
    shared = nn.Sequential(nn.Linear(3, 9), *between, nn.Linear(9, 2))
    for each in (net, shared):
        assert_equal(Case(with_weights(each), randn(6, 3)))


READERS = {
    "the layer": lambda self, a: self.drop(a.relu()) + a,
    "the activation": lambda self, a: (h := a.relu()) + self.drop(h),
    "another layer": lambda self, a: self.drop(a.relu()) + self.other(a),
    "two layers of what is dropped": lambda self, a: self.other(h := self.drop(a.relu())) - self.other(h.tanh()) + h,
}


@pytest.mark.parametrize("name", READERS)
def test_units_that_others_read_too_are_not_left_out(name):
    layers = {"first": nn.Linear(3, 8), "middle": nn.Linear(8, 8), "other": nn.Linear(8, 8), "last": nn.Linear(8, 2)}

    def forward(self, x):
        return self.last(READERS[name](self, self.middle(F.dropout(self.first(x), 0.5))))

    assert_equal(Case(with_weights(Call(forward, drop=nn.Dropout(0.5), **layers)), randn(6, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_runs_in_every_type(dtype):
    limits = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 0.05}
    net = with_weights(NETS["lenet"].make()).to(dtype).eval()
    case = Case(net, randn(6, 1, 12, 12).to(dtype))
    size = float(case.loop().abs().max())
    thinned = assert_equal(case, rtol=0.0, atol=limits[dtype] * size)
    assert case.thin(thinned).dtype == dtype


def test_slices_are_as_small_as_the_thinned_network(monkeypatch):
    """The law of thinning: a layer between two sites is a product over live inputs and live outputs alone."""
    case = Case(co2_mlp(hidden=(64, 64, 64), p=0.5), randn(200, 1))
    shapes, product = [], Layer._product

    def watched(self, inputs, weight, *rest):
        shapes.append((inputs.shape[1], *weight.shape))
        return product(self, inputs, weight, *rest)

    thinned = case.make()
    monkeypatch.setattr(Layer, "_product", watched)
    case.thin(thinned.thinnest(), passes=range(1))
    live = [
        int((case.noise.draw(n, s, shape=(200, 64), passes=range(1), rows=range(200))[0] != 0).sum())
        for n, s in enumerate(case.plan.fired)
    ]
    assert shapes[:2] == [(live[0], live[1], live[0]), (live[1], live[2], live[1])]


def products(case, monkeypatch, passes=range(4)):
    """Count the products on slices."""
    calls, product, thinned = [], Layer._product, case.make()
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "_product", lambda self, *args: (calls.append(self), product(self, *args))[1])
        case.thin(thinned, passes=passes)
    return len(calls)


def test_layers_are_sliced_where_that_is_faster(monkeypatch):
    many, few = (Case(co2_mlp(hidden=(512, 512, 512), p=0.5), randn(rows, 1)) for rows in (500, 4))
    assert products(many, monkeypatch) == 2 * 4  # the last one, of one output, has its weights masked or its inputs
    assert products(few, monkeypatch) == 0


def test_what_no_mask_reaches_is_computed_once_for_a_batch():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 2))
    case = Case(with_weights(net), randn(7, 3))
    thinned, runs = case.make(), []

    def counted(plain):
        return lambda x: (runs.append(len(x)), plain(x))[1]

    for step in thinned._program.steps:
        step.plain = counted(step.plain) if step.node.target == "0" else step.plain
    first, second = (case.thin(thinned, passes=passes) for passes in (range(3), range(3, 6)))
    assert runs == [7]
    torch.testing.assert_close(torch.cat([first, second]), case.loop(range(6)))
    case.thin(thinned, batch=batch_of(randn(5, 3)))
    assert runs == [7, 5]


def test_other_batches_run_on_the_same_trace():
    case = Case(NETS["lenet"].build(), randn(4, 1, 12, 12))
    thinned = case.make()
    for rows in (1, 3, 9):
        other = replace(batch_of(randn(rows, 1, 12, 12, seed=rows)), start=11)
        torch.testing.assert_close(case.thin(thinned, batch=other), case.loop(batch=other), rtol=1e-5, atol=1e-5)


def test_neither_net_nor_inputs_nor_generators_are_touched():
    net = with_weights(
        nn.Sequential(
            nn.Dropout(0.3, inplace=True), nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(5, 2)
        )
    )
    x = randn(6, 3)
    case, before = Case(net, x), {name: value.clone() for name, value in net.state_dict().items()}
    state, given = torch.get_rng_state(), x.clone()
    out = case.thin(case.make())
    assert torch.equal(x, given)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not out.requires_grad


def refuses(case, match):
    with pytest.raises(ExecutionError, match=match) as caught:
        make_thinned(case.twin, case.noise.plan, case.batch).run(case.batch, noise=case.noise, passes=range(2))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("use execution='vectorized' or 'loop', or 'auto' to fall back to them")


def test_masks_of_their_own_are_refused():
    refuses(Case(NETS["mlp"].build(), randn(4, 3), masks="independent"), "rows with masks of their own")


def test_hooks_are_refused():
    net = NETS["mlp"].build()
    net[0].register_forward_hook(lambda *_: None)
    refuses(Case(net, randn(4, 3)), "hooks watch its module 0")


def test_dropout_inside_a_fused_layer_is_refused():
    net = nn.Sequential(nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)).eval()
    refuses(Case(net, randn(3, 5, 4)), "its graph shows 0 dropout calls where 4 fired")


def test_random_draws_are_refused():
    net = Call(lambda self, x: F.dropout(self.layer(x), 0.5) * torch.rand(1), layer=nn.Linear(3, 2))
    refuses(Case(net, randn(4, 3)), "draws random numbers that are no dropout masks")


def test_inputs_of_another_form_are_refused():
    case = Case(NETS["mlp"].build(), randn(4, 3))
    thinned = case.make()
    with pytest.raises(ExecutionError, match="its inputs differ in form from batch to batch"):
        case.thin(thinned, batch=batch_of(randn(4, 5, 3)))


def test_a_trace_that_gives_other_numbers_is_refused():
    """Code that tells a traced tensor from a real one; the trial pass notices."""

    def forward(self, x):
        h = F.dropout(self.layer(x), 0.5)
        return h if isinstance(x, torch.Tensor) else h + 1

    refuses(Case(with_weights(Call(forward, layer=nn.Linear(3, 4))), randn(4, 3)), "differ from those of the loop")


def test_a_net_that_keeps_what_it_saw_is_refused_and_left_as_it_was():
    def forward(self, x):
        self.seen = F.dropout(self.layer(x), 0.5)
        return self.seen

    case = Case(with_weights(Call(forward, layer=nn.Linear(3, 4), seen=None)), randn(4, 3))
    refuses(case, "its module Call writes to its own attributes")
    assert not isinstance(case.twin.module.seen, torch.fx.Proxy)
    assert case.loop().shape == (5, 4, 4)


def test_a_net_for_one_batch_size_is_tried_on_that():
    net = Call(
        lambda self, x: self.last(F.dropout(self.first(x).view(6, 8), 0.5)), first=nn.Linear(3, 8), last=nn.Linear(8, 2)
    )
    assert_equal(Case(with_weights(net), randn(6, 3)), sliced=1)


def test_constants_in_the_forward_are_kept():
    net = Call(lambda self, x: self.layer(F.dropout(x * torch.tensor([1.0, 2.0, 3.0]), 0.5)), layer=nn.Linear(3, 2))
    assert_equal(Case(with_weights(net), randn(4, 3)), sliced=1)


def test_other_threads_run_their_nets_while_one_is_traced():
    case, other, failures, done = Case(NETS["lenet"].build(), randn(4, 1, 12, 12)), lenet(), [], threading.Event()

    def work():
        x = torch.zeros(1, 1, 28, 28)
        while not done.is_set():
            try:
                other(x)
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(10):
        case.make()
    done.set()
    thread.join()
    assert failures == []


def test_run_thinned_needs_no_preparation():
    case = Case(NETS["lenet"].build(), randn(4, 1, 12, 12))
    out = make_thinned(case.twin, case.noise.plan, case.batch).run(case.batch, noise=case.noise, passes=range(3, 8))
    torch.testing.assert_close(out, case.loop(), rtol=1e-5, atol=1e-5)


# Asked for by name


def test_the_sampler_gives_the_same_draws_for_any_batches_and_chunks():
    net, x = co2_mlp(hidden=(64, 64), p=0.3), torch.linspace(-1, 1, 11)[:, None]
    model = MCDropout(net)
    loop = model.sample(x, passes=20, execution="loop")
    for options in ({}, {"batch_size": 4}, {"chunk_size": 3}, {"batch_size": 5, "chunk_size": 7}):
        torch.testing.assert_close(
            model.sample(x, passes=20, execution="thinned", **options), loop, rtol=1e-5, atol=1e-5
        )
    pred = model.predict(x, passes=20, execution="thinned")
    np.testing.assert_allclose(pred.mean, loop.double().mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pred.std, loop.double().std(0), rtol=1e-4, atol=1e-5)


def test_what_cannot_run_thinned_says_so_and_what_to_do():
    x = torch.ones(3, 4)
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    with pytest.raises(ExecutionError, match=r"masks of their own share no thinned network.*use execution="):
        MCDropout(net).predict(x, passes=2, masks="independent", execution="thinned")
    attention = nn.MultiheadAttention(4, 2, dropout=0.1, batch_first=True)
    gated = Call(lambda self, x: self.attend(x, x, x)[0], attend=attention).eval()
    with pytest.raises(ExecutionError, match="thinned execution cannot run this net"):
        MCDropout(gated).predict(torch.ones(3, 2, 4), passes=2, execution="thinned")


@pytest.mark.parametrize("sizes", [(3, 40), (40, 3)])
def test_batches_of_another_size_are_refused(sizes):
    net = nn.Sequential(
        nn.Conv1d(1, 8, 1), nn.Dropout1d(0.3), nn.Conv1d(8, 8, 3), nn.ReLU(), nn.Dropout(0.5),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1),
    )  # fmt: skip
    batches = [torch.ones(2, 1, size) for size in sizes]
    with pytest.raises(ExecutionError, match="differ in form from batch to batch"):
        MCDropout(net).predict(batches, passes=3, execution="thinned")


def test_a_forward_that_was_replaced_is_refused():
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    base = net[2]
    base.forward = lambda x: F.linear(x, base.weight, base.bias) + 0.05 * x
    with pytest.raises(ExecutionError, match="the forward of its module 2 was replaced"):
        MCDropout(net).predict(torch.ones(3, 3), passes=3, execution="thinned")


def test_a_convolution_of_ones_own_runs_whole():
    class Louder(nn.Conv2d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x, 1.2 * weight, bias)

    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Dropout2d(0.5), Louder(8, 4, 3), nn.Dropout2d(0.3), nn.Flatten())
    model, x = MCDropout(with_weights(net)), randn(3, 1, 6, 6)
    thinned = model.sample(x, passes=6, execution="thinned")
    torch.testing.assert_close(thinned, model.sample(x, passes=6, execution="loop"), rtol=1e-5, atol=1e-5)


def test_settings_in_lists_and_shapes_asked_for_by_name_are_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(1, 4, 3), nn.Dropout2d(0.5)
            self.pool, self.last = nn.MaxPool2d([2, 2]), nn.Linear(16, 2)

        def forward(self, x):
            h = self.pool(self.drop(self.conv(x)))
            return self.last(h.view(h.size(dim=0), -1))

    model, x = MCDropout(with_weights(Net())), randn(3, 1, 6, 6)
    thinned = model.sample(x, passes=6, execution="thinned")
    torch.testing.assert_close(thinned, model.sample(x, passes=6, execution="loop"), rtol=1e-5, atol=1e-5)


@torch.fx.wrap
def doubled_in_place(x):
    return x.mul_(2.0)


def test_inputs_that_a_net_writes_to_stay_as_they_are():
    def forward(self, x):
        return self.last(F.dropout(self.first(doubled_in_place(x)), 0.5))

    net = Call(forward, first=nn.Linear(3, 8), last=nn.Linear(8, 2))
    x = torch.ones(4, 3)
    model = MCDropout(with_weights(net))
    try:
        thinned = model.sample(x, passes=4, execution="thinned")
        torch.testing.assert_close(thinned, model.sample(x, passes=4, execution="loop"), rtol=1e-5, atol=1e-5)
    except ExecutionError:
        pass
    assert torch.equal(x, torch.ones(4, 3))

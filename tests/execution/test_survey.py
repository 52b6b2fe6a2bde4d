"""The survey: where rows lie, what is written to, what a row costs."""

import pytest
import torch
import torch.nn.functional as F
from laws import NETS, Call, randn
from torch import nn

from mcdrop import MCDropout, NetError
from mcdrop.execution import Twin, structural_twin, survey
from mcdrop.inputs import open_stream
from mcdrop.masks import RowLayout
from mcdrop.outputs import one_tensor


def plan_of(net, x):
    return survey(
        Twin(structural_twin(net), one_tensor), open_stream(x, device=torch.device("cpu"), dtype=torch.float32).first
    )


@pytest.mark.parametrize(
    ("name", "layout", "one_row"),
    [
        ("mlp", RowLayout(0, 1), (1, 16)),
        ("time first", RowLayout(1, 1), (4, 1, 8)),
        ("heads folded into rows", RowLayout(0, 4), (4, 8)),
        ("rows folded into time", RowLayout(0, 4, interleaved=True), (4, 8)),
        ("heads folded on axis 1", RowLayout(1, 2), (4, 2, 8 // 2)),
        ("weights dropped", None, (2, 8)),
        ("lenet", RowLayout(0, 1), (1, 3, 1, 1)),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_rows_are_found_wherever_they_lie(name, layout, one_row, rows):
    site = plan_of(NETS[name].build(), NETS[name].x(rows)).fired[0]
    assert site.layout == layout
    assert site.mask_shape == one_row
    if layout is None:
        assert site.batch_shape(9) == one_row
    else:
        assert site.batch_shape(9)[layout.axis] == 9 * layout.repeats


def test_embedded_integers_show_their_layout_too():
    def forward(self, x):
        return F.dropout(self.layer(x).transpose(0, 1).reshape(-1, 4), 0.5).reshape(5, len(x), 4).transpose(0, 1)

    net = Call(forward, layer=nn.Embedding(9, 4))
    site = plan_of(net, torch.arange(15).reshape(3, 5) % 9).fired[0]
    assert site.layout == RowLayout(0, 5, interleaved=True)


def test_pairs_of_rows_are_no_rows():
    """An N x N interaction holds no rows of its own: all strategies draw one mask for all of it."""
    net = Call(lambda self, x: F.dropout(self.layer(x) @ self.layer(x).T, 0.3) @ x, layer=nn.Linear(3, 4))
    assert plan_of(net, randn(5, 3)).fired[0].layout is None
    flat = Call(lambda self, x: F.dropout((x[:, None] * x).flatten(0, 1), 0.3).unflatten(0, (len(x), -1)).sum(1))
    assert plan_of(flat, randn(5, 3)).fired[0].layout is None
    for model in (MCDropout(net), MCDropout(flat)):
        loop = model.sample(randn(5, 3), passes=4, execution="loop")
        torch.testing.assert_close(model.sample(randn(5, 3), passes=4), loop)


@pytest.mark.parametrize("name", [name for name, net in NETS.items() if net.dtype == torch.float32])
def test_writing_to_inputs_is_noticed(name):
    may_write = {"writes to its input", "in-place dropout on the input"}
    assert plan_of(NETS[name].build(), NETS[name].x()).mutates_inputs or name not in may_write
    if "in place" not in name and "in-place" not in name and name not in may_write:
        assert not plan_of(NETS[name].build(), NETS[name].x()).mutates_inputs


def test_net_for_one_batch_size_only_runs_at_it():
    net = Call(lambda self, x: F.dropout(x.reshape(6, 3), 0.5), layer=nn.Linear(3, 2))
    model, x = MCDropout(net), randn(6, 3)
    assert len(model.sites(x)) == 1
    torch.testing.assert_close(model.sample(x, passes=3), model.sample(x, passes=3, execution="loop"))
    assert model.sample(randn(12, 3), passes=3, batch_size=6).shape == (3, 12, 3)
    with pytest.raises(NetError, match=r"the net refused inputs of shape \(5, 3\)"):
        model.predict(randn(5, 3))


def test_costs_are_bytes_a_row():
    plan = plan_of(nn.Sequential(nn.Linear(3, 100), nn.Dropout(0.5), nn.Linear(100, 10)), randn(5, 3))
    assert (plan.widest_bytes, plan.widest_noisy_bytes) == (400, 400)
    assert (plan.prefix_bytes, plan.suffix_bytes) == (400, 440)  # the dropout call gives 400 of its own


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda _, x: (F.dropout(x), x), "must return one tensor, got tuple"),
        (lambda _, x: {"y": F.dropout(x), "x": x}, "must return one tensor, got dict"),
        (lambda _, x: F.dropout(x).numpy(), "must return one tensor, got ndarray"),
        (lambda _, x: None, "must return one tensor, got NoneType"),
        (lambda _, x: F.dropout(x).sum(), r"one row per input row, \d here, got shape \(\)"),
        (lambda _, x: F.dropout(x)[:1], r"one row per input row, \d here, got shape \(1, 3\)"),
        (lambda _, x: F.dropout(x).T, r"one row per input row, \d here, got shape \(3, \d\)"),
        (
            lambda _, x: F.dropout(x) @ x,
            r"the net refused inputs of shape \(4, 3\) \(float32\): RuntimeError: mat1 and mat2",
        ),
        (lambda _, x: F.dropout(x.nothing), r"the net refused .*AttributeError: 'Tensor' object has no attribute"),
        (lambda _, x: F.dropout({}["a"]), "the net refused .*KeyError"),
        (lambda _, x: F.dropout(x[7]), "the net refused .*IndexError"),
    ],
)
def test_unusable_nets_are_refused_in_one_line(forward, message):
    for execution in ("auto", "loop", "vectorized"):
        with pytest.raises(NetError, match=message) as caught:
            MCDropout(Call(forward)).predict(randn(4, 3), execution=execution)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)  # what was expected and got; what to do


def test_nested_sites_know_the_innermost_module():
    inner = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    net = nn.Sequential(inner, Call(lambda self, x: F.dropout(self.inner(x), 0.1), inner=inner))
    assert [site.module for site in plan_of(net, randn(2, 3)).sites] == ["0.1", "0.1", "1"]

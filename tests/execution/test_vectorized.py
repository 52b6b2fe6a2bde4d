"""Vectorized execution equals the loop, or says why it cannot."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import NETS, Call, randn, rows_of, with_weights
from torch import nn

from mcdrop import ExecutionError, MCDropout

every_net = pytest.mark.parametrize("name", NETS)
every_masks = pytest.mark.parametrize("masks", ["shared", "independent"])


@every_net
@every_masks
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_equals_the_loop(name, masks, chunk_size):
    case = NETS[name]
    model, x = MCDropout(case.build()), case.x()
    loop = model.sample(x, passes=5, seed=4, masks=masks, execution="loop")
    assert loop.std(dim=0).max() > 0 or name == "everything dropped"
    options = {"passes": 5, "seed": 4, "masks": masks, "chunk_size": chunk_size}
    torch.testing.assert_close(model.sample(x, **options), loop, **case.tolerance)
    if case.vectorized:
        torch.testing.assert_close(model.sample(x, execution="vectorized", **options), loop, **case.tolerance)
    else:
        with pytest.raises(ExecutionError, match=r"vectorized execution cannot run this net: .*execution='loop'"):
            model.sample(x, execution="vectorized", **options)


@st.composite
def perceptrons(draw):
    widths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    members, last = [], 2
    for width in widths:
        drop = draw(st.sampled_from([nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout]))
        rate = draw(st.floats(0, 0.95))
        activation = draw(st.sampled_from([nn.ReLU, nn.Tanh, nn.SELU, nn.Identity]))
        order = draw(st.permutations([activation(), drop(rate)]))
        members += [nn.Linear(last, width), *order]
        last = width
    drop_again = draw(st.floats(0.05, 1.0))
    return with_weights(nn.Sequential(*members, nn.Dropout(drop_again), nn.Linear(last, draw(st.integers(1, 3)))))


@given(perceptrons(), st.integers(1, 6), st.integers(1, 9), st.sampled_from(["shared", "independent"]), st.data())
@settings(max_examples=25, deadline=None)
def test_equals_the_loop_on_any_perceptron_chunk_and_batch(net, rows, passes, masks, data):
    model, x = MCDropout(net), randn(rows, 2)
    loop = model.sample(x, passes=passes, masks=masks, execution="loop")
    sizes = {name: data.draw(st.none() | st.integers(1, 10)) for name in ("chunk_size", "batch_size")}
    again = model.sample(x, passes=passes, masks=masks, execution="vectorized", **sizes)
    torch.testing.assert_close(again, loop, rtol=1e-4, atol=1e-4)


def test_what_comes_before_the_first_site_is_computed_once():
    calls = []

    def count(self, x):
        calls.append(x.shape)
        return F.dropout(self.layer(x), 0.5)

    net = Call(count, layer=nn.Linear(3, 2))
    MCDropout(net).sample(torch.ones(4, 3), passes=50, execution="vectorized", chunk_size=50)
    assert [shape for shape in calls if shape[0] == 4] == [(4, 3)]  # the survey takes two and three rows


def test_mask_of_another_shape_is_never_broadcast():
    """Sequences whose length changes from batch to batch: a mask for length 1 would fit any length, wrongly."""
    net = with_weights(Call(lambda self, x: F.dropout(self.layer(x), 0.5).sum(1), layer=nn.Linear(3, 2)))
    model, batches = MCDropout(net), [randn(2, length, 3) for length in (1, 4, 2)]
    loop = model.sample(batches, passes=6, execution="loop")
    torch.testing.assert_close(model.sample(batches, passes=6), loop)
    with pytest.raises(ExecutionError, match="its dropout calls vary"):
        model.sample(batches, passes=6, execution="vectorized")


def test_another_path_for_another_batch_is_noticed_once_and_clearly():
    def forward(self, x):
        return F.dropout(x, 0.5 if x[0, 0] > 0 else 0.1)

    model, x = MCDropout(Call(forward)), torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    with pytest.raises(ExecutionError, match="its dropout calls vary") as caught:
        model.sample(x, passes=3, batch_size=2, execution="vectorized")
    assert str(caught.value).count("vectorized execution cannot run") == 1
    loop = model.sample(x, passes=50, batch_size=2, execution="loop")
    assert torch.equal(model.sample(x, passes=50, batch_size=2), loop)
    assert set(loop[:, :2].unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(loop[:, 2:].amin(), torch.tensor(-1 / 0.9))


def test_sites_that_a_batch_leaves_out_do_not_shift_the_others():
    def forward(self, x):
        h = F.dropout(x, 0.0) if x[0, 0] > 0 else x
        return F.dropout(F.dropout(h, 0.5) + 1, 0.5)

    x = torch.tensor([[1.0], [-1.0]]).expand(2, 16)
    model = MCDropout(Call(forward))
    auto = model.sample(x, passes=4, batch_size=1)
    loop = model.sample(x, passes=4, batch_size=1, execution="loop")
    assert torch.equal(auto, loop)


def test_refusal_is_one_line_and_says_what_to_do():
    case = NETS["path depends on the draw"]
    with pytest.raises(ExecutionError) as caught:
        MCDropout(case.build()).sample(case.x(), passes=3, execution="vectorized")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("use execution='loop', or 'auto' to fall back to it")


@every_net
def test_one_row_is_enough(name):
    case = NETS[name]
    model, x = MCDropout(case.build()), case.x()
    first = rows_of(x, slice(0, 1))
    torch.testing.assert_close(
        model.sample(first, passes=3), model.sample(first, passes=3, execution="loop"), **case.tolerance
    )

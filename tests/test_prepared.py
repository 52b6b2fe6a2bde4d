"""Rows in blocks, passes in parts: put together they are what one call gives."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop import InputError, MCDropout, NetError

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


def make_net(outputs=2):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(3, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 32), nn.Dropout(0.2), nn.Linear(32, outputs)
    )


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = make_net(4)

    def forward(self, x):
        y = self.body(x)
        return {"value": y[:, :1], "logits": y[:, 1:]}


MODELS = {
    "regression": lambda: MCDropout(make_net()),
    "classification": lambda: MCDropout(make_net(3), task="classification"),
    "heteroscedastic": lambda: MCDropout(make_net(), task="heteroscedastic"),
    "two targets": lambda: MCDropout(TwoHeads(), task={"value": "regression", "logits": "classification"}),
}


def equal(a, b, rtol=1e-6, rows=slice(None)):
    """Hold two predictions together, field by field."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            equal(a[key], b[key], rtol, rows)
        return
    for field in fields(a):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            part = other[:, rows] if field.name == "samples" else other[rows]
            np.testing.assert_allclose(one, part, rtol=rtol, atol=1e-7, err_msg=field.name)
        else:
            assert one == other, field.name


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("kind", MODELS)
def test_blocks_of_rows_are_those_of_one_call(kind, masks):
    model = MODELS[kind]()
    whole = model.predict(X, passes=60, seed=3, masks=masks)
    prepared = model.prepare(X[:7], passes=60, seed=3, masks=masks)
    for start, stop in ((33, 40), (0, 1), (1, 33)):  # in any order
        equal(prepared.predict(X[start:stop], start=start), whole, rows=slice(start, stop))


def test_rows_with_masks_of_their_own_go_by_their_numbers():
    prepared = MODELS["regression"]().prepare(X, passes=60, masks="independent")
    first, later = prepared.predict(X[:5]), prepared.predict(X[:5], start=100)
    assert (np.abs(first.mean - later.mean) > 1e-6).any()


@pytest.mark.parametrize("sampling", ["stratified", "iid"])
@pytest.mark.parametrize("kind", MODELS)
def test_parts_of_the_passes_are_those_of_one_call(kind, sampling):
    model = MODELS[kind]()
    options = {"passes": 110, "seed": 5, "sampling": sampling}
    prepared = model.prepare(X, **options)
    parts = [prepared.partial(X, passes=passes) for passes in (range(75, 110), range(25), range(25, 75))]
    equal(prepared.finish([pickle.loads(pickle.dumps(part)) for part in parts]), model.predict(X, **options))


def test_batches_within_a_block_merge_one_by_one():
    model = MODELS["regression"]()
    prepared = model.prepare(X, passes=50, batch_size=7)
    parts = [prepared.partial(X, passes=range(25, 50)), prepared.partial(X, passes=range(25))]
    equal(prepared.finish(parts), model.predict(X, passes=50))


@pytest.mark.parametrize(
    "options", [{"passes": "auto"}, {"passes": 50, "keep_samples": True}, {"passes": 50, "last_layer": "exact"}]
)
def test_every_option_of_predict_goes_by_blocks(options):
    model = MODELS["regression"]()
    whole, prepared = model.predict(X, **options), model.prepare(X[:4], **options)
    equal(prepared.predict(X[10:25], start=10), whole, rows=slice(10, 25))
    with pytest.raises(InputError, match="run them together with predict"):
        prepared.partial(X, passes=range(25))


def test_who_prepares_with_the_same_rows_gets_the_same_bits():
    one, other = (MODELS["classification"]().prepare(X[:9], passes=50, seed=2) for _ in range(2))
    one.predict(X)  # what ran before does not matter
    a, b = (prepared.predict(X[9:30], start=9) for prepared in (one, other))
    assert np.array_equal(a.probs, b.probs) and np.array_equal(a.probs_std, b.probs_std)


def test_says_how_far_it_is():
    told = []
    MODELS["regression"]().prepare(X, passes=50).predict(X[:8], advance=told.append)
    assert sum(told) == 50 * 8


@pytest.mark.parametrize(
    "passes", [range(0), range(10, 35), range(30), range(0, 75, 3), range(100, 125), range(-25, 25), (0, 25), 25, None]
)
def test_refuses_passes_that_are_no_part(passes):
    prepared = MODELS["regression"]().prepare(X, passes=110)
    with pytest.raises(InputError, match="from a multiple of 25 to another or to 110"):
        prepared.partial(X, passes=passes)


def test_refuses_parts_that_are_not_the_whole():
    prepared = MODELS["regression"]().prepare(X, passes=50)
    first, second = (prepared.partial(X, passes=passes) for passes in (range(25), range(25, 50)))
    for parts in ([], [first], [second], [first, first, second]):
        with pytest.raises(InputError, match="each of the 50 passes once"):
            prepared.finish(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 7}, "seed 7 where 0 was expected; prepare with the same net and options"),
        ({"masks": "independent"}, "masks 'independent' where 'shared' was expected"),
        (
            {"batch_size": 12},
            r"outputs of shape \(40, 2\) of range\(0, 25\) and \(12, 2\) of range\(25, 50\).* batch_size",
        ),
        ({"batch_size": 39}, "same batches, got outputs of shape"),
    ],
)
def test_refuses_parts_of_other_runs(options, message):
    prepared, other = (MODELS["regression"]().prepare(X, passes=50, **given) for given in ({}, options))
    later = pickle.loads(pickle.dumps(other.partial(X, passes=range(25, 50))))
    with pytest.raises(InputError, match=message):
        prepared.finish([prepared.partial(X, passes=range(25)), later])
    if "batch_size" not in options:
        with pytest.raises(InputError, match=message):  # also where its parts agree
            prepared.finish([other.partial(X, passes=range(25)), later])


def test_refuses_parts_of_other_nets():
    one, wide = (MCDropout(make_net(width), task="classification").prepare(X, passes=50) for width in (2, 3))
    probs = MCDropout(make_net(2).append(nn.Softmax(1)), task="classification", outputs="probabilities")
    with pytest.raises(InputError, match=r"outputs of shape \(40, 2\) .* and \(40, 3\)"):
        one.finish([one.partial(X, passes=range(25)), wide.partial(X, passes=range(25, 50))])
    with pytest.raises(InputError, match="outputs 'probabilities' where 'logits' was expected"):
        one.finish([probs.prepare(X, passes=50).partial(X, passes=range(50))])
    alpha = MCDropout(make_net(2), task="classification")
    alpha.net[2] = nn.AlphaDropout(alpha.net[2].p)
    with pytest.raises(InputError, match="got another sites; prepare"):
        one.finish([alpha.prepare(X, passes=50).partial(X, passes=range(50))])


def test_rates_that_another_machine_rounds_otherwise_are_the_same():
    here, there = (MCDropout(make_net(2)) for _ in range(2))
    there.net[2].p = np.nextafter(here.net[2].p, 1.0)  # as the sigmoid of a learned one may be
    parts = [here.prepare(X, passes=50).partial(X, passes=range(25))]
    parts.append(there.prepare(X, passes=50).partial(X, passes=range(25, 50)))
    equal(here.prepare(X, passes=50).finish(parts), here.predict(X, passes=50))


@pytest.mark.parametrize(("rows", "start"), [(slice(20, 40), 20), (slice(20), 20), (slice(19), 0)])
def test_refuses_parts_of_other_rows(rows, start):
    prepared = MODELS["regression"]().prepare(X, passes=50)
    parts = [
        prepared.partial(X[:20], passes=range(25)),
        prepared.partial(X[rows], passes=range(25, 50), start=start),
    ]
    with pytest.raises(InputError, match=rf"rows 0 to 19 of range\(0, 25\) and rows {start} to .* by themselves"):
        prepared.finish(parts)


def test_a_part_of_the_passes_tells_of_outputs_that_are_no_logits():
    """Whoever finishes may have seen none of them."""
    softmax = MCDropout(make_net(3).append(nn.Softmax(1)), task="classification").prepare(X, passes=50)
    with pytest.raises(NetError, match="look like probabilities"):
        softmax.partial(X, passes=range(25))
    sigmoid = MCDropout(make_net(1).append(nn.Sigmoid()), task="classification").prepare(X, passes=50)
    with pytest.warns(UserWarning, match="read as logits"):
        sigmoid.partial(X, passes=range(25))


def test_refuses_rows_and_options_that_are_none():
    model = MODELS["regression"]()
    with pytest.raises(InputError, match="start"):
        model.prepare(X).predict(X, start=-1)
    with pytest.raises(TypeError, match="unexpected option 'pases'"):
        model.prepare(X, pases=3)
    with pytest.raises(InputError, match=r"x must not hold NaN, got it in 1 of 2 rows \(41\)"):
        model.prepare(X).predict(torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]]), start=40)


@pytest.mark.parametrize("options", [{"passes": 50}, {"passes": "auto", "max_passes": 400, "tolerance": 0.2}])
def test_rows_of_unusable_outputs_are_named_by_their_numbers(options):
    x = X.clone()
    x[7] = torch.inf
    with pytest.raises(NetError, match=r"1 of 40 rows \(107\)"):
        MODELS["regression"]().prepare(X, **options).predict(x, start=100)
    if options["passes"] != "auto":
        prepared = MODELS["regression"]().prepare(X, **options)
        part = pickle.loads(pickle.dumps(prepared.partial(x, passes=range(50), start=100)))
        with pytest.raises(NetError, match=r"1 of 40 rows \(107\)"):
            prepared.finish([part])


def test_prefers_few_rows_of_wide_nets():
    narrow = MODELS["regression"]().prepare(X).block_rows
    wide = MCDropout(nn.Sequential(nn.Linear(3, 200_000), nn.Dropout(0.5), nn.Linear(200_000, 1))).prepare(X).block_rows
    assert narrow == 16_384 and 16 <= wide < 64


def test_keeps_the_passes_of_fewer_rows_at_once():
    model = MODELS["regression"]()
    rows = model.prepare(X, passes=1000).block_rows
    kept = {passes: model.prepare(X, passes=passes, keep_samples=True).block_rows for passes in (10, 64, 1000, 10**6)}
    assert kept == {10: rows, 64: rows // 4, 1000: rows * 16 // 1000, 10**6: 1}

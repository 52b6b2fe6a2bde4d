"""Passes until the error is small: the tolerance is met, rows stop alone and alike in any batch, and bad input."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from laws import NETS, Call, mlp, randn, with_weights
from torch import nn

from mcdrop import InputError, MCDropout, NetError, load
from mcdrop.errors import UnsettledRowsWarning
from mcdrop.execution.rounds import Stopping

SAMPLINGS = ["iid", "stratified"]
X = randn(12, 3, seed=1) * torch.linspace(0.1, 3, 12)[:, None]


def spread_out(classes=4):
    """Return a classifier whose rows differ in how much passes disagree."""
    net = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, classes))
    return with_weights(net).eval()


def classifier():
    return MCDropout(spread_out(), task="classification")


# The rounds


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("most", [2, 60, 100, 999, 10_000])
def test_rounds_cover_all_passes_once_in_whole_blocks(most, stratified):
    rounds = list(Stopping(max_passes=most).rounds(10**6, stratified=stratified))
    assert [number for passes in rounds for number in passes] == list(range(most))
    assert all(passes.start % 25 == 0 for passes in rounds)
    assert all(later.stop <= 1.5 * earlier.stop for earlier, later in itertools.pairwise(rounds))
    assert rounds[0].stop == min(most, 200 if stratified else 100)


def test_a_run_of_fewer_passes_is_not_made_longer():
    assert list(Stopping().rounds(1, stratified=False)) == [range(1)]


# Stopping


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_regression_stops_when_the_error_is_the_share_of_the_spread_that_was_asked_for(sampling):
    model = MCDropout(with_weights(mlp()).eval())
    for tolerance in (None, 0.03):
        pred = model.predict(X, passes="auto", tolerance=tolerance, sampling=sampling)
        assert (pred.mcse <= (tolerance or 0.05) * pred.std).all()
        assert pred.passes.shape == (12,)
        if sampling == "iid":
            assert (pred.passes == {None: 400, 0.03: 1200}[tolerance]).all()  # the first ends from 1 / tolerance^2 on
        else:
            assert pred.passes.max() < (400 if tolerance is None else 1200)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_each_row_is_what_as_many_passes_give(sampling, masks):
    model = classifier()
    auto = model.predict(X, passes="auto", sampling=sampling, masks=masks, tolerance=0.007)
    assert (auto.mcse.max(axis=1) <= 0.007).all()
    assert len(set(auto.passes.tolist())) >= 3
    for passes in set(auto.passes.tolist()):
        rows = auto.passes == passes
        fixed = model.predict(X, passes=passes, sampling=sampling, masks=masks)
        for name in ("probs", "probs_std", "logit_mean", "logit_std", "votes", "expected_entropy", "mcse"):
            ours, theirs = getattr(auto, name)[rows], getattr(fixed, name)[rows]
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert (auto.votes.sum(axis=1) == auto.passes).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("how", [{"batch_size": 1}, {"batch_size": 5, "chunk_size": 7}, {"execution": "loop"}])
def test_rows_take_the_same_passes_in_any_batch(sampling, masks, how):
    model = classifier()
    options = {"passes": "auto", "sampling": sampling, "masks": masks, "tolerance": 0.009}
    whole, parts = model.predict(X, **options), model.predict(X, **options, **how)
    assert (whole.passes == parts.passes).all()
    np.testing.assert_allclose(whole.probs, parts.probs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(whole.mcse, parts.mcse, rtol=1e-3, atol=1e-6)


def counting(net):
    """Return the net and a list to which each pass adds its number of rows."""
    seen = []

    def forward(self, x):
        seen.append(len(x))
        return self.net(x)

    return Call(forward, net=net).eval(), seen


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_rows_that_have_converged_are_not_run_again(masks):
    net, seen = counting(spread_out())
    options = {"passes": "auto", "tolerance": 0.009, "masks": masks, "execution": "loop"}
    pred = MCDropout(net, task="classification").predict(X, **options)
    assert sum(seen) < pred.passes.sum() + 100  # the survey's rows, and those of the trial
    assert pred.passes.sum() < 0.8 * len(X) * pred.passes.max()


def test_a_loader_gives_what_a_tensor_gives():
    model = classifier()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X), batch_size=5)
    whole, parts = (model.predict(x, passes="auto", tolerance=0.009) for x in (X, loader))
    assert (whole.passes == parts.passes).all()


def centered(self, x):
    h = self.net(x)
    return h - h.mean(0)


def of_twelve(self, x):
    if len(x) != 12:
        raise ValueError("twelve rows or none")
    return self.net(x)


@pytest.mark.parametrize("forward", [centered, of_twelve])
def test_nets_that_mix_rows_or_take_no_fewer_are_run_whole(forward):
    model = MCDropout(Call(forward, net=spread_out()).eval(), task="classification")
    auto = model.predict(X, passes="auto", tolerance=0.009, batch_size=12)
    assert len(set(auto.passes.tolist())) >= 2
    for passes in set(auto.passes.tolist()):
        rows = auto.passes == passes
        fixed = model.predict(X, passes=passes, batch_size=12)
        np.testing.assert_allclose(auto.probs[rows], fixed.probs[rows], rtol=1e-4, atol=1e-6)


def test_a_quantile_lets_the_last_rows_go():
    model = classifier()
    options = {"passes": "auto", "tolerance": 0.009}
    strict, loose = model.predict(X, **options), model.predict(X, **options, quantile=0.75)
    assert loose.passes.max() < strict.passes.max()
    assert (loose.mcse.max(axis=1) <= 0.009).sum() >= 9
    early = strict.passes < loose.passes.max()
    assert (loose.passes[early] == strict.passes[early]).all()


@pytest.mark.parametrize("name", ["mlp", "image out", "one value a row", "two inputs", "inputs by name", "bfloat16"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_nets_of_many_shapes_run_until_they_converge(name, sampling):
    spec = NETS[name]
    pred = MCDropout(spec.build()).predict(spec.x(5), passes="auto", tolerance=0.2, sampling=sampling)
    assert (pred.mcse <= 0.2 * pred.std).all()
    assert pred.mcse.shape == pred.mean.shape
    assert pred.passes.shape == (5,)


def test_outputs_that_never_change_have_converged():
    net = nn.Sequential(nn.Linear(3, 8, bias=False), nn.Dropout(0.5), nn.Linear(8, 2))
    x = X.clone()
    x[3] = 0
    pred = MCDropout(with_weights(net).eval()).predict(x, passes="auto", sampling="iid", tolerance=0.06)
    assert pred.passes.tolist() == [300] * 3 + [100] + [300] * 8
    assert (pred.std[3] == 0).all()
    assert (pred.mcse[3] == 0).all()


def two_heads(self, x):
    h = self.drop(torch.relu(self.first(x)))
    return {"size": self.size(h), "kind": self.kind(h)}


IID = {"passes": "auto", "sampling": "iid"}


def test_several_targets_must_all_have_converged():
    net = Call(two_heads, first=nn.Linear(3, 32), drop=nn.Dropout(0.3), size=nn.Linear(32, 1), kind=nn.Linear(32, 4))
    with_weights(net).eval().kind.weight.data *= 0.4
    made = MCDropout(net, task={"size": "regression", "kind": "classification"}).predict(X, **IID)
    assert (made["size"].passes == made["kind"].passes).all()
    assert (made["size"].mcse <= 0.05 * made["size"].std).all()
    assert (made["kind"].mcse <= 0.005).all()
    assert made["size"].passes.min() >= 400
    alone = MCDropout(net, task="classification", output="kind").predict(X, **IID)
    assert alone.passes.min() < 400
    assert (np.maximum(alone.passes, 400) == made["kind"].passes).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_heteroscedastic_nets_go_by_their_means(sampling, tmp_path):
    model = MCDropout(with_weights(mlp()).eval(), task="heteroscedastic")
    pred = model.predict(X, passes="auto", sampling=sampling, tolerance=0.06)
    assert (pred.mcse <= 0.06 * pred.std).all()
    fixed = model.predict(X, passes=int(pred.passes[0]), sampling=sampling)
    np.testing.assert_allclose(pred.noise_std[0], fixed.noise_std[0], rtol=1e-5)
    loaded = load(pred.save(tmp_path / "a.nc"))
    assert (loaded.passes == pred.passes).all()
    np.testing.assert_array_equal(loaded.mcse, pred.mcse)
    np.testing.assert_array_equal(loaded.total_std(), pred.total_std())
    assert "passes=array" in repr(pred)


def test_stopping_early_leaves_no_bias_that_shows():
    """Over 40 seeds the means of stopped runs differ from those of long ones by less than 5.2 standard errors."""
    model = classifier()
    stopped = np.stack([model.predict(X, passes="auto", tolerance=0.01, seed=seed).probs for seed in range(40)])
    long = model.predict(X, passes=40_000, seed=99)
    error = np.hypot(stopped.std(0, ddof=1) / 40**0.5, long.mcse)
    assert np.abs((stopped.mean(0) - long.probs) / error).max() < 5.2
    assert np.sqrt(((stopped - long.probs) ** 2).mean(0)).max() < 0.0115


# What is said


def test_rows_that_have_not_converged_are_told_of():
    with pytest.warns(
        UserWarning, match=r"(\d+) of 12 points should have a Monte Carlo error within .* after 150 pass"
    ):
        pred = classifier().predict(X, **IID, max_passes=150)
    assert pred.passes.max() == 150
    assert (pred.mcse.max(axis=1) > 0.005).any()
    with pytest.warns(
        UserWarning, match=r"12 of 12 points .* got errors of up to 1\.4 times the tolerance; raise max_"
    ) as caught:
        MCDropout(with_weights(mlp()).eval()).predict(X, **IID, max_passes=200)
    assert caught[0].filename == __file__


def test_what_is_said_of_them_comes_whole_from_another_process():
    told = pickle.loads(pickle.dumps(UnsettledRowsWarning(3, 20, 500, 1.75)))
    assert (told.rows, told.total, told.passes, told.excess) == (3, 20, 500, 1.75)
    assert str(told).startswith("3 of 20 points should have a Monte Carlo error within the tolerance after 500 passes")


def test_outputs_that_are_no_numbers_are_refused_at_once():
    net, seen = counting(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)))
    net.net[0].weight.data[0] = torch.nan
    with pytest.raises(NetError, match="finite"):
        MCDropout(net.eval()).predict(X[:1], **IID, tolerance=1.0, execution="loop")
    assert len(seen) < 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0}, r"tolerance must be a number above 0, got 0; such as 0\.05"),
        ({"tolerance": -1.0}, "tolerance must be a number above 0"),
        ({"tolerance": float("nan")}, "tolerance must be a number above 0"),
        ({"tolerance": float("inf")}, "tolerance must be a number above 0"),
        ({"tolerance": True}, "tolerance must be a number above 0"),
        ({"tolerance": "5%"}, "tolerance must be a number above 0"),
        ({"quantile": 0}, "quantile must lie above 0 and be at most 1, got 0; 1.0 waits"),
        ({"quantile": 1.01}, "quantile must lie above 0"),
        ({"quantile": None}, "quantile must lie above 0"),
        ({"max_passes": 1}, "max_passes must be an integer of at least 2"),
        ({"max_passes": 1e4}, "max_passes must be an integer of at least 2"),
        ({"keep_samples": True}, "keep_samples must be False with passes='auto'"),
        ({"passes": 100, "tolerance": 0.1}, "tolerance must go with passes='auto', got passes=100"),
        ({"passes": "all"}, "passes must be an integer of at least 2 .*\"auto\".*, got 'all'"),
        ({"passes": 1}, "passes must be an integer of at least 2"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        MCDropout(mlp().eval()).predict(X, **{"passes": "auto", **options})


@pytest.mark.parametrize("method", ["sample", "log_likelihood", "fit_precision"])
def test_only_predictions_stop_by_themselves(method):
    own = {"sample": (X,), "log_likelihood": (X, X[:, :2]), "fit_precision": (X, X[:, :2])}[method]
    more = {"tau": 1.0} if method == "log_likelihood" else {}
    with pytest.raises(InputError, match=r"passes must be a number here, got .auto.; only predict takes"):
        getattr(MCDropout(mlp().eval()), method)(*own, passes="auto", **more)


def test_a_progress_bar_knows_no_end(capsys):
    MCDropout(with_weights(mlp()).eval()).predict(X, **IID, tolerance=0.5, progress=True)
    assert "100/?" in capsys.readouterr().err


def test_an_error_that_is_the_tolerance_is_within_it():
    model = MCDropout(with_weights(mlp()).eval())
    assert (model.predict(X, **IID, tolerance=0.1).passes == 100).all()
    assert (model.predict(X, **IID, tolerance=0.0999).passes == 150).all()


@pytest.mark.parametrize(("name", "value"), [("tolerance", 0.1), ("quantile", 0.9), ("max_passes", 500)])
def test_what_says_when_to_stop_goes_with_auto_alone(name, value):
    model = MCDropout(with_weights(mlp()).eval())
    with pytest.raises(InputError, match=f"{name} must go with passes='auto', got passes=100; leave one of them out"):
        model.predict(X, passes=100, **{name: value})
    pred = model.predict(X, passes="auto", **{"tolerance": 0.1} | {name: value})
    assert pred.provenance[name] == value


@pytest.mark.parametrize("most", [50, 75, 100])
def test_nothing_converges_by_the_luck_of_few_blocks(most):
    """Means of blocks that happen to lie close are no proof: below 8 blocks the error is that of independent passes."""
    model = MCDropout(with_weights(mlp()).eval())
    with pytest.warns(UserWarning, match="12 of 12 points should have a Monte Carlo error"):
        model.predict(X, passes="auto", max_passes=most)

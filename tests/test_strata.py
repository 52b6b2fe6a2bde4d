"""Stratified words: the field, the laws of one pass, of a block and of two blocks, and the estimates made from them."""

import hashlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import Call, mlp, randn, with_weights
from scipy import stats
from torch import nn
from two_samples import Bound

from mcdrop import MCDropout
from mcdrop.masks import CountedBits, kept
from mcdrop.moments import ClassMoments, Moments
from mcdrop.strata import STRATA, pick_maps, stratify

TOP = 2**32 - 1
GOLDEN = "e4247922a735cf07acdc4e6a149091f8dbad9d17fad3c96d20c71c654005c5ff"


def strata_of(words):
    return (words.astype(np.uint64) * STRATA) >> np.uint64(32)


# Maps


def test_maps_permute_the_strata_and_take_each_pair_of_places_to_each_pair_of_strata_once():
    firsts = np.round((np.arange(600) + 0.5) * 2**32 / 600).astype(np.uint32)
    maps = pick_maps(firsts)
    assert (np.sort(maps) == np.arange(600)).all()
    zero = np.zeros(600, dtype=np.uint32) + 1  # not 0, which rounding would put into the stratum before
    images = np.stack([strata_of(stratify(zero * STRATA, maps, place)) for place in range(STRATA)])
    assert (np.sort(images, axis=0) == np.arange(STRATA)[:, None]).all()
    for a, b in itertools.combinations(range(STRATA), 2):
        assert len(set(zip(images[a], images[b], strict=True))) == STRATA * (STRATA - 1)


def test_maps_are_picked_evenly():
    assert pick_maps(np.array([0, TOP], dtype=np.uint32)).tolist() == [0, 599]
    counts = np.bincount(
        pick_maps(np.random.default_rng(0).integers(0, 2**32, 120_000, dtype=np.uint32)), minlength=600
    )
    assert stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize("place", range(STRATA))
def test_words_fill_their_stratum_from_end_to_end(place):
    maps = np.arange(600)
    low = stratify(np.zeros(600, dtype=np.uint32), maps, place)
    high = stratify(np.full(600, TOP, dtype=np.uint32), maps, place)
    order = np.argsort(low, kind="stable")
    edges = np.array([stratum * 2**32 // STRATA for stratum in range(STRATA + 1)])
    assert (low[order] == edges[:-1].repeat(24)).all()
    assert (np.abs(high[order].astype(np.int64) - (edges[1:].repeat(24) - 1)) <= 1).all()


# Words


def words(passes, width=40, *, seed=0, site=0, rows=None):
    bits = CountedBits(seed=seed, site=site, stratified=True)
    return bits.shared(passes, width) if rows is None else bits.by_row(passes, rows, width)


def test_stratified_draws_never_change_between_releases():
    """Pinned: whoever changes these changes every result that anyone has published with a seed."""
    drawn = [words(range(3, 60), 5, seed=seed, site=site) for seed in (0, 2**63 - 1) for site in (0, 9)]
    drawn += [words(range(3, 60), 5, rows=range(7, 9)).reshape(57, 10)]
    digest = hashlib.sha256(np.concatenate(drawn, axis=1).astype("<u4").tobytes()).hexdigest()
    assert digest == GOLDEN


@pytest.mark.parametrize("rows", [None, range(3, 7)])
def test_a_block_fills_every_stratum_of_every_unit_once(rows):
    drawn = words(range(4 * STRATA), rows=rows).reshape(4, STRATA, -1)
    filled = np.sort(strata_of(drawn + np.uint32(1)), axis=1)  # an edge, rounded down, lies just before its stratum
    assert (filled == np.arange(STRATA)[:, None]).all()


@given(st.integers(0, 80), st.integers(1, 60), st.integers(1, 30), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_any_window_of_passes_and_rows_is_cut_from_the_same_whole(first, count, width, row):
    drawn = words(range(first, first + count), width)
    one = CountedBits(seed=0, site=0, stratified=True)
    assert (np.concatenate([one.shared(range(t, t + 1), width) for t in range(first, first + count)]) == drawn).all()
    assert (words(range(140), width + 9)[first : first + count, :width] == drawn).all()
    rows = words(range(first, first + 3), width, rows=range(row, row + 5))
    for i, j in itertools.product(range(3), range(5)):
        alone = one.by_row(range(first + i, first + i + 1), range(row + j, row + j + 1), width)
        assert (alone[0, 0] == rows[i, j]).all()


@pytest.mark.parametrize("stratified", [False, True])
def test_rows_that_are_not_consecutive_keep_their_words(stratified):
    bits = CountedBits(seed=1, site=2, stratified=stratified)
    whole = bits.by_row(range(20, 30), range(40), 9)
    rows = (0, 3, 4, 5, 17, 39)
    assert (bits.by_row(range(20, 30), rows, 9) == whole[:, list(rows)]).all()
    assert (bits.by_row(range(20, 30), (7,), 9) == whole[:, [7]]).all()


def test_independent_words_lie_within_the_strata():
    plain = CountedBits(seed=3, site=1).shared(range(30), 50)
    moved = words(range(30), 50, seed=3, site=1)
    assert (np.abs((moved * np.float64(STRATA)) % 2**32 - plain) % 2**32 <= STRATA).all()


@pytest.mark.parametrize("number", [0, 7, 24, 25, 1003])
@pytest.mark.parametrize("rows", [None, range(2**6)])
def test_each_pass_alone_is_uniform_and_independent_over_the_units(number, rows):
    """Chi-squares over 256 bins, and over 16 x 16 of neighbors; a false alarm for 1 seed in 10,000 over all."""
    width = 2**15 if rows is None else 2**9
    drawn = words(range(number, number + 1), width, rows=rows).reshape(-1)
    for bits in (drawn >> 24, drawn & 0xFF):
        assert stats.chisquare(np.bincount(bits, minlength=256)).pvalue > 1e-6
    for lag in (1, 2, 600):
        pairs = (drawn[lag:] >> 28) * 16 + (drawn[:-lag] >> 28)
        assert stats.chisquare(np.bincount(pairs, minlength=256)).pvalue > 1e-6


@pytest.mark.parametrize(("a", "b"), [(0, 1), (3, 24), (24, 25), (0, 25), (30, 900)])
def test_two_passes_of_a_block_take_any_two_strata_and_of_two_blocks_any(a, b):
    """Of one block as two draws without replacement; of two blocks independent. A false alarm for 5 in a million."""
    width = 2**16
    pairs = (strata_of(words(range(t, t + 1), width)[0]).astype(int) for t in (a, b))
    first, second = pairs
    table = np.bincount(first * STRATA + second, minlength=STRATA**2).reshape(STRATA, STRATA)
    if a // STRATA == b // STRATA:
        assert np.trace(table) <= 3  # words at an edge, rounded down
        table = table[~np.eye(STRATA, dtype=bool)]
    assert stats.chisquare(table.ravel()).pvalue > 1e-6


def test_seeds_sites_blocks_and_scopes_have_maps_of_their_own():
    variants = [words(range(25), 64), words(range(25), 64, seed=1), words(range(25), 64, site=1)]
    variants += [words(range(25, 50), 64), words(range(25), 64, rows=range(1))[:, 0]]
    variants += [words(range(25), 64, rows=range(1, 2))[:, 0]]
    for a, b in itertools.combinations([strata_of(v) for v in variants], 2):
        assert (a != b).all(axis=0).mean() < 0.6  # of maps of their own 1 / e have no place in common
        assert (a == b).mean() < 0.1


# Estimates: unit by unit, where everything is known


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("passes", [50, 75, 100, 110])
def test_mean_spread_and_error_of_single_units_are_unbiased(rate, passes):
    """20,000 units are as many runs: z-scores of the averages within 5.2, 1 false alarm in 5 million each."""
    drops = 1.0 - kept(words(range(passes), 20_000), rate)
    moments, rest = Moments.of(torch.from_numpy(drops[: passes // 25 * 25]), block=25), passes % 25
    if rest:
        moments = moments.merge(Moments.of(torch.from_numpy(drops[-rest:]), block=25))
    f, variance = (STRATA * rate) % 1, rate * (1 - rate)
    of_block = f * (1 - f) / STRATA**2
    between = (of_block - variance / STRATA) * STRATA / (STRATA - 1)  # of two passes of one block
    exact = (passes // 25) * (25 / passes) ** 2 * of_block
    if rest:
        exact += (rest / passes) ** 2 * (variance / rest + (rest - 1) / rest * between)
    for got, expected in (
        (moments.mean, rate),
        (moments.std**2, variance),
        ((moments.mean - rate) ** 2, exact),
        (moments.error_of(2) ** 2, exact),
    ):
        standard_error = max(float(got.std()) / 20_000**0.5, 1e-7)
        assert abs(float(got.mean()) - expected) <= 5.2 * standard_error


# Estimates: nets


def draws_itself(self, x):
    h = self.first(x)
    h = torch.relu(h + 0.5 * torch.randn_like(h)) * torch.rand(h.shape)
    return self.last(h)


NETS = {
    "mlp": (mlp, "regression", "shared"),
    "mlp, masks of their own": (mlp, "regression", "independent"),
    "mlp, p=0.1": (lambda: mlp(drop=lambda p: nn.Dropout(0.1)), "regression", "shared"),
    "classifier": (mlp, "classification", "shared"),
    "alpha dropout": (lambda: mlp(drop=nn.AlphaDropout, activation=nn.SELU), "regression", "shared"),
    "draws itself": (
        lambda: Call(draws_itself, first=nn.Linear(3, 8), last=nn.Linear(8, 2)),
        "regression",
        "shared",
    ),
}
RUNS, T = 300, 100
ALL = Bound(false_alarm=1e-3, comparisons=len(NETS) * 3 * 8)


@pytest.fixture(scope="module", params=NETS)
def runs(request):
    """300 short runs, cut from one long one, as moments; and a long one of independent passes."""
    make, task, masks = NETS[request.param]
    model, x = MCDropout(with_weights(make()).eval(), task=task), randn(4, 3, seed=1)
    kind = Moments if task == "regression" else ClassMoments
    drawn = model.sample(x, passes=RUNS * T, masks=masks, sampling="stratified", seed=1)
    parts = [kind.of(part, block=STRATA) for part in drawn.split(T)]
    moments = [part if kind is Moments else part.probs for part in parts]
    long = model.sample(x, passes=20_000, masks=masks, seed=2).double()
    return moments, long if kind is Moments else long.softmax(-1)


def z_of(values, reference):
    """Return the z-scores of the average of runs against the average of passes."""
    error = (values.var(0) / len(values) + reference.var(0) / len(reference)).sqrt()
    return (values.mean(0) - reference.mean(0)) / error


def test_means_and_spreads_are_unbiased(runs):
    moments, long = runs
    means, variances = (torch.stack(values) for values in ([m.mean for m in moments], [m.std**2 for m in moments]))
    assert z_of(means, long).abs().max() <= ALL.z
    assert z_of(variances, (long - long.mean(0)).square()).abs().max() <= ALL.z


def test_errors_that_are_told_are_those_that_are_made(runs):
    """The squares agree on average; (mean - long mean) / error has the law of Student's t with 3 degrees of freedom."""
    moments, long = runs
    means, errors = torch.stack([m.mean for m in moments]), torch.stack([m.error for m in moments])
    assert z_of(errors**2, (means - means.mean(0)).square() * RUNS / (RUNS - 1)).abs().max() <= ALL.z
    z = ((means - long.mean(0)) / errors).flatten()
    assert 0.09 < (z.abs() > 2).double().mean() < 0.2  # 13.9% of Student's t


def test_means_are_closer_than_those_of_independent_passes(runs):
    moments, long = runs
    means = torch.stack([m.mean for m in moments])
    assert (long.var(0) / T).sum() > 1.4 * means.var(0).sum()


# The sampler


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_draws_do_not_depend_on_how_passes_are_run(masks):
    model, x = MCDropout(with_weights(mlp()).eval()), randn(7, 3, seed=1)
    options = {"passes": 60, "masks": masks, "sampling": "stratified"}
    whole = model.sample(x, **options)
    for how in (
        {"execution": "loop"},
        {"execution": "thinned"},
        {"batch_size": 2, "chunk_size": 7},
        {"chunk_size": 30},
    ):
        if masks == "shared" or how.get("execution") != "thinned":
            torch.testing.assert_close(model.sample(x, **options, **how), whole)
    assert (whole != model.sample(x, passes=60, masks=masks, sampling="iid")).any()


@pytest.mark.parametrize("task", ["regression", "classification", "heteroscedastic"])
@pytest.mark.parametrize("passes", [30, 50, 60, 100])
def test_predictions_do_not_depend_on_chunks_and_batches(task, passes):
    model, x = MCDropout(with_weights(mlp()).eval(), task=task), randn(7, 3, seed=1)
    whole = model.predict(x, passes=passes, sampling="stratified")
    for how in ({"chunk_size": 1}, {"chunk_size": 7, "batch_size": 2}, {"chunk_size": 26}, {"chunk_size": 60}):
        part = model.predict(x, passes=passes, sampling="stratified", **how)
        for name in ("mean", "std", "noise_std", "mcse", "probs", "probs_std", "logit_std", "votes"):
            if getattr(whole, name, None) is not None:
                np.testing.assert_allclose(getattr(part, name), getattr(whole, name), rtol=1e-4, atol=1e-6)
    assert whole.provenance["sampling"] == "stratified"


def test_the_error_of_less_than_two_blocks_is_that_of_independent_passes():
    model, x = MCDropout(with_weights(mlp()).eval()), randn(7, 3, seed=1)
    pred = model.predict(x, passes=49, sampling="stratified")
    np.testing.assert_allclose(pred.mcse, pred.std / 7)
    independent = model.predict(x, passes=49, sampling="iid")
    assert independent.mean_error is None
    assert (pred.provenance["sampling"], independent.provenance["sampling"]) == ("stratified", "iid")


def test_likelihoods_take_stratified_passes():
    model, x = MCDropout(with_weights(mlp()).eval()), randn(7, 3, seed=1)
    y = model.predict(x, passes=100).mean
    ours, theirs = (model.log_likelihood(x, y, tau=0.05, passes=2000, sampling=s) for s in ("stratified", "iid"))
    assert (ours != theirs).all()
    np.testing.assert_allclose(ours, theirs, rtol=0.02)
    assert model.fit_precision(x, y, sampling="stratified", passes=60).tau > 0

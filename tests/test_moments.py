"""Streaming statistics equal those of the whole, however it is cut and merged."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcdrop.moments import ClassMoments, GaussianMoments, Moments


@st.composite
def cut_values(draw):
    count = draw(st.integers(2, 30))
    offset = draw(st.sampled_from([0.0, 1.0, -1e6, 1e9]))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    values = offset + scale * np.random.default_rng(draw(st.integers(0, 99))).standard_normal((count, 3, 2))
    cuts = sorted(draw(st.sets(st.integers(1, count - 1))))
    return values, cuts, scale, draw(st.randoms(use_true_random=False))


def merged(parts, random):
    """Merge neighbors in any order, and either way round."""
    while len(parts) > 1:
        i = random.randrange(len(parts) - 1)
        a, b = parts[i : i + 2] if random.random() < 0.5 else parts[i : i + 2][::-1]
        parts[i : i + 2] = [a.merge(b)]
    return parts[0]


@given(cut_values())
@settings(max_examples=60, deadline=None)
def test_any_cut_and_merge_order_gives_numpys_mean_and_std(case):
    values, cuts, scale, random = case
    moments = merged([Moments.of(torch.from_numpy(part)) for part in np.split(values, cuts)], random)
    rounding = 1e-9 * scale + 1e-14 * np.abs(values).max()
    assert moments.count == len(values)
    np.testing.assert_allclose(moments.mean.numpy(), values.mean(axis=0), rtol=0, atol=rounding)
    np.testing.assert_allclose(moments.std.numpy(), values.std(axis=0, ddof=1), rtol=1e-9, atol=10 * rounding)


def test_a_large_offset_costs_no_precision():
    """At 1e9 the naive mean of squares would have no digit left of a variance of 1."""
    noise = torch.randn(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = [Moments.of(part[:, None] + 1e9) for part in noise.split(7)]
    moments = parts[0]
    for part in parts[1:]:
        moments = moments.merge(part)
    assert moments.std.item() == pytest.approx(noise.std().item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equal_values_have_no_spread_at_all(dtype):
    values = torch.full((7, 3), 0.1, dtype=dtype)
    moments = Moments.of(values).merge(Moments.of(values[:2])).merge(Moments.of(values))
    assert (moments.std == 0).all()
    assert (moments.mean == values[0].double()).all()


def test_half_precision_is_added_up_in_double():
    values = torch.tensor([[1.0], [1.0078125]] * 3000).bfloat16()
    assert Moments.of(values).mean.item() == pytest.approx(1.00390625, abs=1e-12)


def test_one_pass_has_no_spread_yet():
    moments = Moments.of(torch.ones(1, 3))
    assert torch.isnan(moments.std).all()


def test_values_keep_no_graph():
    assert not Moments.of(torch.ones(3, 2, requires_grad=True)).mean.requires_grad


@given(st.integers(0, 99), st.sets(st.integers(1, 19)), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_class_statistics_are_those_of_all_passes_together(seed, cuts, random):
    logits = 3 * torch.randn(20, 4, 5, generator=torch.Generator().manual_seed(seed))
    parts = [ClassMoments.of(part) for part in torch.tensor_split(logits, sorted(cuts))]
    moments = merged(parts, random)
    z = logits.double().numpy()
    probs = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    entropies = -(probs * np.log(probs)).sum(-1)
    for ours, values in ((moments.logits, z), (moments.probs, probs), (moments.entropy, entropies)):
        np.testing.assert_allclose(ours.mean.numpy(), values.mean(0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.std.numpy(), values.std(0, ddof=1), rtol=1e-9, atol=1e-12)
    votes = np.stack([np.bincount(column, minlength=5) for column in z.argmax(-1).T])
    assert (moments.votes.numpy() == votes).all()
    assert (moments.votes.sum(-1) == 20).all()


def test_extreme_logits_stay_finite():
    moments = ClassMoments.of(torch.tensor([[[1e4, -1e4, 0.0]], [[-1e4, 1e4, 0.0]]]))
    assert torch.isfinite(moments.entropy.mean).all()
    assert moments.probs.mean.tolist() == [[0.5, 0.5, 0.0]]
    assert moments.entropy.mean.item() == pytest.approx(0.0, abs=1e-12)


# Means and log-variances


@given(st.integers(0, 99), st.sets(st.integers(1, 19)), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_mean_noise_is_that_of_all_passes_together(seed, cuts, random):
    outputs = 3 * torch.randn(20, 4, 2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    moments = merged([GaussianMoments.of(part) for part in torch.tensor_split(outputs, sorted(cuts))], random)
    mean, log_variance = outputs.numpy()[:, :, 0], outputs.numpy()[:, :, 1]
    np.testing.assert_allclose(moments.means.mean.numpy(), mean.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.means.std.numpy(), mean.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(moments.log_variance.exp().numpy(), np.exp(log_variance).mean(0), rtol=1e-12)


def test_noise_beyond_single_precision_is_a_number():
    moments = GaussianMoments.of(torch.tensor([[[0.0, 700.0]], [[0.0, -900.0]]]))
    assert moments.log_variance.item() == pytest.approx(700 - np.log(2))
    small = GaussianMoments.of(torch.full((3, 1, 2), -900.0))
    assert small.log_variance.item() == pytest.approx(-900)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_log_variance_that_is_no_number_leaves_a_trace(bad, chunk):
    outputs = torch.zeros(3, 2, 2)
    outputs[1, 0, 1] = bad
    parts = [GaussianMoments.of(part) for part in outputs.split(chunk)]
    moments = parts[0]
    for part in parts[1:]:
        moments = moments.merge(part)
    assert moments.log_variance.isfinite().tolist() == [False, True]


@pytest.mark.parametrize("chunk", [1, 1000])
def test_large_half_precision_values_do_not_overflow(chunk):
    """In half precision their sum, and the square of any of them, would be infinite."""
    values = torch.tensor([[6.0e4, -6.0e4], [6.5e4, 6.0e4]], dtype=torch.float16).repeat(4000, 1)[:, None]
    moments = Moments.of(values[:chunk])
    for part in values[chunk:].split(chunk):
        moments = moments.merge(Moments.of(part))
    exact = values.double().numpy()
    np.testing.assert_allclose(moments.mean.numpy(), exact.mean(0), rtol=1e-12, atol=1e-7)
    np.testing.assert_allclose(moments.std.numpy(), exact.std(0, ddof=1), rtol=1e-9)


# Blocks of stratified passes


def in_blocks(values, cuts, block):
    """Merge moments of parts that are whole blocks, or part of one; those of one block are closed when it is whole."""
    total, part = None, None
    for piece in torch.tensor_split(values, cuts):
        moments = Moments.of(piece, block=block)
        if len(piece) % block:
            part = moments if part is None else part.merge(moments)
            if part.count < block:
                continue
            moments, part = part.closed(), None
        total = moments if total is None else total.merge(moments)
    return total if part is None else part if total is None else total.merge(part)


@pytest.mark.parametrize("cuts", [[], [5], [2, 5], [5, 10], [1, 2, 3, 4, 5, 15], [10, 12], [5, 10, 15, 16]])
@pytest.mark.parametrize("count", [15, 17])
def test_means_of_blocks_do_not_depend_on_the_cuts(cuts, count):
    values = torch.randn(count, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = values[:15].reshape(3, 5, 3, 2).mean(1)
    moments = in_blocks(values, [cut for cut in sorted({*cuts, 15}) if cut < count], 5)
    torch.testing.assert_close(moments.mean, values.mean(0))
    torch.testing.assert_close(moments.m2, (values - values.mean(0)).square().sum(0))
    assert moments.blocks.count == 3
    torch.testing.assert_close(moments.blocks.mean, whole.mean(0))
    torch.testing.assert_close(moments.blocks.m2, (whole - whole.mean(0)).square().sum(0))


def test_whole_blocks_tell_the_error_by_their_spread():
    values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments, means = Moments.of(values, block=5), values.reshape(4, 5, 3).mean(1)
    torch.testing.assert_close(moments.error**2, means.var(0) / 4)
    torch.testing.assert_close(moments.std**2, values.var(0, correction=0) + means.var(0) / 4)


@given(st.integers(0, 99), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_a_part_of_a_block_counts_as_the_covariance_in_blocks_says(seed, rest):
    """The two estimates solve the equations that they come from, for any numbers in."""
    values = torch.randn(15 + rest, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    moments, total = in_blocks(values, [15], 5), 15 + rest
    of_block = values[:15].reshape(3, 5, 3).mean(1).var(0)
    pass_variance, mean_variance = moments.std**2, moments.error_of(2) ** 2
    within = (of_block - pass_variance / 5) * 5 / 4  # covariance of two passes of a block
    pairs = 3 * 5 * 4 + rest * (rest - 1)
    torch.testing.assert_close(mean_variance, (total * pass_variance + pairs * within) / total**2)
    torch.testing.assert_close(moments.m2, total * (pass_variance - mean_variance))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_fewer_than_two_blocks_are_taken_for_independent_passes(count):
    values = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = in_blocks(values, [5] if count > 5 else [], 5)
    torch.testing.assert_close(moments.std, values.std(0))
    torch.testing.assert_close(moments.error, values.std(0) / count**0.5)


def test_equal_passes_in_blocks_have_no_spread_and_no_error():
    values = torch.full((13, 3), 0.1)
    values[:, 2] = -torch.inf
    moments = in_blocks(values, [5, 10], 5)
    assert (moments.std == 0).all()
    assert (moments.error == 0).all()


@pytest.mark.parametrize("kind", [Moments, ClassMoments, GaussianMoments])
def test_statistics_at_some_rows_are_those_of_the_rows(kind):
    values = torch.randn(10, 6, 2, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([0, 2, 5])
    ours, theirs = kind.of(values, block=5).at(rows), kind.of(values[:, rows], block=5)
    for name, part in parts_of(ours).items():
        torch.testing.assert_close(part, parts_of(theirs)[name])
    assert kind.of(values[:5], block=5).closed().at(rows).merge(theirs) is not None


def parts_of(state, path=""):
    """Return every tensor in a state."""
    found = {}
    for name in state.__slots__:
        value = getattr(state, name)
        if isinstance(value, torch.Tensor):
            found[path + name] = value
        elif hasattr(value, "__slots__") and not isinstance(value, int):
            found |= parts_of(value, f"{path}{name}.")
    return found


@pytest.mark.parametrize(("blocks", "told"), [(1, False), (3, False), (4, True), (9, True)])
def test_few_blocks_tell_no_error_of_their_own(blocks, told):
    """With one to three blocks the error is that of independent passes: a bound, and no number by luck."""
    moments = Moments.of(torch.randn(25 * blocks, 6, generator=torch.Generator().manual_seed(0)).double(), block=25)
    bound = moments.std / moments.count**0.5
    assert torch.allclose(moments.error, bound) != told
    assert torch.allclose(moments.error_of(8), bound) == (blocks < 8)

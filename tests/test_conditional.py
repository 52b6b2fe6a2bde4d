"""Statistics of passes that know mean and variance of their last layer: the law of total variance, part by part."""

import numpy as np
import pytest
import torch
from laws import LIMIT

from mcdrop import InputError
from mcdrop.predictive.conditional import ConditionalMoments, ConditionalReading, conditional_reading
from mcdrop.predictive.tasks import reading_of


def passes(count, rows=4, outputs=3, seed=0):
    """Return means and positive variances of passes, shape (count, rows, 2, outputs)."""
    values = torch.randn(count, rows, 2, outputs, generator=torch.Generator().manual_seed(seed))
    values[:, :, 1] = values[:, :, 1].square()
    return values


def reading():
    options = {"outputs": "logits", "class_axis": None}
    return conditional_reading(reading_of("regression", None, **options), keep_samples=False)


def test_total_variance_is_the_mean_variance_and_the_variance_of_the_means():
    values = passes(10).double()
    state = ConditionalMoments.of(values)
    mean, variance = values.numpy()[:, :, 0], values.numpy()[:, :, 1]
    np.testing.assert_allclose(state.means.mean, mean.mean(0))
    np.testing.assert_allclose(state.std**2, variance.mean(0) + mean.var(0, ddof=1))
    np.testing.assert_allclose(state.error**2, mean.var(0, ddof=1) / 10)


@pytest.mark.parametrize("cuts", [[1, 9], [5, 5], [3, 3, 4], [1] * 10, [9, 1]])
def test_parts_merge_to_the_whole(cuts):
    values = passes(10)
    whole, merged = ConditionalMoments.of(values), None
    for part in values.split(cuts):
        state = ConditionalMoments.of(part)
        merged = state if merged is None else merged.merge(state)
    for name in ("std", "error", "variance"):
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name))
    torch.testing.assert_close(merged.means.mean, whole.means.mean)


def test_one_pass_stands_for_passes_all_alike():
    values = passes(1)
    one, many = ConditionalMoments.of(values), ConditionalMoments.of(values.expand(7, -1, -1, -1))
    torch.testing.assert_close(one.std, values[0, :, 1].double().sqrt())
    assert (one.error == 0).all()
    torch.testing.assert_close(one.std, many.std)
    torch.testing.assert_close(one.error, many.error)


def test_without_variances_it_is_what_passes_alone_add_up_to():
    values = passes(6)
    values[:, :, 1] = 0
    state = ConditionalMoments.of(values)
    torch.testing.assert_close(state.std, state.means.std)


def test_the_estimate_of_the_variance_is_unbiased():
    """y = e + v z with known spreads: 4000 estimates of 3 passes each."""
    generator = torch.Generator().manual_seed(1)
    mean = 2 * torch.randn(3, 4000, generator=generator, dtype=torch.float64)
    variance = torch.rand(3, 4000, generator=generator, dtype=torch.float64)
    estimates = ConditionalMoments.of(torch.stack([mean, variance], dim=2)).std.square()
    error = estimates.std() / 4000**0.5
    assert abs(estimates.mean() - (4 + 0.5)) < LIMIT * error


def test_rows_are_picked_and_blocks_closed_as_of_plain_moments():
    values = passes(25)
    rows = torch.tensor([2, 0])
    torch.testing.assert_close(ConditionalMoments.of(values).at(rows).std, ConditionalMoments.of(values[:, rows]).std)
    blocks = [ConditionalMoments.of(values[start : start + 5], block=5) for start in range(0, 25, 5)]
    merged = blocks[0]
    for block in blocks[1:]:
        merged = merged.merge(block)
    means = values[:, :, 0].double().reshape(5, 5, 4, 3).mean(1)
    torch.testing.assert_close(merged.error, means.std(0) / 5**0.5)
    whole = ConditionalMoments.of(values[:2], block=5).merge(ConditionalMoments.of(values[2:5], block=5)).closed()
    assert whole.means.blocks is not None


def test_excess_is_the_largest_share_of_a_row():
    values = passes(10)
    state = reading().summarize(values)[0]
    share = (state.error / state.std).amax(dim=1)
    torch.testing.assert_close(reading().excess(state, 0.1), share / 0.1)
    torch.testing.assert_close(reading().excess(state, None), share / 0.05)
    assert (reading().excess(reading().summarize(values[:1])[0], None) == 0).all()


def test_a_prediction_of_two_batches_has_an_error_of_its_own():
    values = passes(10)
    states = [ConditionalMoments.of(values[:, :3]), ConditionalMoments.of(values[:, 3:])]
    pred = reading().predictive(states, None, {"passes": 10, "provenance": {}})
    whole = ConditionalMoments.of(values)
    np.testing.assert_allclose(pred.std, whole.std)
    np.testing.assert_allclose(pred.mcse, whole.error)
    assert (pred.mcse < pred.std / np.sqrt(10)).all()


def test_there_is_no_likelihood_of_it():
    assert isinstance(reading(), ConditionalReading)
    with pytest.raises(InputError, match="a likelihood is of sampled passes"):
        reading().likelihood(passes(2), torch.zeros(4, 3), 1.0)

"""Averages of passes: exact limits of small nets, the Ts looked at, and what the figure draws."""

import itertools

import matplotlib
import numpy as np
import pytest
import torch
from laws import LIMIT, randn, with_weights
from torch import nn

from mcdrop import MCDropout
from mcdrop.demos.averaged import average_weights
from mcdrop.demos.regularization.averaging import Averaging, average_passes, pass_grid, seeds_of
from mcdrop.demos.regularization.averaging_figures import draw_averaging
from mcdrop.errors import InputError, NoDropoutError
from mcdrop.scores import categorical_nll, correct

matplotlib.use("Agg")

IMAGES = randn(40, 3, seed=1).numpy()


def linear(p, scale=1.5):
    """Return a linear classifier of three inputs, each dropped with probability p."""
    net = with_weights(nn.Sequential(nn.Dropout(p), nn.Linear(3, 4)), seed=2)
    with torch.no_grad():
        net[1].weight.mul_(scale)
    return net.eval()


def labels_of(net):
    """Return labels that the net mostly gets right."""
    labels = average_weights(net, IMAGES).argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % 4
    return labels


@torch.no_grad()
def enumerate_masks(net, p):
    """Return the probabilities under each of the 8 thinned networks, shape (8, N, K), and theirs, shape (8,)."""
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    weights = (1 - p) ** masks.sum(1) * p ** (3 - masks.sum(1))
    thinned = [net[1](torch.as_tensor(IMAGES) * mask / (1 - p)).double().softmax(1) for mask in masks]
    return torch.stack(thinned).numpy(), weights.double().numpy()


def made(errors, weight_averaging_errors, passes=(1, 10, 100)):
    errors = np.array(errors)
    return Averaging(np.array(passes), errors, errors / 100, weight_averaging_errors, 0.1, 1000)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_averages_converge_to_the_mean_over_all_thinned_networks(p):
    net = linear(p)
    labels = labels_of(net)
    thinned, weights = enumerate_masks(net, p)
    exact = np.tensordot(weights, thinned, 1)
    averaging = average_passes(net, IMAGES, labels, passes=2000, groups=4, seed=3)
    at_truth = thinned[:, np.arange(40), labels]
    truth = exact[np.arange(40), labels]
    # Delta method: the mean of -log has the slope -1 / truth in each digit's probability, and masks are shared.
    influence = (at_truth / truth).mean(axis=1)
    std = np.sqrt((weights * (influence - (weights * influence).sum()) ** 2).sum())
    expected = categorical_nll(labels, exact).mean()
    np.testing.assert_allclose(averaging.nll[:, -1], expected, atol=LIMIT * std / 2000**0.5)
    first, second = np.sort(exact, axis=1)[:, :-3:-1].T
    open_digits = np.count_nonzero(first - second < 0.02)
    errors = np.count_nonzero(~correct(labels, exact))
    assert open_digits < 5
    assert (np.abs(averaging.errors[:, -1] - errors) <= open_digits).all()
    assert abs(expected - averaging.weight_averaging_nll) > 1e-3  # the two limits differ: weights are averaged first


def test_one_pass_is_one_thinned_network_and_has_its_mean_nll():
    net = linear(0.5)
    labels = labels_of(net)
    thinned, weights = enumerate_masks(net, 0.5)
    own = np.array([categorical_nll(labels, probs).mean() for probs in thinned])
    averaging = average_passes(net, IMAGES, labels, passes=1, groups=400, seed=0)
    assert averaging.passes.tolist() == [1]
    gaps = np.abs(averaging.nll - own)
    np.testing.assert_allclose(gaps.min(axis=1), 0, atol=1e-6)  # masks are shared by all digits
    mean = (weights * own).sum()
    std = np.sqrt((weights * (own - mean) ** 2).sum())
    assert abs(averaging.nll.mean() - mean) <= LIMIT * std / 400**0.5


def test_averaging_lowers_the_nll_on_average():
    """-log is convex: the average of T + 1 passes does better in the mean than that of T."""
    net = linear(0.5)
    averaging = average_passes(net, IMAGES, labels_of(net), passes=20, groups=200)
    assert (np.diff(averaging.nll.mean(axis=0)) < 0).all()


def test_each_t_is_the_average_of_the_first_passes_of_its_group():
    net = linear(0.5)
    labels = labels_of(net)
    averaging = average_passes(net, IMAGES, labels, passes=7, groups=3, seed=5)
    assert averaging.passes.tolist() == [1, 2, 3, 5, 7]
    for g, seed in enumerate(seeds_of(5, 3)):
        probs = MCDropout(net).sample(IMAGES, passes=7, seed=seed, sampling="iid").double().softmax(2).numpy()
        for s, count in enumerate(averaging.passes):
            mean = probs[:count].mean(axis=0)
            assert averaging.errors[g, s] == np.count_nonzero(mean.argmax(axis=1) != labels)
            assert averaging.nll[g, s] == pytest.approx(categorical_nll(labels, mean).mean())
    assert averaging.count == 40
    weights = average_weights(net, IMAGES)
    assert averaging.weight_averaging_errors == np.count_nonzero(weights.argmax(axis=1) != labels) == 10
    assert averaging.weight_averaging_nll == pytest.approx(categorical_nll(labels, weights).mean())


def test_without_noise_to_speak_of_both_ways_agree():
    net = linear(1e-7)
    averaging = average_passes(net, IMAGES, labels_of(net), passes=10, groups=2)
    assert (averaging.errors == averaging.weight_averaging_errors).all()
    np.testing.assert_allclose(averaging.nll, averaging.weight_averaging_nll, rtol=1e-5)
    assert averaging.passes_to_match == 1


def test_one_seed_gives_the_same_numbers_and_more_passes_go_on_from_them():
    net = linear(0.5)
    labels = labels_of(net)
    first, again, longer, other = (
        average_passes(net, IMAGES, labels, passes=passes, groups=2, seed=seed)
        for passes, seed in ((10, 0), (10, 0), (20, 0), (10, 1))
    )
    np.testing.assert_array_equal(first.nll, again.nll)
    np.testing.assert_allclose(longer.nll[:, :5], first.nll)
    assert not (other.nll == first.nll).any()
    assert first.nll[0, 0] != first.nll[1, 0]  # groups are draws of their own


@pytest.mark.parametrize(
    ("passes", "grid"),
    [
        (1, [1]),
        (2, [1, 2]),
        (4, [1, 2, 3, 4]),
        (100, [1, 2, 3, 5, 10, 20, 50, 100]),
        (120, [1, 2, 3, 5, 10, 20, 50, 100, 120]),
        (1000, [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]),
    ],
)
def test_numbers_of_passes(passes, grid):
    assert pass_grid(passes).tolist() == grid


def test_seeds_of_groups_are_valid_distinct_and_begin_alike():
    seeds = seeds_of(0, 100)
    assert len(set(seeds) | set(seeds_of(1, 100))) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds_of(0, 5) == seeds[:5]


@pytest.mark.parametrize(
    ("errors", "scaled", "match"),
    [
        ([[30, 22, 18], [30, 24, 20]], 20, 100),
        ([[30, 20, 18], [30, 24, 20]], 20, 10),  # 22 ± 2.8
        ([[30, 20, 25], [30, 20, 25]], 20, None),  # it comes and goes
        ([[30, 22, 25], [30, 24, 27]], 20, None),
        ([[10, 11, 12], [10, 11, 12]], 20, 1),
        ([[20, 20, 20], [20, 20, 20]], 20, 1),
    ],
)
def test_from_which_number_of_passes_on_averages_match(errors, scaled, match):
    assert made(errors, scaled).passes_to_match == match


def test_numbers_are_plain():
    numbers = made([[30, 20, 18], [30, 24, 20]], 20).numbers()
    assert numbers["errors"] == [30, 22, 19]
    assert numbers["errors_std"] == pytest.approx([0, 8**0.5, 2**0.5])
    assert numbers["passes"] == [1, 10, 100]
    assert (numbers["groups"], numbers["passes_to_match"], numbers["weight_averaging_errors"]) == (2, 10, 20)


def test_the_figure_draws_means_bands_and_averaged_weights():
    from matplotlib import pyplot as plt

    averagings = {"MLP": made([[30, 20, 18], [32, 24, 20]], 21), "LeNet": made([[9, 8, 7], [8, 8, 8]], 7)}
    figure = draw_averaging(averagings)
    axes = np.array(figure.axes).reshape(2, 2)
    for (upper, lower), (name, averaging) in zip(axes.T, averagings.items(), strict=True):
        assert upper.get_title() == name
        assert lower.get_xlabel() == "averaged passes T"
        for ax, values, scaled in (
            (upper, averaging.errors, averaging.weight_averaging_errors),
            (lower, averaging.nll, 0.1),
        ):
            mean, level = ax.lines
            np.testing.assert_array_equal(mean.get_xdata(), [1, 10, 100])
            np.testing.assert_allclose(mean.get_ydata(), values.mean(axis=0))
            np.testing.assert_allclose(level.get_ydata(), scaled)
            assert ax.get_xscale() == "log"
            top = ax.collections[0].get_paths()[0].vertices[:, 1].max()
            assert top == pytest.approx((values.mean(axis=0) + values.std(axis=0, ddof=1)).max())
    assert axes[0, 0].get_ylabel() == "errors on 1,000 held-out digits"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["average over T passes", "± 1 std over groups of passes", "averaged weights"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 1}, "groups must be an integer of at least 2"),
        ({"passes": 0}, "passes must be an integer of at least 1"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_bad_options_are_refused(options, message):
    net = linear(0.5)
    with pytest.raises(InputError, match=message):
        average_passes(net, IMAGES, labels_of(net), **options)


def test_bad_nets_and_labels_are_refused():
    net = linear(0.5)
    labels = labels_of(net)
    with pytest.raises(InputError, match=r"net must be in eval mode, got one in training mode; call net.eval"):
        average_passes(linear(0.5).train(), IMAGES, labels)
    with pytest.raises(NoDropoutError):
        average_passes(linear(0.0), IMAGES, labels)
    with pytest.raises(InputError, match="y must"):
        average_passes(net, IMAGES, labels[1:])
    with pytest.raises(InputError, match="averagings must map the name of each model to its Averaging, got nothing"):
        draw_averaging({})

"""How demos train classifiers: all of the recipe counts, and the net comes back as it is saved."""

from dataclasses import asdict, fields

import numpy as np
import pytest
import torch

from mcdrop.datasets import load_digits
from mcdrop.demos import recipe as module
from mcdrop.demos.recipe import Recipe, train_classifier
from mcdrop.networks import lenet, mlp

OTHER = Recipe(epochs=3, lr=0.02, optimizer="adamw", schedule="cosine", batch_size=17, weight_decay=0.03)


@pytest.fixture(scope="module")
def digits():
    known = load_digits()
    return known.train_images[:50], known.train_labels[:50]


def norm(net):
    return float(sum(weight.detach().square().sum() for weight in net.parameters())) ** 0.5


def test_every_field_of_the_recipe_reaches_the_training(digits, monkeypatch):
    called = {}

    def fit(net, x, y, **options):
        called.update(options, net=net, x=x, y=y)
        return "history"

    monkeypatch.setattr(module, "fit", fit)
    assert all(value != field.default for value, field in zip(asdict(OTHER).values(), fields(Recipe), strict=True))
    net = mlp(hidden=(4,))
    assert train_classifier(net, *digits, OTHER, seed=5, validate_every=7) == "history"
    assert called.pop("net") is net
    assert (called.pop("x") is digits[0], called.pop("y") is digits[1]) == (True, True)
    assert called == asdict(OTHER) | {"loss": "cross_entropy", "seed": 5, "validate_every": 7}


def test_as_many_steps_as_its_epochs_have_at_its_rates(digits):
    history = train_classifier(mlp(hidden=(4,)), *digits, OTHER, seed=0)
    assert history.loss.shape == (3 * 3,)  # 17, 17 and 16 digits
    assert history.lr[0] == pytest.approx(0.02)
    np.testing.assert_allclose(history.lr, 0.01 * (1 + np.cos(np.pi * np.arange(9) / 9)))


def test_weight_decay_shrinks_the_weights(digits):
    """Plain gradient steps of rate 0.1 under a decay of 2 leave 0.8 of the weights each, and what the loss adds."""
    norms = []
    for decay in (0.0, 2.0):
        net = mlp(hidden=(16,))
        start = norm(net)
        train_classifier(net, *digits, Recipe(20, 0.1, "sgd", "constant", 50, decay), seed=0)
        norms.append(norm(net) / start)
    plain, decayed = norms
    assert plain > 0.9 and decayed < 0.3


def test_the_seed_decides_batches_and_noise(digits):
    first, again, other = (
        train_classifier(mlp(hidden=(8,)), *digits, OTHER, seed=seed).loss.tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_convolutions_are_channels_last_only_meanwhile(digits):
    net, layouts = lenet(), []

    def is_last(net):
        weight = next(w for w in net.parameters() if w.ndim == 4 and w.shape[1] > 1)
        return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()

    def monitor(net):
        layouts.append(is_last(net))
        return {}

    train_classifier(net, *digits, Recipe(1, 1e-3), seed=0, monitor=monitor)
    assert layouts == [True] and not is_last(net)
    assert all(weight.is_contiguous() for weight in net.state_dict().values())

"""The demo's nets: the same weights for one seed whatever is dropped, dropout where its name says, and variances."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop import MCDropout
from mcdrop.datasets import load_digits
from mcdrop.demos.regularization.exercises import (
    DECAY_RATES,
    HALF,
    NONE,
    RATES,
    SWAPPED,
    UNITS_OR_WEIGHTS,
    name_decay,
    plan,
)
from mcdrop.demos.regularization.nets import FAMILIES, NETS, PUBLISHED, TITLES, TwoLayers
from mcdrop.demos.regularization.presets import PRESETS
from mcdrop.demos.regularization.variance import measure_variance
from mcdrop.networks import lenet, mlp

IMAGES = load_digits().test_images[:200]


def rates(net):
    return [module.p for module in net.modules() if isinstance(module, nn.Dropout | nn.Dropout2d)]


def test_the_five_nets_drop_what_their_titles_say():
    dropped = {name: rates(net.build(0)) for name, net in NETS.items()}
    assert dropped == {
        "mlp_none": [0.0, 0.0],
        "mlp_hidden": [0.0, 0.5],
        "mlp": [0.2, 0.5],
        "lenet_none": [0.0, 0.0, 0.0],
        "lenet": [0.5, 0.5, 0.5],
    }
    assert set(NETS) == set(TITLES) == set(PUBLISHED) == set(itertools.chain(*FAMILIES.values()))
    assert list(PUBLISHED.values()) == [187, 169, 114, 109, 72]  # the tutorial's figures, read at their last epoch


def test_nets_of_a_family_start_from_the_same_weights():
    for names in FAMILIES.values():
        first, *others = [NETS[name].build(3).state_dict() for name in names]
        for other in others:
            assert all(torch.equal(first[key], other[key]) for key in first)
    again = NETS["mlp"].build(4).state_dict()
    assert not torch.equal(again["input.weight"], NETS["mlp"].build(3).state_dict()["input.weight"])


def test_the_nets_with_all_their_dropout_are_those_of_the_digits_demo():
    for name, build in (("mlp", mlp), ("lenet", lenet)):
        assert str(NETS[name].build(0)) == str(build(seed=0))


def test_the_exercises_train_every_net_once():
    recipe = PRESETS["default"].exercise
    variants = plan(recipe, (0.0, 1e-3))
    assert len(variants) == len(RATES) ** 2 + 2 + 1
    assert {*SWAPPED, *UNITS_OR_WEIGHTS} <= set(variants)
    assert variants[HALF].net.rates == (0.5, 0.5) and variants[NONE].recipe == recipe
    decayed = variants[name_decay(DECAY_RATES, 1e-3)]
    assert decayed.net.rates == DECAY_RATES and decayed.recipe.weight_decay == 1e-3
    assert name_decay(DECAY_RATES, 0.0) in SWAPPED


@pytest.mark.parametrize("drops", ["units", "weights"])
def test_units_and_weights_are_dropped_before_the_same_layers(drops):
    net = TwoLayers((0.2, 0.5), drops=drops).build(0)
    sites = MCDropout(net, task="classification").sites(IMAGES[:4])
    assert [site.rate for site in sites] == [0.2, 0.5]
    shapes = [site.mask_shape for site in sites]
    assert shapes == ([(1, 256), (1, 256)] if drops == "units" else [(256, 256), (10, 256)])


def test_weights_do_not_depend_on_what_is_dropped():
    units, weights = (TwoLayers((0.5, 0.5), drops=drops).build(1) for drops in ("units", "weights"))
    for a, b in zip(units.parameters(), weights.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_variance_is_that_of_each_unit_over_the_digits():
    net = TwoLayers((0.0, 0.0)).build(0)
    h = torch.relu(net.input(torch.as_tensor(IMAGES).flatten(1))).detach().numpy()
    found = measure_variance(net, IMAGES)
    assert found["relu1"] == pytest.approx(h.var(axis=0).mean(), rel=1e-5)
    assert found["relu1/on"] == found["relu1"] and found["relu2/on"] == found["relu2"]


def test_dropout_adds_its_own_variance():
    net = TwoLayers((0.5, 0.0)).build(0)
    h = torch.relu(net.input(torch.as_tensor(IMAGES).flatten(1))).detach().numpy().astype(float)
    expected = ((h**2).mean(axis=0) / 0.5 - h.mean(axis=0) ** 2).mean()
    found = measure_variance(net, IMAGES)
    assert found["relu1/on"] == pytest.approx(expected, rel=0.02)
    assert found["relu1"] == pytest.approx(h.var(axis=0).mean(), rel=1e-5)
    assert found["relu2/on"] > found["relu2"]  # its inputs are noisy


def test_measuring_leaves_the_net_and_the_generators_alone():
    net, before = TwoLayers((0.5, 0.5)).build(0), torch.get_rng_state()
    first = measure_variance(net, IMAGES)
    assert not net.training and torch.equal(before, torch.get_rng_state())
    assert measure_variance(net, IMAGES) == first
    assert set(first) == {"relu1", "relu2", "relu1/on", "relu2/on"}
    assert np.isfinite(list(measure_variance(TwoLayers((0.5, 0.5), drops="weights").build(0), IMAGES).values())).all()

"""Laws of the network builders: the tutorial's nets to the letter, reproducible, nothing global moved."""

import math

import pytest
import torch
from torch import nn

from mcdrop.errors import InputError
from mcdrop.networks import co2_mlp, lenet, mlp

BUILDERS = (mlp, lenet, co2_mlp)


def kinds(net):
    return [type(layer).__name__ for layer in net]


def names(net):
    return [name for name, _ in net.named_children()]


def size(net):
    return sum(weight.numel() for weight in net.parameters())


def test_mlp_is_the_tutorials():
    net = mlp()
    assert kinds(net) == ["Flatten", "Dropout", "Linear", "Tanh", "Dropout", "Linear", "Tanh", "Linear"]
    assert names(net)[1:] == ["dropout0", "input", "tanh", "dropout_hidden1", "hidden1", "tanh_hidden1", "final"]
    assert [layer.p for layer in net if isinstance(layer, nn.Dropout)] == [0.2, 0.5]
    assert size(net) == 784 * 800 + 800 + 800 * 800 + 800 + 800 * 10 + 10


def test_lenet_is_the_tutorials():
    net = lenet()
    block = ["Conv2d", "Dropout2d", "MaxPool2d"]
    assert kinds(net) == [*block, *block, "Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    blocks = ["conv1", "dropout1", "maxpool1", "conv2", "dropout2", "maxpool2"]
    assert names(net) == [*blocks, "flatten", "dense3", "relu3", "dropout3", "final"]
    assert [net.dropout1.p, net.dropout2.p, net.dropout3.p] == [0.5, 0.5, 0.5]
    assert (net.conv1.kernel_size, net.conv1.padding) == ((5, 5), (2, 2))
    assert size(net) == 20 * 26 + 50 * (20 * 25 + 1) + (50 * 49 + 1) * 500 + 501 * 10


@pytest.mark.parametrize(("activation", "kind"), [("relu", "ReLU"), ("tanh", "Tanh")])
def test_co2_mlp_is_the_tutorials(activation, kind):
    net = co2_mlp(activation=activation)
    assert kinds(net) == ["Linear", kind, "Dropout"] * 5 + ["Linear"]
    assert names(net)[:6] == ["input", f"{activation}0", "dropout1", "hidden1", f"{activation}1", "dropout2"]
    assert names(net)[-2:] == ["dropout5", "final"]
    assert {layer.p for layer in net if isinstance(layer, nn.Dropout)} == {0.2}
    assert size(net) == 2 * 1024 + 4 * 1025 * 1024 + 1025


@pytest.mark.parametrize("build", BUILDERS)
def test_a_seed_fixes_the_weights_and_moves_nothing_global(build):
    before = torch.get_rng_state()
    first, again, other = build(seed=3), build(seed=3), build(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    pairs = zip(first.parameters(), again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


@pytest.mark.parametrize("build", BUILDERS)
def test_nets_come_in_eval_mode(build):
    assert not any(module.training for module in build().modules())


def test_default_weights_are_torchs():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = nn.Linear(1, 16)
    assert torch.equal(co2_mlp(hidden=(16, 8), seed=7)[0].weight, expected.weight)


def test_every_size_and_rate_is_a_parameter():
    assert mlp(inputs=12, hidden=(5, 4, 3), outputs=2, activation="gelu")(torch.ones(7, 3, 4)).shape == (7, 2)
    small = lenet(
        image_size=9, image_channels=3, channels=(4,), kernel_size=3, hidden=(6, 5), outputs=2, conv_activation="elu"
    )
    assert small(torch.ones(7, 3, 9, 9)).shape == (7, 2)
    assert names(small)[:3] == ["conv1", "elu1", "dropout1"]
    assert co2_mlp(inputs=3, hidden=(5,), outputs=2)(torch.ones(7, 3)).shape == (7, 2)
    assert lenet(conv_p=0.1, p=0.3).dropout1.p == 0.1


def test_kinks_are_spread_evenly_over_the_range():
    layer = co2_mlp(hidden=(100, 4), kinks=(-2.0, 3.0), slope=5.0)[0]
    centers = (-layer.bias / layer.weight[:, 0]).sort().values
    cells = torch.linspace(-2.0, 3.0, 101)
    assert bool(((centers >= cells[:-1] - 1e-5) & (centers <= cells[1:] + 1e-5)).all())
    assert torch.allclose(layer.weight.abs(), torch.tensor(5.0))


@pytest.mark.parametrize("inputs", [1, 3])
def test_kinked_units_face_outward(inputs):
    net = co2_mlp(inputs=inputs, hidden=(100, 4), kinks=(-2.0, 3.0))
    middle, far = torch.full((1, inputs), 0.5), 100 * torch.eye(inputs)
    assert torch.all(net[:2](middle) == 0)
    on = (net[:2](far) > 0).float().mean() + (net[:2](-far) > 0).float().mean()
    assert on == pytest.approx(1.0, abs=0.15 if inputs > 1 else 0.0)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_a_rate_outside_the_unit_interval_is_refused(build, p):
    with pytest.raises(InputError, match=r"p must be a dropout rate in \[0, 1\]"):
        build(p=p)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (mlp, {"hidden": (5, 0)}, "every width in hidden must be a positive integer"),
        (mlp, {"hidden": ()}, "one or more widths"),
        (mlp, {"hidden": 5}, "one or more widths"),
        (mlp, {"inputs": 2.5}, "inputs must be a positive integer"),
        (mlp, {"input_p": 2}, "input_p must be a dropout rate"),
        (mlp, {"activation": "step"}, "activation must be one of relu"),
        (mlp, {"seed": -1}, "seed must be an integer"),
        (mlp, {"seed": 0.5}, "seed must be an integer"),
        (lenet, {"channels": (4,) * 5}, "image_size must be at least 32"),
        (lenet, {"kernel_size": 4}, "kernel_size must be odd"),
        (lenet, {"conv_p": -1}, "conv_p must be a dropout rate"),
        (lenet, {"conv_activation": "step"}, "activation must be one of relu"),
        (co2_mlp, {"outputs": -1}, "outputs must be a positive integer"),
        (co2_mlp, {"kinks": (1.0, 1.0)}, "low < high"),
        (co2_mlp, {"kinks": (0.0, math.inf)}, "low < high"),
        (co2_mlp, {"kinks": (0.0, 1.0), "slope": 0.0}, "slope must be a positive number"),
    ],
)
def test_bad_options_are_refused(build, options, message):
    with pytest.raises(InputError, match=message):
        build(**options)

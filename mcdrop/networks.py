"""The tutorial's three networks, each a plain `nn.Sequential` with named children.

The defaults are the tutorial's nets to the letter: the 800-800 TanH perceptron of Hinton et al. (2012), a
LeNet with channel dropout, and the deep ReLU / TanH perceptron for the CO2 series. Names of layers are the
tutorial's too, so their state dicts load once the prefix `model.` is cut off.

References:
    Hinton, G. E. et al. (2012). Improving neural networks by preventing co-adaptation of feature detectors.
    https://arxiv.org/abs/1207.0580 (section 2: 20% input and 50% hidden dropout).
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation. https://arxiv.org/abs/1506.02142
    (section 5.1: the CO2 nets).
"""

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import nn

from mcdrop.errors import InputError
from mcdrop.rng import seeded

__all__ = ["Activation", "co2_mlp", "lenet", "mlp"]

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "silu", "elu"]
"""Names of the nonlinearities that the builders know."""

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


def mlp(
    *,
    inputs: int = 28 * 28,
    hidden: Sequence[int] = (800, 800),
    outputs: int = 10,
    input_p: float = 0.2,
    p: float = 0.5,
    activation: Activation = "tanh",
    seed: int = 0,
) -> nn.Sequential:
    """Build the tutorial's digit perceptron (section 4.1).

    Dropout stands before the first layer (`input_p`) and between hidden layers (`p`). As in the tutorial, none
    stands before the last layer.

    Args:
        inputs: Numbers per example; inputs of shape (N, ...) are flattened to (N, inputs).
        hidden: Width of every hidden layer, at least one.
        outputs: Number of outputs (logits).
        input_p: Dropout rate of the inputs, in [0, 1].
        p: Dropout rate between hidden layers, in [0, 1].
        activation: Nonlinearity after every hidden layer.
        seed: Of the initial weights; the global generator is not moved.

    Returns:
        The net on the CPU, in eval mode: (N, ...) to (N, outputs).

    Raises:
        InputError: If a rate lies outside [0, 1], a size is not a positive integer, or a name is unknown.

    Example:
        >>> [name for name, _ in mlp().named_children()]
        ['flatten', 'dropout0', 'input', 'tanh', 'dropout_hidden1', 'hidden1', 'tanh_hidden1', 'final']
    """
    widths = _widths(hidden, "hidden")
    inputs, outputs = _size(inputs, "inputs"), _size(outputs, "outputs")
    act, input_rate, rate = _activation(activation), _rate(input_p, "input_p"), _rate(p, "p")
    net = nn.Sequential()
    with seeded(seed), torch.device("cpu"):
        net.add_module("flatten", nn.Flatten())
        net.add_module("dropout0", nn.Dropout(input_rate))
        net.add_module("input", nn.Linear(inputs, widths[0]))
        net.add_module(activation, act())
        for i, (fan_in, width) in enumerate(itertools.pairwise(widths), start=1):
            net.add_module(f"dropout_hidden{i}", nn.Dropout(rate))
            net.add_module(f"hidden{i}", nn.Linear(fan_in, width))
            net.add_module(f"{activation}_hidden{i}", act())
        net.add_module("final", nn.Linear(widths[-1], outputs))
    return net.eval()


def lenet(
    *,
    image_size: int = 28,
    image_channels: int = 1,
    channels: Sequence[int] = (20, 50),
    kernel_size: int = 5,
    hidden: Sequence[int] = (500,),
    outputs: int = 10,
    conv_p: float = 0.5,
    p: float = 0.5,
    activation: Activation = "relu",
    conv_activation: Activation | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Build the tutorial's LeNet (section 4.2).

    Blocks of convolution, channel dropout (`nn.Dropout2d`) and 2x2 max-pooling, then fully connected layers,
    each followed by dropout. As in the tutorial, nothing but pooling stands between the convolutions.

    Args:
        image_size: Height and width of an image, in pixels.
        image_channels: Channels of an image (1 for gray).
        channels: Output channels of every convolution, at least one; each block halves the image.
        kernel_size: Side of the convolution kernels in pixels, odd, so that padding keeps the image's size.
        hidden: Width of every fully connected hidden layer, at least one.
        outputs: Number of outputs (logits).
        conv_p: Rate of the channel dropout, in [0, 1].
        p: Rate of the dropout after every fully connected hidden layer, in [0, 1].
        activation: Nonlinearity after every fully connected hidden layer.
        conv_activation: Nonlinearity after every convolution, or None as in the tutorial.
        seed: Of the initial weights; the global generator is not moved.

    Returns:
        The net on the CPU, in eval mode: (N, image_channels, image_size, image_size) to (N, outputs).

    Raises:
        InputError: If a rate lies outside [0, 1], a size is not a positive integer, an image is too small for
            the number of blocks, a kernel is even, or a name is unknown.

    Example:
        >>> [name for name, _ in lenet().named_children()][:3]
        ['conv1', 'dropout1', 'maxpool1']
    """
    planes = _widths(channels, "channels")
    widths = _widths(hidden, "hidden")
    sizes = _size(image_channels, "image_channels"), _size(outputs, "outputs")
    side, kernel = _pooled_side(image_size, blocks=len(planes)), _odd(kernel_size)
    conv_rate, rate, act = _rate(conv_p, "conv_p"), _rate(p, "p"), _activation(activation)
    conv_act = None if conv_activation is None else _activation(conv_activation)
    net = nn.Sequential()
    with seeded(seed), torch.device("cpu"):
        for i, (fan_in, width) in enumerate(zip((sizes[0], *planes), planes, strict=False), start=1):
            net.add_module(f"conv{i}", nn.Conv2d(fan_in, width, kernel, padding=kernel // 2))
            if conv_act is not None:
                net.add_module(f"{conv_activation}{i}", conv_act())
            net.add_module(f"dropout{i}", nn.Dropout2d(conv_rate))
            net.add_module(f"maxpool{i}", nn.MaxPool2d(2, stride=2))
        net.add_module("flatten", nn.Flatten())
        features = (planes[-1] * side * side, *widths)
        for i, (fan_in, width) in enumerate(zip(features, widths, strict=False), start=len(planes) + 1):
            net.add_module(f"dense{i}", nn.Linear(fan_in, width))
            net.add_module(f"{activation}{i}", act())
            net.add_module(f"dropout{i}", nn.Dropout(rate))
        net.add_module("final", nn.Linear(widths[-1], sizes[1]))
    return net.eval()


def co2_mlp(
    *,
    inputs: int = 1,
    hidden: Sequence[int] = (1024, 1024, 1024, 1024, 1024),
    outputs: int = 1,
    p: float = 0.2,
    activation: Activation = "relu",
    kinks: tuple[float, float] | None = None,
    slope: float = 1.0,
    seed: int = 0,
) -> nn.Sequential:
    r"""Build the tutorial's CO2 perceptron (section 5.2): dropout after every hidden activation.

    With torch's default weights (`kinks=None`) unit j of the first layer, $\phi(w_j x + b_j)$, bends at
    $-b_j / w_j$, and half of these kinks fall within one unit of zero: over the outer data the net starts almost
    straight, and it takes hundreds of thousands of steps to follow a fast series such as 22 seasons. With
    `kinks=(low, high)` the first layer starts as $\phi(s |x - m| - s |c_j - m|)$ on its own side of the middle
    $m$ of the range, with $s$ the slope and one kink $c_j$ in each of equally many cells of [low, high]. Spread
    kinks spare gradient descent the work of carrying them there. Facing outward, a ReLU unit is silent until
    its kink and never far beyond it, so the dropout noise of the ramps, $\frac{p}{1-p} \sum_j w_j^2 (x - c_j)^2$
    for outgoing weights $w_j$, stays a fraction of what ramps across the whole range would give; a pass then
    can carry fine detail. Beyond the data all units are on, and the spread grows with the distance.

    Args:
        inputs: Numbers per example.
        hidden: Width of every hidden layer, at least one.
        outputs: Number of outputs.
        p: Rate of the dropout after every hidden activation, in [0, 1].
        activation: Nonlinearity after every hidden layer.
        kinks: Range of the inputs (low, high) over which the first layer's kinks are spread, or None for
            torch's default weights, as in the tutorial. With several inputs, the same range for each.
        slope: Length of each first-layer weight vector when `kinks` is given, in units of 1 / input. A TanH
            unit bends over about 2 / slope, which should be no longer than the finest detail of the data.
        seed: Of the initial weights; the global generator is not moved.

    Returns:
        The net on the CPU, in eval mode: (N, inputs) to (N, outputs).

    Raises:
        InputError: If a rate lies outside [0, 1], a size is not a positive integer, a name is unknown, or the
            range of kinks is empty.

    Example:
        >>> sum(w.numel() for w in co2_mlp(hidden=(4, 3)).parameters())
        27
    """
    widths = _widths(hidden, "hidden")
    inputs, outputs = _size(inputs, "inputs"), _size(outputs, "outputs")
    act, rate = _activation(activation), _rate(p, "p")
    net = nn.Sequential()
    with seeded(seed), torch.device("cpu"):
        for i, (fan_in, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
            net.add_module(f"hidden{i}" if i else "input", nn.Linear(fan_in, width))
            net.add_module(f"{activation}{i}", act())
            net.add_module(f"dropout{i + 1}", nn.Dropout(rate))
        net.add_module("final", nn.Linear(widths[-1], outputs))
        if kinks is not None:
            _spread_kinks(net[0], kinks, slope)
    return net.eval()


def _spread_kinks(layer: nn.Module, kinks: tuple[float, float], slope: float) -> None:
    """Give every unit a kink of its own in the range, stratified in every input, and turn it outward."""
    low, high = kinks
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"kinks must be finite (low, high) with low < high, got {kinks}; pass the range of x")
    if not (math.isfinite(slope) and slope > 0):
        raise InputError(f"slope must be a positive number, got {slope}; pass for example slope=1.0")
    assert isinstance(layer, nn.Linear)
    width, inputs = layer.weight.shape
    cells = torch.stack([torch.randperm(width) for _ in range(inputs)], dim=1)
    offsets = (high - low) * ((cells + torch.rand(width, inputs)) / width - 0.5)
    with torch.no_grad():
        layer.weight.copy_(slope * nn.functional.normalize(offsets, dim=1))
        layer.bias.copy_(-(layer.weight * (offsets + (low + high) / 2)).sum(dim=1))


def _activation(name: str) -> Callable[[], nn.Module]:
    if name not in _ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(get_args(Activation))}, got {name!r}; pass one of them")
    return _ACTIVATIONS[name]


def _rate(p: float, name: str) -> float:
    if not 0.0 <= p <= 1.0:
        raise InputError(f"{name} must be a dropout rate in [0, 1], got {p}; pass the share of units to drop")
    return float(p)


def _size(value: int, name: str) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        size = 0
    if size < 1:
        raise InputError(f"{name} must be a positive integer, got {value!r}; pass at least 1")
    return size


def _widths(values: Sequence[int], name: str) -> tuple[int, ...]:
    if isinstance(values, int) or len(values) == 0:
        raise InputError(f"{name} must be a sequence of one or more widths, got {values!r}; pass for example (64, 64)")
    return tuple(_size(value, f"every width in {name}") for value in values)


def _odd(kernel_size: int) -> int:
    kernel = _size(kernel_size, "kernel_size")
    if kernel % 2 == 0:
        raise InputError(f"kernel_size must be odd, so that padding keeps the image's size, got {kernel}; pass 3 or 5")
    return kernel


def _pooled_side(image_size: int, *, blocks: int) -> int:
    side = _size(image_size, "image_size") >> blocks
    if side < 1:
        raise InputError(
            f"image_size must be at least {2**blocks} for {blocks} blocks that each halve it, got {image_size}; "
            "pass larger images or fewer channels"
        )
    return side

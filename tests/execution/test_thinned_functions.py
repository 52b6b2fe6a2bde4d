"""Layers that are function calls on parameters are sliced like modules; what they cannot be is run whole."""

import pytest
import torch
import torch.nn.functional as F
from laws import randn, with_weights
from torch import nn

from execution.against_loop import Case, assert_equal


class Calls(nn.Module):
    """Two layers by hand with dropout between them."""

    def __init__(self, first, second, shapes, p=0.5):
        super().__init__()
        self.first, self.second, self.p = first, second, p
        self.w1, self.w2 = (nn.Parameter(torch.zeros(shape)) for shape in shapes)
        self.b1, self.b2 = (nn.Parameter(torch.zeros(shape[0])) for shape in shapes)

    def forward(self, x):
        x = F.relu(self.first(self, x))
        x = (F.dropout2d if self.w1.dim() == 4 else F.dropout)(x, self.p, self.training)
        return self.second(self, x)


LINEAR, CONV = ((64, 3), (5, 64)), ((32, 2, 3, 3), (8, 32, 3, 3))

SLICED = {
    "linear": (lambda m, x: F.linear(x, m.w1, m.b1), lambda m, x: F.linear(x, m.w2, m.b2), LINEAR, (40, 3)),
    "by name": (lambda m, x: F.linear(x, m.w1, bias=m.b1), lambda m, x: F.linear(x, weight=m.w2), LINEAR, (40, 3)),
    "no bias": (lambda m, x: F.linear(x, m.w1), lambda m, x: F.linear(x, m.w2, None), LINEAR, (40, 3)),
    "conv2d": (lambda m, x: F.conv2d(x, m.w1, m.b1), lambda m, x: F.conv2d(x, m.w2, m.b2), CONV, (6, 2, 9, 8)),
    "with settings": (
        lambda m, x: F.conv2d(x, m.w1, m.b1, 2, padding=1),
        lambda m, x: F.conv2d(x, m.w2, None, stride=(1, 2), padding=2, dilation=2, groups=1),
        CONV,
        (6, 2, 13, 12),
    ),
}


@pytest.mark.parametrize("name", SLICED)
def test_functions_of_parameters_are_sliced(name):
    first, second, shapes, size = SLICED[name]
    assert_equal(Case(with_weights(Calls(first, second, shapes)).eval(), randn(*size)), sliced=1)


WHOLE = {
    "weights made on the way": (
        lambda m, x: F.linear(x, m.w1 * 2, m.b1),
        lambda m, x: F.linear(x, F.normalize(m.w2), m.b2),
        LINEAR,
        (40, 3),
    ),
    "a bias made on the way": (
        lambda m, x: F.linear(x, m.w1, m.b1 + 1),
        lambda m, x: F.linear(x, m.w2, bias=2 * m.b2),
        LINEAR,
        (40, 3),
    ),
    "groups": (
        lambda m, x: F.conv2d(x, m.w1, m.b1),
        lambda m, x: F.conv2d(torch.cat([x, x], 1), m.w2, m.b2, groups=2),
        ((32, 2, 3, 3), (8, 32, 3, 3)),
        (6, 2, 9, 8),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_others_run_whole(name):
    first, second, shapes, size = WHOLE[name]
    case = Case(with_weights(Calls(first, second, shapes)).eval(), randn(*size))
    thinned = assert_equal(case)
    assert len(thinned.sliced) <= 1


def test_one_row_and_a_layer_for_one_image():
    """F.conv2d takes an image without rows, too: not where rows are expected."""
    first, second, shapes, size = SLICED["conv2d"]
    assert_equal(Case(with_weights(Calls(first, second, shapes)).eval(), randn(1, *size[1:])), sliced=1)


def test_scratch_memory_is_no_result():
    """Passes that were returned stay as they are while others run."""
    case = Case(with_weights(Calls(*SLICED["linear"][:3])).eval(), randn(40, 3))
    thinned = case.make().thinnest()
    first = case.thin(thinned, range(3))
    before = first.clone()
    case.thin(thinned, range(7, 12))
    assert torch.equal(first, before)

"""On a CUDA device: the same masks as on the CPU, by every strategy, and the same numbers to rounding."""

import numpy as np
import pytest
import torch
from laws import NETS, randn, with_weights
from torch import nn
from torch.utils._pytree import tree_map

from mcdrop import MCDropout
from mcdrop.networks import co2_mlp, lenet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

EXECUTIONS = ("loop", "vectorized", "thinned", "auto", "fastest")


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    """TF32 would round products to ten binary digits."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def assert_as_on_the_cpu(net, x, execution, **options):
    on_cpu = MCDropout(net.cpu()).sample(x, execution="loop", **options)
    on_cuda = MCDropout(net.cuda()).sample(x, execution=execution, **options)
    assert on_cuda.device.type == "cpu"
    torch.testing.assert_close(on_cuda, on_cpu, rtol=0, atol=1e-4 * float(on_cpu.abs().max()))


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(("net", "shape"), [(lenet(), (9, 1, 28, 28)), (co2_mlp(hidden=(256, 256), p=0.3), (40, 1))])
def test_the_tutorials_nets_draw_as_on_the_cpu(net, shape, execution):
    assert_as_on_the_cpu(with_weights(net).eval(), randn(*shape), execution, passes=20)


@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("name", NETS)
def test_every_net_of_the_laws_draws_as_on_the_cpu(name, masks):
    assert_as_on_the_cpu(NETS[name].build(), NETS[name].x(), "auto", passes=4, masks=masks)


def test_inputs_may_be_on_either_side():
    net, x = with_weights(nn.Sequential(nn.Linear(3, 32), nn.Dropout(0.5), nn.Linear(32, 1))).eval().cuda(), randn(5, 3)
    here, there = (MCDropout(net).predict(value, passes=10) for value in (x, tree_map(lambda leaf: leaf.cuda(), x)))
    np.testing.assert_array_equal(here.mean, there.mean)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_in_a_short_type_are_close(dtype):
    net, x = with_weights(co2_mlp(hidden=(256, 256), p=0.3)).eval().cuda(), randn(40, 1)
    exact, short = (MCDropout(net).sample(x, passes=8, dtype=kind) for kind in (None, dtype))
    assert float((short - exact).abs().max() / exact.abs().max()) < 0.03

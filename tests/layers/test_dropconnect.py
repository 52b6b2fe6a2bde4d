"""DropConnect drops weights: the result is that of the layer with a masked weight."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcdrop import InputError
from mcdrop.layers import DropConnect

LAYERS = {
    "linear": (lambda: nn.Linear(3, 4), (5, 3)),
    "linear without bias": (lambda: nn.Linear(3, 4, bias=False), (5, 3)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 2, padding=1, padding_mode="circular"), (5, 2, 6)),
    "conv2d, groups": (lambda: nn.Conv2d(4, 4, 3, stride=2, groups=2), (5, 4, 7, 7)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3), (5, 2, 4, 4)),
    "bilinear": (lambda: nn.Bilinear(3, 2, 4), None),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_the_layer_with_a_masked_weight(name):
    make, shape = LAYERS[name]
    layer = make()
    inputs = (torch.randn(5, 3), torch.randn(5, 2)) if shape is None else (torch.randn(shape),)
    weight = layer.weight.detach().clone()
    torch.manual_seed(3)
    out = DropConnect(layer, 0.4).train()(*inputs)
    torch.manual_seed(3)
    masked = F.dropout(weight, 0.4)
    assert torch.equal(layer.weight, weight)  # put back
    with torch.no_grad():
        layer.weight.copy_(masked)
    torch.testing.assert_close(out, layer(*inputs))


def test_the_bias_is_never_dropped():
    layer = DropConnect(nn.Linear(3, 4), 1.0)
    assert torch.equal(layer(torch.randn(5, 3)), layer.layer.bias.expand(5, 4))


def test_embeddings_lose_single_weights():
    layer = DropConnect(nn.Embedding.from_pretrained(torch.ones(10, 50)), 0.5)
    assert set(layer(torch.arange(10)).unique().tolist()) == {0.0, 2.0}


def test_the_layer_is_shared_and_its_keys_have_a_prefix():
    inner = nn.Linear(2, 2)
    layer = DropConnect(inner, 0.5)
    assert layer.layer is inner
    assert list(layer.state_dict()) == ["layer.weight", "layer.bias"]


def test_keyword_inputs():
    layer = DropConnect(nn.Linear(3, 4), 0.5)
    assert layer(input=torch.randn(5, 3)).shape == (5, 4)


@pytest.mark.parametrize(
    "norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm], ids=["weight", "spectral"]
)
def test_a_computed_weight_is_refused(norm):
    with pytest.raises(
        InputError, match=r"plain parameter, got a .*Linear that computes it; .*remove_parametrizations"
    ):
        DropConnect(norm(nn.Linear(3, 4)), 0.5)


def test_a_weight_that_is_computed_later_is_refused_too():
    layer = DropConnect(nn.Linear(3, 4), 0.5)
    nn.utils.parametrizations.weight_norm(layer.layer)
    with pytest.raises(InputError, match="that computes it"):
        layer(torch.randn(5, 3))


def test_the_old_weight_norm_is_refused():
    layer = nn.Linear(3, 4)
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(layer)
    with pytest.raises(InputError, match="that computes it"):
        DropConnect(layer, 0.5)


def test_layers_without_a_weight_are_refused():
    with pytest.raises(InputError, match=r"a parameter named weight, got LSTM; .*VariationalRNN"):
        DropConnect(nn.LSTM(2, 2), 0.5)
    with pytest.raises(InputError, match=r"must be a torch.nn.Module, got type"):
        DropConnect(nn.Linear, 0.5)

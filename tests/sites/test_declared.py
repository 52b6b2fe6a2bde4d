"""Declared rates, and which of them no site serves."""

import pytest
import torch
from laws import Call
from torch import nn

from mcdrop.layers import add_dropout
from mcdrop.sites import Site, declared_rate, declares, silent_rows, speaks_of_dropout


def holding(name="Holder", **attributes):
    module = type(name, (nn.Module,), {})()
    for key, value in attributes.items():
        setattr(module, key, value)
    return module


@pytest.mark.parametrize(
    ("module", "rate"),
    [
        (nn.Dropout(0.3), 0.3),
        (nn.FeatureAlphaDropout(0.2), 0.2),
        (nn.MultiheadAttention(4, 2, dropout=0.1), 0.1),
        (nn.LSTM(3, 4, num_layers=2, dropout=0.4), 0.4),
        (nn.GRU(3, 4), 0.0),
        (nn.Linear(3, 4), 0.0),
        (nn.Sequential(nn.Dropout(0.3)), 0.0),
        (holding(attention_dropout=0.1, hidden_dropout=0.2), 0.2),
        (holding("DropPath", p=0.3), 0.3),
        (holding("StochasticDepth", p=0.3, mode="row"), 0.3),
        (holding(p=0.3), 0.0),
        (holding(drop_last=True), 0.0),
        (holding(dropout=7), 0.0),
        (holding(dropout=torch.tensor(0.25)), 0.25),
    ],
    ids=lambda value: type(value).__name__,
)
def test_declared_rate(module, rate):
    assert declared_rate(module) == rate


def test_a_module_speaks_of_dropout_by_its_name_or_by_a_rate():
    assert declares(holding("GaussianDropout", sigma=0.3))
    assert declares(holding(dropout=0.1))
    assert not declares(holding("Noise", sigma=0.3))
    assert not declares(holding(dropout=0.0))


def live(module, rate, kind="dropout"):
    return Site(index=0, module=module, kind=kind, rate=rate, mask_shape=(1,))


def silent(net, *sites):
    return [row.module for row in silent_rows(dict(net.named_modules()), list(sites))]


def test_a_dropout_module_is_served_by_its_own_site_or_by_its_holder_at_its_rate():
    net = Call(lambda self, x: x, block=Call(lambda self, x: x, drop=nn.Dropout(0.3)))
    assert silent(net) == ["block.drop"]
    assert silent(net, live("block.drop", 0.3)) == []
    assert silent(net, live("block", 0.3)) == []
    assert silent(net, live("block", 0.2)) == ["block.drop"]
    assert silent(net, live("", 0.3)) == ["block.drop"]


def test_a_rate_of_a_users_module_is_served_by_a_site_within_it():
    net = nn.Sequential(holding(dropout=0.1), holding(dropout=0.2))
    net[1].inner = nn.Dropout(0.2)
    assert silent(net) == ["0", "1", "1.inner"]
    assert silent(net, live("1.inner", 0.2)) == ["0"]
    assert silent(net, live("0", None, "rand"), live("1.inner", 0.2)) == []


def test_paths_are_not_prefixes_of_names():
    net = Call(lambda self, x: x, layer1=holding(dropout=0.1), layer10=nn.Dropout(0.1))
    assert silent(net, live("layer10", 0.1)) == ["layer1"]


@pytest.mark.parametrize(
    "name",
    [
        *("dropout", "attention_dropout", "VariationalDropout", "attn_drop", "drop", "drop_prob", "drop_connect"),
        *(
            "drop_path",
            "DropPath",
            "ConvNextDropPath",
            "StochasticDepth",
            "layerdrop",
            "encoder_layerdrop",
            "LayerDrop",
        ),
        "DropBlock2d",
    ],
)
def test_names_that_speak_of_dropout(name):
    assert speaks_of_dropout(name)


@pytest.mark.parametrize(
    "name", ["drop_last", "RaindropClassifier", "drop_first", "backdrop", "p", "rate", "layer_block"]
)
def test_names_that_do_not(name):
    assert not speaks_of_dropout(name)


def test_whole_numbers_are_no_rates():
    assert declared_rate(holding(num_dropout_layers=1)) == 0


def test_inserted_dropout_is_declared_by_its_hook():
    net = add_dropout(Call(lambda self, x: x, layer=nn.Linear(3, 3)), 0.2, where="layer")
    (row,) = silent_rows(dict(net.named_modules()), [])
    assert (row.module, row.kind, row.rate) == ("layer", "InputDropout", 0.2)
    assert silent(net, live("layer", 0.2)) == []

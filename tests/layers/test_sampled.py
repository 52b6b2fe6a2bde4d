"""The layers through MCDropout: each is a live site, samples its exact moments, and draws alike however it is run."""

import copy

import pytest
import torch
from laws import randn, with_weights
from torch import nn

from mcdrop import MCDropout
from mcdrop.layers import (
    ConcreteDropout,
    DropConnect,
    GaussianDropout,
    InvertedDropout,
    VariationalDropout,
    VariationalRNN,
    add_dropout,
)

from .closed_forms import CASES, LastState, check_moments

every_case = pytest.mark.parametrize("name", CASES)
every_masks = pytest.mark.parametrize("masks", ["shared", "independent"])

NETS = {
    "InvertedDropout": (lambda: nn.Sequential(nn.Linear(3, 8), InvertedDropout(0.4), nn.Linear(8, 2)), (3,)),
    "GaussianDropout": (lambda: nn.Sequential(nn.Linear(3, 8), GaussianDropout(0.4), nn.Linear(8, 2)), (3,)),
    "ConcreteDropout": (lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), ConcreteDropout(nn.Linear(8, 2))), (3,)),
    "ConcreteDropout of channels": (
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3), ConcreteDropout(nn.Conv2d(8, 2, 3), channels=True), nn.Flatten()),
        (1, 6, 6),
    ),
    "DropConnect": (lambda: nn.Sequential(DropConnect(nn.Linear(3, 8), 0.4), nn.Tanh(), nn.Linear(8, 2)), (3,)),
    "DropConnect of a convolution": (lambda: nn.Sequential(DropConnect(nn.Conv1d(2, 3, 2), 0.4), nn.Flatten()), (2, 5)),
    "VariationalDropout": (lambda: nn.Sequential(nn.Linear(3, 8), VariationalDropout(0.4), nn.Flatten()), (4, 3)),
    "VariationalRNN, LSTM": (
        lambda: LastState(VariationalRNN(nn.LSTM(3, 4, 2, dropout=0.2, bidirectional=True, batch_first=True))),
        (5, 3),
    ),
    "VariationalRNN, GRU": (lambda: LastState(VariationalRNN(nn.GRU(3, 4, batch_first=True))), (5, 3)),
    "add_dropout": (lambda: add_dropout(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), 0.4), (3,)),
    "add_dropout, channels": (
        lambda: add_dropout(
            nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3), nn.Flatten()), 0.4, kind="channels"
        ),
        (1, 6, 6),
    ),
}
every_net = pytest.mark.parametrize("name", NETS)


def built(name):
    make, shape = NETS[name]
    return make().eval(), randn(7, *shape, seed=1)


@every_case
@every_masks
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_mean_and_variance_of_2000_passes(name, masks, p):
    case = CASES[name](p)
    draws = MCDropout(case.net.eval()).sample(case.x, passes=2000, seed=1, masks=masks)
    check_moments(draws, case.mean, case.variance)


@every_case
def test_each_is_a_live_site(name):
    case = CASES[name](0.3)
    sites = MCDropout(case.net.eval()).sites(case.x)
    assert [site.module for site in sites.live] == [case.site]
    if sites[0].rate is not None:  # a layer that draws its numbers itself has none that torch would know
        assert sites[0].rate == pytest.approx(0.3)
    assert sites.silent == ()


@every_case
def test_rows_share_masks_or_have_their_own(name):
    """Two rows alike are the same in every pass under shared masks; dropped weights are shared either way."""
    case = CASES[name](0.5)
    x = case.x[:1].expand(2, *case.x.shape[1:]).contiguous()
    model = MCDropout(case.net.eval())
    shared = model.sample(x, passes=50, masks="shared")
    torch.testing.assert_close(shared[:, 0], shared[:, 1])
    independent = model.sample(x, passes=50, masks="independent")
    assert torch.allclose(independent[:, 0], independent[:, 1]) is not case.rows_differ


@every_net
@every_masks
def test_vectorized_equals_the_loop(name, masks):
    net, x = built(name)
    model = MCDropout(net)
    loop = model.sample(x, passes=6, seed=3, masks=masks, execution="loop")
    assert loop.std(dim=0).max() > 0
    vectorized = model.sample(x, passes=6, seed=3, masks=masks, execution="vectorized", chunk_size=4)
    torch.testing.assert_close(vectorized, loop, rtol=1e-4, atol=1e-5)


@every_net
@every_masks
def test_the_batch_size_does_not_change_the_draws(name, masks):
    net, x = built(name)
    model = MCDropout(net)
    whole = model.sample(x, passes=5, seed=3, masks=masks)
    torch.testing.assert_close(
        model.sample(x, passes=5, seed=3, masks=masks, batch_size=2), whole, rtol=1e-4, atol=1e-5
    )


@every_net
def test_nothing_of_the_user_s_changes(name):
    net, x = built(name)
    before, flags = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    hooks = [len(module._forward_pre_hooks) for module in net.modules()]
    state = torch.get_rng_state()
    MCDropout(net).sample(x, passes=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in net.modules()] == flags
    assert [len(module._forward_pre_hooks) for module in net.modules()] == hooks
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("p", [0.25, 0.5, 1.0])
@every_masks
def test_from_scratch_dropout_draws_what_torch_s_module_draws(p, masks):
    def net(layer):
        return with_weights(nn.Sequential(nn.Linear(3, 50), layer, nn.ReLU(), layer, nn.Linear(50, 2)))

    x = randn(5, 3, seed=2)
    ours = MCDropout(net(InvertedDropout(p))).sample(x, passes=20, seed=9, masks=masks)
    theirs = MCDropout(net(nn.Dropout(p))).sample(x, passes=20, seed=9, masks=masks)
    torch.testing.assert_close(ours, theirs)


def test_inserted_dropout_draws_what_a_module_in_its_place_draws():
    first, last, x = nn.Linear(3, 50), nn.Linear(50, 2), randn(5, 3, seed=2)
    ours = MCDropout(add_dropout(nn.Sequential(first, last), 0.3)).sample(x, passes=20, seed=9)
    theirs = MCDropout(nn.Sequential(first, nn.Dropout(0.3), last)).sample(x, passes=20, seed=9)
    torch.testing.assert_close(ours, theirs)


def test_a_learned_rate_is_the_one_that_is_sampled():
    """What the parameter says when the passes run counts, not what the layer was made with."""
    case, other = CASES["ConcreteDropout"](0.1), CASES["ConcreteDropout"](0.6)
    model = MCDropout(case.net.eval())
    with torch.no_grad():
        case.net[0].p_logit.copy_(other.net[0].p_logit)
    check_moments(model.sample(case.x, passes=2000, seed=1), other.mean, other.variance)


def test_rates_of_0_are_no_sites():
    net = nn.Sequential(
        InvertedDropout(0), GaussianDropout(0), DropConnect(nn.Linear(3, 3), 0), InvertedDropout(0.5)
    ).eval()
    assert [site.module for site in MCDropout(net).sites(torch.ones(2, 3))] == ["3"]


def test_a_saved_net_keeps_its_inserted_dropout(tmp_path):
    net = add_dropout(nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 2)), 0.4)
    torch.save(net, tmp_path / "net.pt")
    loaded, x = torch.load(tmp_path / "net.pt", weights_only=False), randn(4, 3)
    assert torch.equal(MCDropout(loaded).sample(x, passes=5), MCDropout(net).sample(x, passes=5))

"""What draws past the counter is found, named, seeded for every pass and batch, and leaves no trace."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import Call, randn, with_weights
from torch import nn

from mcdrop import ExecutionError, MCDropout, NetError, NoDropoutError, SilentDropoutWarning, UncountedDrawsWarning

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning", "ignore::mcdrop.errors.UncountedDrawsWarning"
)
X = randn(6, 8)


def plain():
    return with_weights(
        nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2)).eval()
    ).eval()


def scripted():
    return torch.jit.script(plain())


def scripted_function():
    def drop(x: torch.Tensor, training: bool) -> torch.Tensor:
        return F.dropout(x, 0.3, training)

    return Call(lambda self, x: self.drop(x, self.training), drop=torch.jit.script(drop), dropout=0.3).eval()


NETS = {
    "torch": lambda: Call(lambda self, x: x * torch.multinomial(torch.ones(8), 8)),
    "python": lambda: Call(lambda self, x: x * random.random()),
    "numpy": lambda: Call(lambda self, x: x * np.random.rand()),  # noqa: NPY002
    "scripted": scripted,
    "scripted function": scripted_function,
    "scripted within": lambda: nn.Sequential(nn.Dropout(0.1), scripted()).eval(),
}
PLACES = {
    "torch": ("", "multinomial", None),
    "python": ("", "random", None),
    "numpy": ("", "numpy.random", None),
    "scripted": ("", "dropout", 0.3),
    "scripted function": ("", "TorchScript", 0.3),
    "scripted within": ("1", "dropout", 0.3),
}
every_net = pytest.mark.parametrize("name", NETS)


def states():
    return torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


def assert_unmoved(before):
    after = states()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@every_net
def test_it_is_named_in_the_audit(name):
    model = MCDropout(NETS[name]())
    before = states()
    table = model.sites(X)
    (row,) = [site for site in table if not site.counted]
    assert (row.module, row.kind, row.rate) == PLACES[name]
    assert row.live
    assert "same batch size only" in table.notes[-1]
    assert_unmoved(before)


@every_net
def test_the_same_call_gives_the_same_draws_and_moves_no_generator(name):
    model, before = MCDropout(NETS[name]()), states()
    first = model.sample(X, passes=4, batch_size=4)
    assert_unmoved(before)
    torch.rand(3), random.random()
    assert torch.equal(first, model.sample(X, passes=4, batch_size=4))
    assert not torch.equal(first, model.sample(X, passes=4, batch_size=4, seed=1))
    assert (first.std(dim=0) > 0).any()
    assert not torch.equal(first[0], first[1])


@every_net
def test_prediction_warns_once_where_it_was_called(name):
    with pytest.warns(UncountedDrawsWarning, match="one at a time") as caught:
        MCDropout(NETS[name]()).predict(X, passes=2)
    ours = [warning for warning in caught if warning.category is UncountedDrawsWarning]
    assert [warning.filename for warning in ours] == [__file__]


def test_vectorized_execution_is_refused_by_name():
    with pytest.raises(ExecutionError, match="cannot be counted"):
        MCDropout(NETS["torch"]()).sample(X, passes=2, execution="vectorized")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_moves_no_generator_either(error):
    calls, fatal = [], [0]

    def forward(self, x):
        calls.append(1)
        noisy = x * torch.multinomial(torch.ones(8), 8)
        if len(calls) == fatal[0]:
            raise error("enough")
        return noisy

    net = Call(forward)
    MCDropout(net).sample(X, passes=2)
    failed = 0
    for at in range(1, len(calls) + 1):  # in the survey, where some failures are got over, and in both passes
        calls.clear()
        fatal[0], before = at, states()
        try:
            MCDropout(net).sample(X, passes=2)
        except (NetError, KeyboardInterrupt):
            failed += 1
        assert_unmoved(before)
    assert failed >= 2


def test_generators_that_another_thread_moves_are_not_this_nets():
    """A net without uncounted draws stays counted, and the other thread's stream goes on where it was."""
    net, stop = plain(), []

    def draw():
        total = 0
        while not stop:
            torch.rand(1)
            total += 1
            time.sleep(2e-4)
        return total

    state = torch.get_rng_state()
    torch.manual_seed(5)
    with ThreadPoolExecutor(1) as pool:
        drawn = pool.submit(draw)
        tables = [MCDropout(net).sites(X) for _ in range(20)]
        stop.append(1)
        total = drawn.result()
    after = torch.rand(1)
    torch.manual_seed(5)
    for _ in range(total):
        torch.rand(1)
    assert torch.equal(after, torch.rand(1))
    assert all(site.counted for table in tables for site in table)
    torch.set_rng_state(state)


# TorchScript


def test_scripted_dropout_has_the_moments_of_plain_dropout_with_norms_frozen():
    passes, net = 2000, plain()
    script = torch.jit.script(net)
    ours = MCDropout(script).sample(X, passes=passes).double()
    reference = MCDropout(net).sample(X, passes=passes, seed=1).double()
    error = ((ours.var(0) + reference.var(0)) / passes).sqrt()
    assert ((ours.mean(0) - reference.mean(0)).abs() < 5.2 * error).all()
    torch.testing.assert_close(ours.std(0), reference.std(0), rtol=0.15, atol=0)
    assert script.training is False
    assert all(torch.equal(a, b) for a, b in zip(script.buffers(), net.buffers(), strict=True))


def test_weights_of_a_scripted_net_changed_after_wrapping_are_seen():
    net = scripted()
    model = MCDropout(net)
    before = model.sample(X, passes=2)
    with torch.no_grad():
        next(p for name, p in net.named_parameters() if name == "3.bias").add_(1)
    torch.testing.assert_close(model.sample(X, passes=2), before + 1)


def test_a_net_traced_in_eval_mode_is_refused_with_its_rates():
    traced = torch.jit.trace(plain(), X)
    with pytest.raises(NoDropoutError, match=r"dropout, p=0.3: traced in eval mode.*pass the module that was traced"):
        MCDropout(traced).predict(X)
    net = nn.Sequential(traced, nn.Dropout(0.1))
    with pytest.warns(SilentDropoutWarning, match="traced in eval mode"):
        MCDropout(net).predict(X, passes=2)


def test_a_net_traced_in_training_mode_samples():
    traced = torch.jit.trace(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3)).train(), X, check_trace=False)
    samples = MCDropout(traced).sample(X, passes=200)
    assert 0.2 < (samples == 0).float().mean() < 0.4


@pytest.mark.parametrize(
    "make",
    [lambda: np.random.default_rng(0), lambda: random.Random(0), lambda: torch.Generator().manual_seed(0)],
    ids=["numpy", "python", "torch"],
)
def test_generators_of_the_nets_own_are_noticed_by_what_they_do(make):
    def forward(self, x):
        own = self.own
        if isinstance(own, torch.Generator):
            return x + torch.poisson(torch.ones_like(x), generator=own)
        return x + (own.random() if isinstance(own, random.Random) else torch.from_numpy(own.random(tuple(x.shape))))

    net = nn.Sequential(Call(forward), nn.Dropout(0.1))
    net[0].own = make()
    model = MCDropout(net)
    (row,) = [site for site in model.sites(X.double()) if not site.counted]
    assert row.kind == "a generator or state of its own"
    with pytest.warns(UncountedDrawsWarning, match="of its own"):
        samples = model.sample(X.double(), passes=300)
    assert samples.std(0).min() > 0.2
    assert torch.equal(samples, model.sample(X.double(), passes=300))


def test_draws_that_reach_no_output_move_no_generator_even_with_other_threads():
    net = nn.Sequential(Call(lambda self, x: x + 0 * torch.poisson(torch.ones(3)).sum()), nn.Dropout(0.1))
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(stop.wait)
        before = states()
        MCDropout(net).predict(X, passes=3)
        stop.set()
    assert_unmoved(before)

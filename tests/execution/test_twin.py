"""Nothing of the user's is touched: modules, flags, buffers, hooks, parameters, inputs, generators, other threads."""

import copy
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import NETS, Call, Residual, copied, mlp, randn, with_weights
from torch import nn

from mcdrop import InputError, MCDropout, NetError
from mcdrop.execution import structural_twin

every_execution = pytest.mark.parametrize("execution", ["loop", "auto"])


def generators():
    return torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002


def assert_same_generators(before):
    after = generators()
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]


def photograph(net):
    """Return everything about a net that a run could change."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_always_called")
    return {
        "state": {name: value.clone() for name, value in net.state_dict().items()},
        "identity": [id(value) for value in (*net.parameters(), *net.buffers())],
        "versions": [value._version for value in (*net.parameters(), *net.buffers())],
        "gradients": [(value.requires_grad, value.grad) for value in net.parameters()],
        "flags": [(name, module.training) for name, module in net.named_modules()],
        "hooks": [[dict(getattr(module, kind)) for kind in hooks] for module in net.modules()],
        "members": [sorted(vars(module)) for module in net.modules()],
    }


def assert_same_net(net, before):
    after = photograph(net)
    for name, value in before.pop("state").items():
        assert torch.equal(value, after["state"][name])
    after.pop("state")
    assert before == after


@pytest.mark.parametrize("name", NETS)
@every_execution
@pytest.mark.parametrize("train", [False, True])
def test_net_inputs_and_generators_are_as_before(name, execution, train):
    case = NETS[name]
    net, x = case.build().train(train), case.x()
    before, given, state, grad = photograph(net), copied(x), generators(), torch.is_grad_enabled()
    MCDropout(net).sample(x, passes=3, execution=execution)
    assert_same_net(net, before)
    assert_same_generators(state)
    assert torch.is_grad_enabled() == grad
    values = zip(*(v.values() if isinstance(v, dict) else v if isinstance(v, tuple) else [v] for v in (x, given)))  # noqa: B905
    assert all(torch.equal(a, b) for a, b in values)


class Stop(BaseException):
    """Stands for whatever is not an Exception."""


@pytest.mark.parametrize("error", [RuntimeError, KeyError, KeyboardInterrupt, Stop, MemoryError])
@every_execution
@pytest.mark.parametrize("at", [1, 3, 4])
def test_an_exception_in_forward_leaves_no_trace(error, execution, at):
    """In the survey (calls 1 and 2) and in the passes: the error comes out, everything else stays."""
    calls = []

    def forward(self, x):
        calls.append(1)
        if len(calls) >= at:
            raise error("enough")
        return self.net(x)

    net = Call(forward, net=with_weights(mlp())).train()
    before, state = photograph(net), generators()
    with pytest.raises(NetError if issubclass(error, Exception) else error, match="enough"):
        MCDropout(net).predict(randn(4, 3), passes=6, execution=execution, chunk_size=2)
    assert_same_net(net, before)
    assert_same_generators(state)
    assert torch.is_grad_enabled()
    assert torch.overrides._get_current_function_mode() is None
    assert torch._C._functorch.peek_interpreter_stack() is None


def test_batch_normalization_in_training_mode_uses_and_keeps_its_running_statistics():
    net = with_weights(Residual())
    x = randn(4, 1, 5, 5)
    train = MCDropout(net.train()).sample(x, passes=3)
    assert net.bn1.num_batches_tracked == 0
    torch.testing.assert_close(train, MCDropout(net.eval()).sample(x, passes=3))


def test_user_hooks_see_the_passes_and_stay_with_the_net():
    seen = []
    net = with_weights(mlp())
    net[3].register_forward_hook(lambda module, args, out: seen.append(module) or 2 * out)
    model, x = MCDropout(net), randn(4, 3)
    hooked = model.sample(x, passes=2, execution="loop")
    assert len(seen) > 2
    assert all(module is not net[3] for module in seen)
    with torch.no_grad():
        net[3]._forward_hooks.clear()
        for parameter in net[3].parameters():
            parameter.mul_(2)
    torch.testing.assert_close(model.sample(x, passes=2, execution="loop"), hooked)


def test_hook_that_raises_leaves_no_warning_behind():
    net = mlp()

    def refuse(module, args):
        raise RuntimeError("not today")

    net.register_forward_pre_hook(refuse)
    with pytest.raises(NetError, match="not today"):
        MCDropout(net).predict(randn(4, 3))


def test_weights_changed_after_wrapping_are_seen():
    net = with_weights(mlp())
    model, x = MCDropout(net), randn(4, 3)
    before = model.sample(x, passes=2)
    with torch.no_grad():
        net[6].bias += 1
    torch.testing.assert_close(model.sample(x, passes=2), before + 1)
    net[6] = nn.Linear(16, 5)
    assert model.sample(x, passes=2).shape == (2, 4, 5)


def test_twin_shares_parameters_and_copies_the_rest():
    net = with_weights(Residual()).train()
    net.constant, net.notes = torch.ones(2), ["a"]
    net.product = net.head.weight * 2  # carries a graph, which deepcopy refuses
    twin = structural_twin(net)
    assert not any(module.training for module in twin.modules())
    assert all(a is b for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert all(a is not b and torch.equal(a, b) for a, b in zip(net.buffers(), twin.buffers(), strict=True))
    for a, b in ((net.constant, twin.constant), (net.product, twin.product), (net.notes, twin.notes)):
        assert a is not b
    assert torch.equal(net.product, twin.product)
    assert twin.conv1 is not net.conv1


def test_forward_that_counts_in_tensors_changes_its_twin_alone():
    def forward(self, x):
        self.plain += 1
        self.buffer.add_(1)
        self.number += 1
        return F.dropout(self.layer(x), 0.5)

    net = Call(forward, layer=nn.Linear(3, 2), plain=torch.zeros(1), number=0)
    net.register_buffer("buffer", torch.zeros(1))
    MCDropout(net).predict(randn(4, 3), passes=3)
    assert (net.plain, net.buffer, net.number) == (0, 0, 0)


def test_tied_weights_stay_tied():
    net = with_weights(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4)))
    net[2].weight = net[0].weight
    twin = structural_twin(net)
    assert twin[2].weight is twin[0].weight


def test_compiled_net_is_the_net_behind_it():
    net, x = with_weights(mlp()), randn(4, 3)
    compiled = torch.nn.Module()
    compiled._orig_mod = net  # what torch.compile returns, without loading its machinery
    torch.testing.assert_close(MCDropout(compiled).sample(x, passes=3), MCDropout(net).sample(x, passes=3))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_net_is_refused_with_advice():
    scripted = torch.jit.trace(mlp().eval(), randn(4, 3))
    for net in (scripted, nn.Sequential(scripted, nn.Dropout(0.5))):
        with pytest.raises(NetError, match="pass the module that was scripted or traced"):
            MCDropout(net).predict(randn(4, 3))


def test_net_that_cannot_be_copied_is_refused_with_advice():
    net = mlp()
    net.generator = (i for i in range(3))
    with pytest.raises(NetError, match=r"must be copyable, but copy.deepcopy of Sequential failed .*generator"):
        MCDropout(net).predict(randn(4, 3))


def test_something_else_than_a_net_is_refused():
    for net in (None, "net", torch.nn.functional.relu, nn.Linear):
        with pytest.raises(InputError, match=r"net must be a torch\.nn\.Module, got"):
            MCDropout(net)
        with pytest.raises(InputError, match=r"net must be a torch\.nn\.Module, got"):
            structural_twin(net)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("name", ["mlp", "rows folded into time", "writes to its input", "path depends on the draw"])
def test_callers_gradient_mode_does_not_matter(mode, name):
    case = NETS[name]
    expected = MCDropout(case.build()).sample(case.x(), passes=3)
    with mode():
        samples = MCDropout(case.build()).sample(case.x(), passes=3)
    assert not samples.requires_grad
    torch.testing.assert_close(samples, expected)


def test_inputs_that_require_a_gradient_keep_none():
    x = randn(4, 3).requires_grad_()
    pred = MCDropout(with_weights(mlp())).predict(x, passes=3)
    assert x.grad is None
    assert pred.mean.shape == (4, 2)


def test_two_threads_give_what_one_gives_alone():
    nets = [with_weights(mlp(), seed=seed) for seed in range(2)]
    jobs = [(nets[i % 2], i, ("loop", "vectorized")[i // 2 % 2]) for i in range(12)]

    def run(job):
        net, seed, execution = job
        return MCDropout(net).sample(randn(5, 3), passes=20, seed=seed, execution=execution)

    alone = [run(job) for job in jobs]
    state = generators()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(run, jobs))
    assert_same_generators(state)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_one_net_in_two_threads_while_a_third_copies_it():
    net = with_weights(mlp())
    expected = MCDropout(net).sample(randn(5, 3), passes=10)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(lambda: MCDropout(net).sample(randn(5, 3), passes=10)) for _ in range(8)]
        copies = [pool.submit(copy.deepcopy, net) for _ in range(8)]
    assert all(torch.equal(future.result(), expected) for future in futures)
    assert all(future.result() is not None for future in copies)

"""The twin: what it shares with the net, what it copies, what it is taken out of, and what it refuses."""

import copy
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from laws import NETS, Call, Residual, mlp, randn, with_weights
from torch import nn

from mcdrop import InputError, MCDropout, NetError, NoDropoutError
from mcdrop.execution import structural_twin


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


def test_modules_in_any_container_count_also_where_one_holds_itself():
    layers = deque([nn.Linear(3, 8), nn.Dropout(0.5)])
    net = Call(lambda self, x: self.kept["layers"][0][1](self.kept["layers"][0][0](x)))
    net.kept = {"layers": [layers]}
    net.kept["layers"].append(net.kept)
    pred = MCDropout(net.eval()).predict(randn(4, 3), passes=50)
    assert [(site["module"], site["rate"]) for site in pred.provenance["sites"]] == [("kept['layers'][0][1]", 0.5)]
    assert pred.std.min() > 0


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
def test_program_traced_in_eval_mode_is_refused_with_advice():
    traced = torch.jit.trace(mlp().eval(), randn(4, 3))
    with pytest.raises(NoDropoutError, match="pass the module that was traced"):
        MCDropout(traced).predict(randn(4, 3))


def test_program_exported_without_its_hidden_rate_is_refused():
    net = Call(lambda self, x: F.dropout(self.layer(x), self.p if self.training else 0.0), layer=nn.Linear(3, 2), p=0.5)
    exported = torch.export.export(net.eval(), (randn(4, 3),))
    with pytest.raises(NoDropoutError):
        MCDropout(exported).predict(randn(4, 3))


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, partial(torch.compile, backend="eager")], ids=["parallel", "compile"]
)
def test_wrapped_nets_draw_what_the_net_draws_and_the_audit_says_so(wrap):
    net, x = with_weights(mlp()).eval(), randn(4, 3)
    expected = MCDropout(net).sample(x, passes=3)
    for wrapped in (wrap(net), nn.DataParallel(wrap(net)), nn.Sequential(wrap(net[:4]), net[4:])):
        torch.testing.assert_close(MCDropout(wrapped).sample(x, passes=3), expected)
        assert "taken off" in str(MCDropout(wrapped).sites(x))


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


def test_one_net_in_two_threads_while_a_third_copies_it():
    net = with_weights(mlp())
    expected = MCDropout(net).sample(randn(5, 3), passes=10)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(lambda: MCDropout(net).sample(randn(5, 3), passes=10)) for _ in range(8)]
        copies = [pool.submit(copy.deepcopy, net) for _ in range(8)]
    assert all(torch.equal(future.result(), expected) for future in futures)
    assert all(future.result() is not None for future in copies)

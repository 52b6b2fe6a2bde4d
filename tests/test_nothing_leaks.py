"""Nothing of the user's is touched: modules, flags, buffers, hooks, parameters, inputs, generators, other threads.

Every net is photographed, used, and photographed again: after a run, after an error or Ctrl-C at any call of its
forward, and while other threads use it. What nobody asked to change has to be the same object with the same values.
"""

import gc
import random
import signal
import sys
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import NETS, Call, copied, mlp, randn, with_weights
from torch import nn
from zoo import CASES

from mcdrop import MCDropout, NetError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage:UserWarning"),
]
every_execution = pytest.mark.parametrize("execution", ["loop", "auto"])

UNUSUAL = (
    "hidden: early return",
    "hidden: rate in the code",
    "sdpa: causal, hidden",
    "encoder, padded",
    "lstm",
    "gru, packed",
    "depth: bernoulli_ on new_empty",
    "depth: bernoulli_ on empty, batch",
    "gaussian: randn_like",
    "rand in eval mode too",
    "batch norm, hidden",
    "norms around a hidden rate",
    "spectral norm",
    "spectral norm, old",
    "weight norm, old",
    "parametrized by dropout",
    "compiled",
    "compiled in place",
    "data parallel",
    "exported, as a module",
    "traced in train mode",
    "scripted",
    "scripted inside",
)
"""Cases of the zoo that are woken, counted draw by draw, unwrapped, or run on a generator that has to be put back."""


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9, num_labels=2
    )
    with torch.random.fork_rng(devices=[]):
        return transformers.BertForSequenceClassification(config), {"input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]])}


def net_and_inputs(name):
    if name == "hugging face":
        return bert()
    if name in NETS:
        return NETS[name].build(), NETS[name].x()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = CASES[name].inputs()
        return CASES[name].wrapped(), x if len(x) > 1 else x[0]


every_net = pytest.mark.parametrize("name", [*NETS, *UNUSUAL, "hugging face"])
every_unusual_net = pytest.mark.parametrize("name", [*UNUSUAL, "hugging face"])
every_trainable_net = pytest.mark.parametrize(
    "name",
    [
        name
        for name in (*UNUSUAL, "hugging face")
        if name not in ("exported, as a module", "compiled", "compiled in place")
    ],
)


# The photographs


def generators():
    state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}  # noqa: NPY002
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def settings():
    """Return what a run could switch for the whole process."""
    module = torch.nn.modules.module
    return {
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "function mode": torch.overrides._get_current_function_mode(),
        "dispatch mode": torch.utils._python_dispatch._get_current_dispatch_mode(),
        "vmap": torch._C._functorch.peek_interpreter_stack(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "functions": (F.dropout, torch.dropout, torch.rand, torch.Tensor.bernoulli_, nn.Module.__call__),
        "global hooks": [len(h) for h in (module._global_forward_hooks, module._global_forward_pre_hooks)],
    }


HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks_always_called",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


def photograph(net):
    """Return everything about a net that a run could change."""
    tensors = [*net.parameters(), *net.buffers()]
    return {
        "state": {name: value.clone() for name, value in net.state_dict().items()},
        "modules": [(name, id(module)) for name, module in net.named_modules()],
        "identity": [id(value) for value in tensors],
        "versions": [value._version for value in tensors],
        "places": [(value.data_ptr(), value.stride(), value.device, value.dtype) for value in tensors],
        "gradients": [(value.requires_grad, value.grad) for value in net.parameters()],
        "flags": [(name, module.training) for name, module in net.named_modules()],
        "hooks": [[dict(getattr(module, kind, {})) for kind in HOOKS] for module in net.modules()],
        "members": [sorted(vars(module)) for module in net.modules()],
        "methods": [type(module).__dict__.get("forward") for module in net.modules()],
        "numbers": [
            {k: v for k, v in vars(module).items() if isinstance(v, int | float | str | None)}
            for module in net.modules()
        ],
    }


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, value in before.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, after[name]), name
        elif isinstance(value, dict):
            assert_same(value, after[name])
        elif name == "numpy":
            assert value[0] == after[name][0]
            assert (value[1] == after[name][1]).all()
            assert value[2:] == after[name][2:]
        elif name == "cuda":
            assert all(torch.equal(a, b) for a, b in zip(value, after[name], strict=True))
        else:
            assert value == after[name], name


@contextmanager
def untouched(net):
    """Photograph the net, the generators and the settings before and after."""
    torch.manual_seed(3)
    torch.rand(2)  # a generator halfway, as a user's is
    before = photograph(net), generators(), settings()
    try:
        yield
    finally:
        after = photograph(net), generators(), settings()
    for a, b in zip(before, after, strict=True):
        assert_same(a, b)


def leaves(x):
    return list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, tuple) else [x]


def uncounted(name):
    return name in CASES and CASES[name].warns is not None


@contextmanager
def allowed(name):
    """Let pass what the sampler has to say of nets it cannot count."""
    with warnings.catch_warnings():
        if uncounted(name):
            warnings.simplefilter("ignore")
        yield


# After a run


@every_net
@every_execution
@pytest.mark.parametrize("train", [False, True])
def test_a_run_changes_nothing(name, execution, train):
    net, x = net_and_inputs(name)
    if not name.startswith("exported"):  # which torch refuses to switch
        net.train(train)
    given = copied(x)
    with untouched(net), allowed(name):
        samples = MCDropout(net).sample(x, passes=3, execution=execution)
    assert all(torch.equal(a, b) for a, b in zip(leaves(x), leaves(given), strict=True))
    assert not samples.requires_grad


@every_unusual_net
def test_the_audit_changes_nothing(name):
    net, x = net_and_inputs(name)
    with untouched(net), allowed(name):
        MCDropout(net).sites(x)


@every_trainable_net
def test_the_callers_flag_does_not_matter(name):
    net, x = net_and_inputs(name)
    with allowed(name):
        samples = MCDropout(net.eval()).sample(x, passes=3)
        again = MCDropout(net.train()).sample(x, passes=3)
    assert torch.equal(samples, again)


@every_unusual_net
def test_the_global_generator_does_not_matter(name):
    net, x = net_and_inputs(name)
    samples = []
    with allowed(name):
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            samples.append(MCDropout(net).sample(x, passes=4, seed=6, sampling="iid"))
    assert torch.equal(*samples)
    assert (samples[0][0] - samples[0][1]).abs().max() > 0


@every_trainable_net
def test_half_trained_net_can_go_on(name):
    """Gradients that are there stay, and a backward pass through the net gives what it gave."""
    net, x = net_and_inputs(name)
    net.eval()

    def gradients():
        net.zero_grad()
        out = net(**x) if isinstance(x, dict) else net(*leaves(x))
        (out if isinstance(out, torch.Tensor) else out[0]).square().sum().backward()
        return [None if p.grad is None else p.grad.clone() for p in net.parameters()]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        before = gradients()
        kept = [p.grad for p in net.parameters()]
        with allowed(name):
            MCDropout(net).sample(x, passes=2)
        assert all(a is b for a, b in zip(kept, (p.grad for p in net.parameters()), strict=True))
        torch.manual_seed(0)
        after = gradients()
    for a, b in zip(before, after, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("name", ["mlp", "hidden: early return", "compiled", "hugging face"])
def test_nobody_keeps_the_net(name):
    net, x = net_and_inputs(name)
    inner = weakref.ref(next(module for module in net.modules() if isinstance(module, nn.Linear)))
    model = MCDropout(net)
    model.sample(x, passes=2)
    del net, model
    gc.collect()
    assert inner() is None


@pytest.mark.parametrize("name", ["mlp", "everything dropped", "hidden: early return", "hugging face"])
def test_samples_are_the_callers_own(name):
    net, x = net_and_inputs(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = MCDropout(net).sample(x, passes=2)
        kept = samples.clone()
        with untouched(net):
            samples.clone().zero_()
        assert torch.equal(MCDropout(net).sample(x, passes=2), kept)


# After an error


class Stop(BaseException):
    """Stands for whatever is not an Exception."""


def interrupted():
    signal.raise_signal(signal.SIGINT)


def raising(error):
    def act():
        raise error("enough")

    return act


class Fails(nn.Module):
    """Runs a net, and fails at one call of its forward, halfway through."""

    def __init__(self, net, at, act):
        super().__init__()
        self.net, self.calls, self.act, self.at = net, [], act, at

    def forward(self, *args, **kwargs):
        out = self.net(*args, **kwargs)
        self.calls.append(1)
        if len(self.calls) >= self.at:
            self.act()
        return out

    def __deepcopy__(self, memo):
        """Count calls of the twin as the original's."""
        import copy

        twin = Fails(copy.deepcopy(self.net, memo), self.at, self.act)
        twin.calls = self.calls
        return twin


@pytest.mark.parametrize("error", [RuntimeError, KeyError, KeyboardInterrupt, Stop, MemoryError, "SIGINT"])
@every_execution
@pytest.mark.parametrize("at", [1, 3, 4])
@pytest.mark.parametrize("name", ["mlp", "hidden: early return"])
def test_an_error_in_forward_leaves_no_trace(error, execution, at, name):
    inner, x = net_and_inputs(name)
    net = Fails(inner, at, interrupted if error == "SIGINT" else raising(error)).train()
    kind = KeyboardInterrupt if error == "SIGINT" else error
    with untouched(net), pytest.raises(NetError if issubclass(kind, Exception) else kind):
        MCDropout(net).predict(x, passes=6, execution=execution, chunk_size=2)


@every_unusual_net
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_anywhere_in_an_unusual_net_leaves_no_trace(name, at, error):
    """In the survey, while it is woken, or in a pass: the error comes out, or the run ends before; nothing stays."""
    inner, x = net_and_inputs(name)
    net = Fails(inner, at, raising(error))
    with untouched(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            MCDropout(net).predict(x, passes=6, execution="loop")
        except (NetError, KeyboardInterrupt):
            pass
        else:
            assert len(net.calls) < at


def test_an_error_in_a_hook_leaves_no_trace():
    net = with_weights(mlp())
    net[3].register_forward_hook(lambda *_: raising(KeyboardInterrupt)())
    with untouched(net), pytest.raises(KeyboardInterrupt):
        MCDropout(net).predict(randn(4, 3))


def test_an_error_in_the_loader_leaves_no_trace():
    def batches():
        yield randn(2, 3)
        raise KeyboardInterrupt

    net = with_weights(mlp())
    with untouched(net), pytest.raises(KeyboardInterrupt):
        MCDropout(net).predict(batches(), passes=3)


# While others use the net


@contextmanager
def restless():
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


THREADED = (
    "mlp",
    "lenet",
    "several kinds",
    "hidden: early return",
    "sdpa: plain, hidden",
    "norms around a hidden rate",
    "encoder, padded",
    "gaussian: randn_like",
    "spectral norm",
    "scripted",
    "hugging face",
)


@pytest.mark.parametrize("name", THREADED)
def test_two_threads_predict_while_a_third_runs_the_net(name):
    """All three get, bit for bit, what they get alone; the third calls the user's own net in eval mode."""
    net, x = net_and_inputs(name)
    net.eval()
    jobs = [(seed, execution) for seed in range(4) for execution in ("loop", "auto")]

    def predict(job):
        seed, execution = job
        return MCDropout(net).sample(x, passes=8, seed=seed, execution=execution)

    def evaluate():
        with torch.no_grad():
            out = net(**x) if isinstance(x, dict) else net(*leaves(x))
        return out if isinstance(out, torch.Tensor) else out[0]

    outputs, done = [], threading.Event()

    def keep_evaluating():
        while not done.is_set():
            outputs.append(evaluate())

    with allowed(name), untouched(net), restless():
        if uncounted(name):
            warnings.simplefilter("ignore")
        alone, still = [predict(job) for job in jobs], evaluate()
        third = threading.Thread(target=keep_evaluating)
        third.start()
        try:
            with ThreadPoolExecutor(2) as pool:
                together = list(pool.map(predict, jobs))
        finally:
            done.set()
            third.join()
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert outputs
    assert all(torch.equal(out, still) for out in outputs)


def test_a_thread_that_draws_is_not_disturbed():
    """Counted masks read no generator: another thread's own draws come out as they would alone."""
    net, x = with_weights(mlp()), randn(4, 3)
    drawn, go = [], threading.Event()

    def draw():
        go.wait()
        drawn.extend(torch.rand(3) for _ in range(300))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = [torch.rand(3) for _ in range(300)]
        torch.manual_seed(5)
        thread = threading.Thread(target=draw)
        with restless():
            thread.start()
            go.set()
            for seed in range(10):
                MCDropout(net).sample(x, passes=5, seed=seed, execution="loop")
            thread.join()
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))


@pytest.mark.parametrize("known", [False, True])
def test_what_a_thread_draws_that_ends_while_the_net_is_looked_at_is_not_blamed_on_the_net(known):
    drawn, go, others = [], threading.Event(), []

    def draw():
        go.wait()
        drawn.append(torch.rand(3))

    def forward(self, x):
        go.set()
        for thread in others:
            thread.join()
        return self.net(x)

    model, x = MCDropout(Call(forward, net=with_weights(mlp())).eval()), randn(4, 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected, after = torch.rand(3), torch.get_rng_state()
        torch.manual_seed(5)
        if known:  # what was found about the net is then only confirmed
            model.predict(x, passes=5)
            go.clear()
        others.append(threading.Thread(target=draw))
        others[0].start()
        model.predict(x, passes=5)  # no warning
        assert torch.equal(drawn[0], expected)
        assert torch.equal(torch.get_rng_state(), after)


def test_weights_that_a_thread_changes_are_not_torn():
    """A net that another thread puts in train mode and back stays a net in eval mode for the passes."""
    net = NETS["residual"].build()
    x, done = NETS["residual"].x(), threading.Event()
    expected = MCDropout(net).sample(x, passes=4)

    def flip():
        while not done.is_set():
            net.train()
            net.eval()

    thread = threading.Thread(target=flip)
    with restless():
        thread.start()
        try:
            samples = [MCDropout(net).sample(x, passes=4) for _ in range(20)]
        finally:
            done.set()
            thread.join()
    assert all(torch.equal(sample, expected) for sample in samples)
    assert not any(module.training for module in net.modules())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["mlp", "hidden: early return", "gaussian: randn_like", "traced in train mode"])
def test_cuda_generators_are_as_before(name):
    net, x = net_and_inputs(name)
    net.cuda()
    with untouched(net), allowed(name):
        MCDropout(net).sample(x, passes=3)


def test_callers_gradient_mode_does_not_matter_to_woken_nets():
    net, x = net_and_inputs("hidden: early return")
    expected = MCDropout(net).sample(x, passes=3)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode(), untouched(net):
            samples = MCDropout(net).sample(x, passes=3)
        assert torch.equal(samples, expected)


def test_forward_that_counts_changes_its_twin_alone():
    def forward(self, x):
        self.plain += 1
        self.buffer.add_(1)
        self.number += 1
        self.seen.append(1)
        return F.dropout(self.layer(x), self.p if self.training else 0.0)

    net = Call(forward, layer=nn.Linear(3, 2), plain=torch.zeros(1), number=0, seen=[], p=0.5)
    net.register_buffer("buffer", torch.zeros(1))
    with untouched(net):
        MCDropout(net).predict(randn(4, 3), passes=3)
    assert (net.plain, net.buffer, net.number, net.seen) == (0, 0, 0, [])

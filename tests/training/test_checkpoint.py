"""A run that was stopped in any way and resumed is, bit for bit, the run that was not."""

import copy
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from mcdrop.errors import DataError, InputError, OutputError, TrainingError
from mcdrop.layers import ConcreteDropout, InvertedDropout
from mcdrop.networks import co2_mlp
from mcdrop.training import fit
from mcdrop.training.checkpoint import identity
from mcdrop.training.plan import Plan
from mcdrop.weights import load_weights, save_weights

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(20, 2, generator=GENERATOR)
LABELS = torch.arange(20) % 3
Y = torch.randn(20, 3, generator=GENERATOR)


PLAN = Plan("mse", 2, 20, "adam", 1e-3, 0.0, "constant", 0.0, 0, None, 1)


class Stop(Exception):
    pass


class Net(nn.Module):
    """Dropout, batch normalization, and noise that a net draws in eval mode too; may fail at a training step."""

    def __init__(self, *, fails_at=None, error=None, always=False, p=0.4):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(p), nn.Linear(6, 3))
        self.always, self.fails_at, self.error, self.calls = always, fails_at, error or Stop(), 0

    def forward(self, x):
        if self.training:
            self.calls += 1
            if self.calls == self.fails_at:
                raise self.error
        return F.dropout(self.net(x), 0.2, training=self.training or self.always)


def monitor(net):
    return {"norm": sum(float(weight.square().sum()) for weight in net.parameters()), "noise": torch.rand(()).item()}


def train(net=None, **options):
    net = net or Net()
    options = {"loss": "mse", "steps": 12, "batch_size": 6, "lr": 0.02, "seed": 5} | options
    return fit(net, X, LABELS if options["loss"] == "cross_entropy" else Y, **options), net


def stop_at(step, **options):
    with pytest.raises(Stop):
        train(Net(fails_at=step), **options)


def same(a, b):
    """Compare (history, net) with another, but for the seconds."""
    (history, net), (other, twin) = a, b
    for name in ("loss", "lr", "validation_step", "validation_loss", "validation_accuracy"):
        one, two = getattr(history, name), getattr(other, name)
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two, err_msg=name)
    assert list(history.monitored) == list(other.monitored)
    for name, values in history.monitored.items():
        np.testing.assert_array_equal(values, other.monitored[name], err_msg=name)
    mine, theirs = net.state_dict(), twin.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize(("schedule", "warmup"), [("constant", 0.0), ("cosine", 0.5), ("one-cycle", 1.0)])
@pytest.mark.parametrize("batch_size", [None, 6])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_resumed_after_any_step_it_is_the_uninterrupted_run(path, optimizer, batch_size, schedule, warmup):
    options = {"optimizer": optimizer, "batch_size": batch_size, "schedule": schedule, "warmup": warmup}
    options |= {"validation": (X[:7], Y[:7]), "validate_every": 2, "monitor": monitor, "weight_decay": 0.01}
    whole = train(**options)
    options |= {"checkpoint": path, "checkpoint_every": 3}
    assert same(train(**options), whole)
    for step in (1, 3, 4, 8, 12):
        path.unlink()
        stop_at(step, **options)
        assert path.exists() == (step > 3)
        resumed = train(**options, resume=True)
        assert same(resumed, whole)
        assert resumed[1].calls == 12 - 3 * ((step - 1) // 3)


def test_labels_and_their_accuracy_are_resumed(path):
    options = {"loss": "cross_entropy", "validation": (X, LABELS), "epochs": 3, "steps": None}
    stop_at(9, **options, checkpoint=path)  # 4 steps an epoch
    resumed = train(**options, checkpoint=path, resume=True)
    assert same(resumed, train(**options))
    assert resumed[0].validation_step.tolist() == [4, 8, 12]
    assert resumed[0].validation_accuracy.shape == (3,)


def test_it_may_be_interrupted_again_and_again(path):
    options = {"monitor": monitor, "checkpoint": path, "checkpoint_every": 1, "warmup": 0.3}
    for _ in range(3):
        stop_at(4, **options, resume=True)
    resumed = train(**options, resume=True)
    assert resumed[1].calls == 3  # of 12
    assert same(resumed, train(monitor=monitor, warmup=0.3))


def test_the_weights_that_the_net_comes_with_do_not_count_nor_does_its_layout_in_memory(path):
    def convolution(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(4, 1)).to(memory_format=torch.channels_last)

    x, y = torch.randn(6, 3, 2, 2), torch.randn(6)
    with torch.random.fork_rng():
        whole, short = convolution(0), convolution(0)
        fit(whole, x, y, loss="mse", steps=8)
        fit(short, x, y, loss="mse", steps=3, checkpoint=path)
        other = convolution(1)
        fit(other, x, y, loss="mse", steps=8, checkpoint=path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True))


def test_a_finished_run_comes_from_the_file(path):
    options = {"schedule": "cosine", "validation": (X, Y), "monitor": monitor, "checkpoint": path}
    first = train(**options)
    written = path.read_bytes()
    again = train(**options, resume=True)
    assert same(first, again)
    assert again[1].calls == 0 and not again[1].training
    assert again[0].seconds == first[0].seconds
    assert path.read_bytes() == written


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_longer_run_at_a_constant_rate_continues_a_shorter_one(path, optimizer, always):
    options = {"optimizer": optimizer, "validation": (X, Y), "validate_every": 4, "monitor": monitor}
    for steps in (5, 8, 19):  # 5 ends with a validation that longer runs do not make
        extended = train(Net(always=always), **options, steps=steps, checkpoint=path, resume=True)
        assert same(extended, train(Net(always=always), **options, steps=steps))
    with pytest.raises(InputError, match=r"has 19 steps behind it, got a run of 8; ask for at least as many"):
        train(Net(always=always), **options, steps=8, checkpoint=path, resume=True)


def test_only_a_file_that_may_be_continued_keeps_the_moments_when_finished(path):
    def names(**options):
        train(checkpoint=path, **options)
        with safe_open(path, framework="pt") as file:
            return {name.split("/")[0] for name in file.keys()}

    assert names() == {"net", "records", "generator", "optimizer"}
    assert names(schedule="cosine") == names(warmup=0.5) == {"net", "records", "generator"}


def test_seconds_add_up(path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(net):
        now[0] += 10
        return {}

    options = {"monitor": slow, "validate_every": 1, "checkpoint": path, "checkpoint_every": 1}
    stop_at(5, **options)
    now[0] = 1e6
    history, _ = train(**options, resume=True)
    assert history.seconds == 120
    assert train(**options, resume=True)[0].seconds == 120


CODE = """
import os, signal, sys
import torch
from mcdrop.layers import ConcreteDropout, InvertedDropout
from mcdrop.networks import co2_mlp
from mcdrop.training import fit
from mcdrop.training.checkpoint import identity
from mcdrop.training.plan import Plan

class Killed(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.calls = net, 0
    def forward(self, x):
        self.calls += self.training
        if self.calls == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.net(x)

x = torch.linspace(-1, 1, 20)[:, None]
net = Killed(co2_mlp(hidden=(8, 8), p=0.3, seed=0))
fit(net, x, x ** 2, loss="mse", steps=12, batch_size=6, warmup=0.5, schedule="one-cycle", validation=(x, x ** 2),
    checkpoint=sys.argv[1], checkpoint_every=5)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_process_that_is_killed_loses_no_more_than_the_steps_since(path):
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr

    class Killed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = co2_mlp(hidden=(8, 8), p=0.3, seed=0), 0

        def forward(self, x):
            self.calls += self.training
            return self.net(x)

    x = torch.linspace(-1, 1, 20)[:, None]
    options = {"steps": 12, "batch_size": 6, "warmup": 0.5, "schedule": "one-cycle", "validation": (x, x**2)}
    runs = []
    for more in ({}, {"checkpoint": path, "resume": True}):
        net = Killed()
        runs.append((fit(net, x, x**2, loss="mse", **options, **more), net))
    assert [net.calls for _, net in runs] == [12, 7]
    assert same(*runs)


def test_an_interrupt_says_where_the_run_can_go_on(path):
    with pytest.raises(
        TrainingError, match=r"interrupted after 7 of 12 steps; .*run\.safetensors those after step 6: "
    ):
        train(Net(fails_at=8, error=KeyboardInterrupt()), checkpoint=path, checkpoint_every=3)
    with pytest.raises(TrainingError, match=r"after 8 of 12 steps; .*step 6: call fit again with resume=True to go on"):
        train(Net(fails_at=3, error=KeyboardInterrupt()), checkpoint=path, checkpoint_every=5, resume=True)
    assert same(train(checkpoint=path, resume=True), train())


def test_without_resume_the_file_is_overwritten(path):
    train(checkpoint=path, steps=12)
    first = path.read_bytes()
    train(checkpoint=path, lr=0.1)
    assert path.read_bytes() != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.1}, "another lr: 0.02 in the file, 0.1 here; pass resume=False to overwrite it, or another checkpo"),
        ({"optimizer": "sgd"}, "another optimizer: adam in the file, sgd here"),
        ({"weight_decay": 0.5}, "another weight_decay: 0.0 in the file, 0.5 here"),
        ({"schedule": "cosine"}, "another schedule: constant in the file, cosine here"),
        ({"warmup": 0.5}, "another warmup: 0.0 in the file, 0.5 here"),
        ({"batch_size": 7}, "another batch_size: 6 in the file, 7 here"),
        ({"seed": 6}, "another seed: 5 in the file, 6 here"),
        ({"loss": F.l1_loss}, "another loss: mse in the file, l1_loss here"),
        ({"monitor": monitor}, "another monitor: none in the file, one here"),
        ({"validation": (X, Y)}, "another validate_every: none in the file, 4 here"),
        ({"net": Net(p=0.5)}, r"another rate of net\.3: 0\.4 in the file, 0\.5 here"),
    ],
)
def test_another_run_is_refused_by_the_first_option_that_differs(path, options, message):
    train(checkpoint=path)
    net = options.pop("net", None) or Net()
    before = net.state_dict()["net.0.weight"].clone()
    written = path.read_bytes()
    with pytest.raises(InputError, match=message):
        train(net, **options, checkpoint=path, resume=True)
    assert torch.equal(net.state_dict()["net.0.weight"], before)
    assert path.read_bytes() == written


def test_a_run_with_an_end_of_its_own_cannot_be_made_longer(path):
    train(checkpoint=path, schedule="cosine")
    with pytest.raises(InputError, match="another steps: 12 in the file, 13 here"):
        train(checkpoint=path, schedule="cosine", steps=13, resume=True)


@pytest.mark.parametrize(
    ("x", "y", "validation", "message"),
    [
        (X + 1, Y, (X, Y), r"another x: float32 \(20, 2\) with SHA-256 \w{64} in the file, float32 \(20, 2\) with"),
        (X, Y[:, [1, 0, 2]], (X, Y), r"another y: float32 \(20, 3\)"),
        (X, Y, (X[:5], Y[:5]), r"another validation x: .* in the file, float32 \(5, 2\)"),
        (X, Y, (X, -Y), "another validation y"),
    ],
)
def test_other_data_are_refused(path, x, y, validation, message):
    fit(Net(), X, Y, loss="mse", steps=2, validation=(X, Y), checkpoint=path)
    with pytest.raises(InputError, match=message):
        fit(Net(), x, y, loss="mse", steps=2, validation=validation, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net: net.input.requires_grad_(False),
            r"weights input\.weight: float32 \(8, 2\) trained in the file, f",
        ),
        (lambda net: net.register_buffer("more", torch.ones(1)), r"weights more: absent in the file, float32 \(1,\) h"),
        (lambda net: setattr(net, "activation2", nn.Tanh()), "another module"),
    ],
)
def test_another_net_is_refused(path, change, message):
    def run(change):
        net = co2_mlp(hidden=(8, 8), p=0.3)
        net.input = nn.Linear(2, 8)
        change(net)
        fit(net, X, Y[:, 0], loss="mse", steps=2, checkpoint=path, resume=True)

    run(lambda net: None)
    with pytest.raises(InputError, match=message):
        run(change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), r"cannot be read \(.*pass resume=False to overwrite it, or another check"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x77"), "checksum differs; pass resume=False"),
        (lambda path: save_weights(nn.Tanh(), path), "must be a checkpoint of training, got a file of something else"),
        (lambda path: save_weights(nn.Tanh(), path, about={"training": {"lr": 1}}), "must be a checkpoint of training"),
    ],
)
def test_a_damaged_file_is_an_error_and_not_a_new_start(path, damage, message):
    train(checkpoint=path)
    damage(path)
    with pytest.raises(DataError, match=message) as caught:
        train(checkpoint=path, resume=True)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_holds_tensors_and_text_and_no_pickle(path):
    train(checkpoint=path, monitor=monitor)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert json.loads(header.pop("__metadata__")["mcdrop"])["about"]["training"]["done"] == 12
    assert sum(
        stop - start for start, stop in (entry["data_offsets"] for entry in header.values())
    ) + 8 + length == len(data)


def test_a_broken_state_is_never_written(path):
    with pytest.raises(TrainingError, match="diverged"):
        train(optimizer="sgd", lr=1e30, checkpoint=path, checkpoint_every=1, steps=50)
    if path.exists():
        with safe_open(path, framework="pt") as file:
            assert all(
                bool(file.get_tensor(name).isfinite().all())
                for name in file.keys()
                if name.endswith(("weight", "bias"))
            )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "resume=True needs a checkpoint, got none"),
        ({"checkpoint_every": 3}, "checkpoint_every=3 needs a checkpoint, got none"),
        ({"checkpoint": "a.safetensors", "checkpoint_every": 0}, "checkpoint_every must be a positive integer"),
        ({"checkpoint": 3}, "checkpoint must name a file, got 3"),
        ({"checkpoint": " "}, "checkpoint must name a file"),
        ({"checkpoint": "a\0"}, "checkpoint must name a file"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        train(**options)


def test_an_unwritable_place_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    for name in ("folder.safetensors", "loop.safetensors", "file/run.safetensors"):
        place = tmp_path / name
        net = Net()
        with pytest.raises(OutputError, match=r"cannot write .*; choose a writable place"):
            train(net, checkpoint=place)
        assert net.calls == 0 and not net.training


def test_a_checkpoint_changes_nothing_and_leaves_one_file(path):
    assert same(train(checkpoint=str(path), checkpoint_every=1), train())
    assert [place.name for place in path.parent.iterdir()] == [path.name]


def test_by_default_it_is_written_once_an_epoch_or_twenty_times(path, monkeypatch):
    writes = []
    monkeypatch.setattr("mcdrop.training.checkpoint.write_sealed", lambda *args, **kwargs: writes.append(args))
    train(checkpoint=path, steps=None, epochs=3)
    assert len(writes) == 3
    train(checkpoint=path, steps=60, batch_size=None)
    assert len(writes) == 23


def test_a_run_with_another_rate_of_any_layer_is_another_run(tmp_path):
    x, y = torch.ones(4, 2), torch.ones(4, 1)
    options = {"loss": "mse", "steps": 2, "checkpoint": tmp_path / "run.safetensors"}

    def net(p):
        return torch.nn.Sequential(InvertedDropout(p), torch.nn.Linear(2, 1))

    fit(net(0.2), x, y, **options)
    with pytest.raises(InputError, match=r"another module 0: InvertedDropout p=0\.2 in the file, Inv.* p=0\.3 here"):
        fit(net(0.3), x, y, **options, resume=True)


class Hidden(nn.Module):
    """Dropout whose rate only an attribute tells."""

    def __init__(self, p):
        super().__init__()
        self.p, self.layer = p, nn.Linear(2, 3)

    def forward(self, x):
        return F.dropout(self.layer(x), self.p, self.training)


def test_a_rate_that_a_module_keeps_to_itself_makes_another_run(path):
    fit(Hidden(0.0), X, Y, loss="mse", steps=2, checkpoint=path)
    with pytest.raises(InputError, match=r"another module: Hidden p=0\.0 in the file, Hidden p=0\.5 here"):
        fit(Hidden(0.5), X, Y, loss="mse", steps=2, checkpoint=path, resume=True)


def test_a_run_whose_rate_is_learned_goes_on_with_the_same_net(path):
    net = nn.Sequential(ConcreteDropout(nn.Linear(2, 3)))
    fit(net, X, Y, loss="mse", steps=3, checkpoint=path)
    assert len(fit(net, X, Y, loss="mse", steps=6, checkpoint=path, resume=True).loss) == 6


def test_a_run_that_starts_anew_leaves_nothing_of_the_old_one_to_resume(path):
    train(checkpoint=path, lr=0.1)
    with pytest.raises(TrainingError, match="so call fit again to train on") as error:
        train(Net(fails_at=1, error=KeyboardInterrupt()), checkpoint=path, checkpoint_every=5)
    assert "resume" not in str(error.value)
    assert not path.exists()


def test_a_file_of_weights_is_not_overwritten(path):
    save_weights(Net(), path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="got a file of other tensors, which it would overwrite"):
        train(checkpoint=path)
    assert path.read_bytes() == before
    path.write_bytes(before[:-5])  # what cannot be read is no loss
    train(checkpoint=path)


def test_a_checkpoint_says_what_it_is(tmp_path):
    with pytest.raises(InputError, match=r"checkpoint must end in \.safetensors.*run\.pt"):
        train(checkpoint=tmp_path / "run.pt")
    train(checkpoint=tmp_path / "run.safetensors")
    with pytest.raises(DataError, match="got a checkpoint of its training; resume it"):
        load_weights(Net(), tmp_path / "run.safetensors")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.Conv1d(1, 3, 2), nn.Conv1d(1, 3, 2, stride=2, padding=1)),
        (nn.GroupNorm(1, 4), nn.GroupNorm(4, 4)),
        (nn.Softplus(beta=1.0), nn.Softplus(beta=2.0)),
        (nn.TransformerEncoderLayer(4, 2), nn.TransformerEncoderLayer(4, 2, activation="gelu")),
    ],
)
def test_an_option_that_no_tensor_shows_makes_another_net(one, other):
    def options(net):
        return identity(PLAN, nn.Sequential(net), (X, Y), None)

    assert options(one) == options(copy.deepcopy(one)) != options(other)


def test_what_a_module_counts_or_switches_makes_no_other_net():
    class Counting(nn.Linear):
        calls, ready = 0, False

    net = Counting(2, 3)
    before = identity(PLAN, net, (X, Y), None)
    net.calls, net.ready = 3, True
    assert identity(PLAN, net, (X, Y), None) == before


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run.safetensors"
    link.symlink_to(tmp_path / "disk" / "real.safetensors")
    train(checkpoint=link)
    train(checkpoint=link)
    assert link.is_symlink() and (tmp_path / "disk" / "real.safetensors").exists()


def test_weights_that_were_saved_with_the_word_training_are_no_checkpoint(path):
    save_weights(Net(), path, about={"training": {"lr": 0.1}})
    assert load_weights(Net(), path) == {"training": {"lr": 0.1}}
    with pytest.raises(InputError, match="got a file of other tensors"):
        train(checkpoint=path)

"""The regularization demo, smaller than its tiny form: curves, files, resuming, and what a wrong option says."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import MappingProxyType

import h5py
import numpy as np
import pytest
import torch

from mcdrop.datasets import load_digits
from mcdrop.demos import run_digits, run_regularization
from mcdrop.demos.regularization.exercises import HALF, NONE, plan
from mcdrop.demos.regularization.nets import FAMILIES, NETS, PUBLISHED, TITLES
from mcdrop.demos.regularization.presets import PRESETS
from mcdrop.errors import DataError, InputError
from mcdrop.networks import lenet, mlp
from mcdrop.weights import load_weights

FIGURES = ("errors", "averaging", "rates", "variance", "decay", "connect")
SMALL = replace(PRESETS["tiny"], trained_on=200, tested_on=60, passes=3)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcdrop.demos.regularization.demo.PRESETS", MappingProxyType(PRESETS | {"tiny": SMALL}))
        yield


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regularization")
    return run_regularization(folder, preset="tiny", jobs=1), folder


def read(folder):
    """Return every array of a run by its name."""
    arrays = {}
    with h5py.File(folder / "arrays.h5") as file:
        file.visititems(lambda name, data: arrays.update({name: data[()]}) if isinstance(data, h5py.Dataset) else None)
    return arrays


@pytest.fixture
def no_figures(monkeypatch):
    """Write no figures, which are slow, where nobody looks at them."""
    monkeypatch.setattr("mcdrop.demos.regularization.demo._figures", lambda results: ())
    monkeypatch.setattr("mcdrop.demos.digits.demo._figures", lambda *outcome: ())


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_writes_figures_arrays_weights_and_summary(outcome):
    report, folder = outcome
    figures = {f"{stem}.{kind}" for stem in FIGURES for kind in ("png", "svg")}
    nets = {f"net_{name}.safetensors" for name in NETS}
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == figures | nets | {"arrays.h5", "summary.json"}
    assert {path.name for path in report.files} == names
    assert json.loads((folder / "summary.json").read_text()) == report.as_dict()


def test_there_is_a_curve_for_every_epoch_and_seed(outcome):
    arrays = read(outcome[1])
    epochs = {name: recipe.epochs for name, recipe in SMALL.recipes.items()}
    for name in NETS:
        curve = arrays[f"{name}/error"]
        assert curve.shape == (SMALL.repeats, epochs["lenet" if name.startswith("lenet") else "mlp"])
        assert arrays[f"{name}/nll"].shape == arrays[f"{name}/loss"].shape == curve.shape
        np.testing.assert_allclose(curve[:, -1], arrays[f"{name}/wrong"].mean(axis=1), atol=1e-12)
        assert not np.array_equal(curve[0], curve[1])  # two seeds
    for name in plan(SMALL.exercise, SMALL.decays):
        assert arrays[f"{name}/error"].shape == (SMALL.repeats, epochs["exercise"])
        assert np.isfinite(arrays[f"{name}/variance/relu2_on"]).all()


def test_nets_learn_and_dropout_makes_the_training_loss_larger(outcome):
    arrays = read(outcome[1])
    for names in FAMILIES.values():
        for name in names:
            loss = arrays[f"{name}/loss"]
            assert (loss[:, -1] < loss[:, 0]).all()
        plain, *_, dropped = (arrays[f"{name}/loss"].mean(axis=0) for name in names)
        assert (plain < dropped).all()
    on, off = arrays[f"{HALF}/variance/relu1_on"], arrays[f"{HALF}/variance/relu1"]
    assert (on > 1.5 * off).all()
    np.testing.assert_array_equal(arrays[f"{NONE}/variance/relu1_on"], arrays[f"{NONE}/variance/relu1"])


def test_the_report_states_which_orderings_hold(outcome):
    report = outcome[0]
    nets = report.results["nets"]
    arrays = read(outcome[1])
    for name in NETS:
        errors = arrays[f"{name}/wrong"].sum(axis=1)
        assert nets[name]["errors"] == errors.tolist()
        assert nets[name]["mean"] == pytest.approx(errors.mean())
    table = report.tables[0]
    assert [row[0] for row in table.rows] == [TITLES[name] for name in NETS]
    assert [int(row[-1]) for row in table.rows] == list(PUBLISHED.values())
    assert [len(report.results["orderings"][family]) for family in FAMILIES] == [3, 1]
    judged = [text for text in report.verdict if " in 60 digits: " in text]
    assert len(judged) == 3 + 1 + 3 + 3
    for check, names in zip(report.checks, FAMILIES.values(), strict=True):
        plain, dropped = (arrays[f"{name}/wrong"].sum(axis=1) for name in (names[0], names[-1]))
        assert check.value == pytest.approx(plain.mean() - dropped.mean())
        assert check.bound == max(np.ptp(plain), np.ptp(dropped))


def test_more_processes_give_the_same_bits_and_resuming_trains_nothing_again(outcome, tmp_path, no_figures):
    folder = outcome[1]
    run_regularization(tmp_path, preset="tiny", jobs=2, exercises=False)
    arrays = read(tmp_path)
    assert same(arrays, {name: value for name, value in read(folder).items() if name in arrays})
    for name in NETS:
        file = f"net_{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    run_regularization(tmp_path, preset="tiny", jobs=1, exercises=False, resume=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()} == times
    assert same(read(tmp_path), arrays)


def test_one_seed_is_not_judged(outcome, tmp_path, no_figures):
    (tmp_path / "checkpoints").mkdir()
    for path in (outcome[1] / "checkpoints").glob("*_seed0.safetensors"):
        (tmp_path / "checkpoints" / path.name).write_bytes(path.read_bytes())
    report = run_regularization(tmp_path, preset="tiny", jobs=1, repeats=1, resume=True)
    assert report.checks == ()
    assert all(pair["supported"] is None for pairs in report.results["orderings"].values() for pair in pairs)
    assert sum("not judged" in text for text in report.verdict) >= 4
    assert "one seed" in report.tables[0].title


def test_the_nets_feed_the_digits_demo(outcome, tmp_path, no_figures):
    folder = outcome[1]
    report = run_digits(tmp_path, preset="tiny", passes=3, gp="none", weights=[folder])
    assert report.settings["weights"] == {name: str(folder / f"net_{name}.safetensors") for name in ("mlp", "lenet")}
    images, labels = load_digits().test_images, load_digits().test_labels
    for name, build in (("mlp", mlp), ("lenet", lenet)):
        net = build()
        load_weights(net, folder / f"net_{name}.safetensors")
        found = report.results[name]["test_accuracy"]["weight_averaging"]
        right = net(torch.as_tensor(images[:100])).argmax(1).numpy() == labels[:100]
        assert found == pytest.approx(right.mean())
    assert not list(tmp_path.glob("net_*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "preset must be one of default, paper, tiny"),
        ({"repeats": 0}, "repeats must be an integer of at least 1"),
        ({"jobs": 0}, "jobs must be an integer of at least 1"),
        ({"passes": 1}, "passes must be an integer of at least 2"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_wrong_options_are_refused_before_any_work(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run_regularization(tmp_path / "out", **{"preset": "tiny"} | options)
    assert not (tmp_path / "out").exists()


def test_checkpoints_of_other_settings_are_not_resumed(outcome, tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    for path in (outcome[1] / "checkpoints").glob("lenet_none_seed0*"):
        (tmp_path / "checkpoints" / path.name).write_bytes(path.read_bytes())
    other = replace(SMALL, lenet=replace(SMALL.lenet, lr=0.01))
    monkeypatch.setattr("mcdrop.demos.regularization.demo.PRESETS", {"tiny": other})
    with pytest.raises(InputError, match=r"checkpoint .*lenet_none_seed0.* another lr: 0\.002 in the file, 0\.01 here"):
        run_regularization(tmp_path, preset="tiny", jobs=1, resume=True)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.unlink()])
def test_weights_that_cannot_be_used_are_refused(outcome, tmp_path, damage):
    copy = tmp_path / "net_mlp.safetensors"
    copy.write_bytes((outcome[1] / copy.name).read_bytes())
    damage(copy)
    with pytest.raises(DataError, match=r"net_mlp|must hold net_mlp or net_lenet"):
        run_digits(tmp_path / "out", preset="tiny", weights=[tmp_path])
    with pytest.raises(InputError, match="weights must be one file for each net"):
        run_digits(tmp_path / "out", preset="tiny", weights=[outcome[1], outcome[1] / "net_lenet_none.safetensors"])
    assert not (tmp_path / "out").exists()


PROGRAM = """
import sys
from dataclasses import replace
from mcdrop.demos import run_regularization
from mcdrop.demos.regularization import demo
from mcdrop.demos.regularization.presets import PRESETS

small = replace(PRESETS["tiny"], trained_on=200, tested_on=60, passes=3)
longer = replace(small, mlp=replace(small.mlp, epochs=40), lenet=replace(small.lenet, epochs=8))
demo.PRESETS = {"tiny": longer}
demo._figures = lambda results: ()
run_regularization(sys.argv[1], preset="tiny", repeats=1, exercises=False, jobs=2, resume="resume" in sys.argv)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_run_that_is_killed_resumes_to_the_curves_of_one_that_is_not(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(folder, *more):
        return subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path / folder, *more])

    killed = start("killed")
    checkpoints, deadline = tmp_path / "killed" / "checkpoints", time.monotonic() + 200
    while not list(checkpoints.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(1.0)  # its processes see that they are alone
    stopped = {path.name for path in checkpoints.glob("*.safetensors")}
    assert stopped and len(stopped) < len(NETS)
    assert not (tmp_path / "killed" / "summary.json").exists()
    assert start("killed", "resume").wait() == 0
    assert start("whole").wait() == 0
    assert same(read(tmp_path / "killed"), read(tmp_path / "whole"))
    for name in NETS:
        file = f"net_{name}.safetensors"
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()

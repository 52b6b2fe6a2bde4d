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
from filelock import FileLock

from mcdrop.datasets import load_digits
from mcdrop.demos import run_digits, run_regularization
from mcdrop.demos.regularization.exercises import HALF, NONE, plan
from mcdrop.demos.regularization.nets import FAMILIES, NETS, TITLES
from mcdrop.demos.regularization.presets import PRESETS
from mcdrop.errors import InputError, OutputError, TrainingError
from mcdrop.networks import lenet, mlp
from mcdrop.training import fitting
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
    monkeypatch.setattr("mcdrop.demos.regularization.demo._FIGURES", {})
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


def test_the_report_is_made_of_the_arrays(outcome):
    report, arrays = outcome[0], read(outcome[1])
    for name in NETS:
        errors = arrays[f"{name}/wrong"].sum(axis=1)
        assert report.results["nets"][name]["errors"] == errors.tolist()
        assert report.results["nets"][name]["mean"] == pytest.approx(errors.mean())
    assert [row[0] for row in report.tables[0].rows] == [TITLES[name] for name in NETS]
    made = report.results["comparisons"]
    assert [len(made["nets"][family]) for family in FAMILIES] == [3, 1]
    assert len(made["rates"]) == len(made["drops"]) == 3 and made["interplay"]["weight_decay"] == SMALL.decays[1]
    assert sum(" in 60 digits" in text for text in report.verdict) == 3 + 1 + 3 + 3
    assert report.settings["trained_on"] == report.settings["exercise_on"] == 200
    assert len(report.checks) == len(FAMILIES)


def test_more_processes_give_the_same_bits_and_resuming_trains_nothing_again(outcome, tmp_path, unrendered):
    folder = outcome[1]
    (tmp_path / "rates.png").touch()  # of an earlier run, with exercises
    run_regularization(tmp_path, preset="tiny", jobs=2, exercises=False)
    arrays = read(tmp_path)
    assert same(arrays, {name: value for name, value in read(folder).items() if name in arrays})
    for name in NETS:
        file = f"net_{name}.safetensors"
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    assert {path.stem for path in tmp_path.glob("*.png")} == {"errors", "averaging"}
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").glob("*.safetensors")}
    run_regularization(tmp_path, preset="tiny", jobs=1, exercises=False, resume=True)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert same(read(tmp_path), arrays)


def test_one_seed_is_not_judged(outcome, tmp_path, no_figures):
    (tmp_path / "checkpoints").mkdir()
    for path in (outcome[1] / "checkpoints").glob("*_seed0.safetensors"):
        (tmp_path / "checkpoints" / path.name).write_bytes(path.read_bytes())
    report = run_regularization(tmp_path, preset="tiny", jobs=1, repeats=1, resume=True)
    assert report.checks == ()
    made = report.results["comparisons"]["nets"]
    assert all(pair["supported"] is None for pairs in made.values() for pair in pairs)
    assert sum("not judged" in text for text in report.verdict) == 3 + 1 + 3 + 3 + 1
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
    assert report.settings["recipes"] == {}
    assert "MLP 800-800: brought with its weights; LeNet: brought with its weights." in report.verdict


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "preset must be one of default, paper, tiny"),
        ({"repeats": 0}, "repeats must be an integer of at least 1"),
        ({"jobs": 0}, "jobs must be an integer of at least 1"),
        ({"passes": 1}, "passes must be an integer of at least 2"),
        ({"seed": -1}, "seed must be an integer"),
        ({"seed": 2**63 - 1}, "seed must be an integer"),  # the second seed is too large
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
    with pytest.raises(
        InputError, match=r"lenet_none_seed0.* another lr: 0\.002 in the file, 0\.01 here; leave out --resume"
    ):
        run_regularization(tmp_path, preset="tiny", jobs=1, resume=True)


def test_a_run_that_starts_anew_leaves_no_checkpoint_of_the_old_one(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    old, partial = folder / "mlp_seed1.safetensors", folder / ".partial-1.safetensors"
    old.write_text("of other settings")
    partial.write_text("of a killed run")

    def train_none(*args):
        raise TrainingError(str(sorted(path.name for path in folder.iterdir())))

    monkeypatch.setattr("mcdrop.demos.regularization.demo._train", train_none)
    with pytest.raises(TrainingError, match=r"^\['\.lock'\]$"):
        run_regularization(tmp_path, preset="tiny", jobs=1)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with FileLock(tmp_path / "checkpoints" / ".lock"), pytest.raises(OutputError, match="one run at a time"):
        run_regularization(tmp_path, preset="tiny", jobs=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "checkpoints").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*checkpoints"):
        run_regularization(tmp_path / "other", preset="tiny", jobs=1)


LONGER = replace(SMALL, mlp=replace(SMALL.mlp, epochs=10), lenet=replace(SMALL.lenet, epochs=3))

PROGRAM = f"""
import sys
from dataclasses import replace
from mcdrop.demos import run_regularization
from mcdrop.demos.recipe import Recipe
from mcdrop.demos.regularization import demo
from mcdrop.demos.regularization.presets import Preset

demo.PRESETS = {{"tiny": {LONGER!r}}}
run_regularization(sys.argv[1], preset="tiny", repeats=1, exercises=False, jobs=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_run_that_is_killed_resumes_to_the_curves_of_one_that_is_not(tmp_path, monkeypatch, no_figures):
    (tmp_path / "program.py").write_text(PROGRAM)
    killed = subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path / "killed"])
    checkpoints, deadline = tmp_path / "killed" / "checkpoints", time.monotonic() + 200
    while not list(checkpoints.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(1.0)  # its processes see that they are alone
    stopped = {path.name for path in checkpoints.glob("*.safetensors")}
    assert stopped and len(stopped) < len(NETS)
    assert not (tmp_path / "killed" / "summary.json").exists()

    steps, update = [], fitting.update
    monkeypatch.setattr(fitting, "update", lambda *args: steps.append(1) or update(*args))
    monkeypatch.setattr("mcdrop.demos.regularization.demo.PRESETS", {"tiny": LONGER})
    options = {"preset": "tiny", "repeats": 1, "exercises": False, "jobs": 1}
    run_regularization(tmp_path / "killed", **options, resume=True)
    resumed = len(steps)
    run_regularization(tmp_path / "whole", **options)
    assert 0 < resumed < len(steps) - resumed  # what was done before the end was not done again
    assert same(read(tmp_path / "killed"), read(tmp_path / "whole"))
    for name in NETS:
        file = f"net_{name}.safetensors"
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()

"""`mcdrop predict` and `mcdrop sites`: one trained net, the same numbers by every road."""

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import mcdrop
from mcdrop.datasets import load_digits
from mcdrop.storage import Journal
from mcdrop.training import fit
from tests.cli.test_main import COMMAND, call, run  # noqa: F401  # a fixture

FIELDS = ("probs", "probs_std", "logit_mean", "logit_std", "votes", "expected_entropy", "probs_error")
PASSES = 50


def make_digits():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(216, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A net trained on digits and exported, the digits that it has not seen, and what the API says of them."""
    folder = tmp_path_factory.mktemp("digits")
    data, net = load_digits(), make_digits()
    fit(
        net, data.train_images[:1500], data.train_labels[:1500], loss="cross_entropy", epochs=12, batch_size=64, lr=3e-3
    )
    seen, free = data.test_images[:600], ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(net.eval(), (torch.zeros(4, 1, 28, 28),), dynamic_shapes=free)
    torch.export.save(program, folder / "net.pt2")
    with h5py.File(folder / "digits.h5", "w") as file:
        file["images"] = seen
    pred = mcdrop.MCDropout(net, task="classification").predict(seen, passes=PASSES)
    assert (pred.labels == data.test_labels[:600]).mean() > 0.85
    return folder, pred


def arguments(folder, out, *more):
    options = ["--task", "classification", "--passes", str(PASSES), "--batch-size", "40", "--out", str(out)]
    return ["predict", str(folder / "net.pt2"), f"{folder / 'digits.h5'}::images", *options, *more]


def assert_same(path, pred):
    found = mcdrop.load(path)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), getattr(pred, name), rtol=1e-4, atol=1e-6, err_msg=name)
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["predictions/entropy"][:], pred.entropy, atol=1e-6)
        np.testing.assert_array_equal(file["predictions_constant_data/row"][:], np.arange(len(pred)))
    return found


def test_the_command_says_what_the_api_says(trained, tmp_path, call):  # noqa: F811
    folder, pred = trained
    code, printed, errors = call(*arguments(folder, tmp_path / "a.h5"))
    assert code == 0, errors
    assert "task: classification" in printed and "600 rows predicted" in printed and "2 dropout sites live" in printed
    assert "600/600 points" in errors and "points/s" in errors
    assert_same(tmp_path / "a.h5", pred)


def test_a_killed_run_that_is_resumed_has_the_bits_of_one_that_was_not(trained, tmp_path):
    folder, _ = trained
    whole = arguments(folder, tmp_path / "whole.h5", "--quiet", "--passes", "150")
    assert run(*whole, cwd=tmp_path).returncode == 0
    command = arguments(folder, tmp_path / "cut.h5", "--quiet", "--passes", "150")
    process = subprocess.Popen([*COMMAND, *command], cwd=tmp_path)
    journal = tmp_path / "cut.h5.unfinished"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size > 40_000):
        assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut.h5").exists()
    with Journal.resume(journal) as left:
        assert 0 < left.rows < 600
    done = run(*command, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not journal.exists()
    one, other = mcdrop.load(tmp_path / "cut.h5"), mcdrop.load(tmp_path / "whole.h5")
    for name in FIELDS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_ctrl_c_says_how_to_go_on(trained, tmp_path):
    folder, _ = trained
    command = arguments(folder, tmp_path / "a.h5", "--quiet", "--passes", "2000")
    process = subprocess.Popen([*COMMAND, *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "a.h5.unfinished"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size > 10_000):
        assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be interrupted"
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "mcdrop: error: interrupted; what is predicted is kept; run it again with --resume to go on\n"
    assert journal.exists()


def test_ray_with_two_workers_says_the_same(trained, tmp_path):
    pytest.importorskip("ray", reason="ray comes with the test extra")
    folder, pred = trained
    done = run(*arguments(folder, tmp_path / "a.h5", "--ray", "--workers", "2"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "a.h5", pred)


def test_sites_prints_the_audit(trained, call):  # noqa: F811
    folder, _ = trained
    code, printed, _ = call(
        "sites", str(folder / "net.pt2"), f"{folder / 'digits.h5'}::images", "--task", "classification"
    )
    assert code == 0
    assert printed.count("dropout") >= 2 and "0.25" in printed and "live" in printed


NETS = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.2), nn.Linear(16, 1))

def double(x):
    return 2 * x

def shorter(x):
    return x[:-1]
"""


@pytest.fixture
def table(tmp_path):
    """Code for a net, and a table for it."""
    (tmp_path / "nets.py").write_text(NETS)
    rows = np.random.default_rng(0).normal(size=(30, 2))
    lines = [f"{a!r},{i},{b!r}" for i, (a, b) in enumerate(rows.tolist())]
    (tmp_path / "rows.csv").write_text("\n".join(["dose,id,age", *lines]))
    return rows.astype(np.float32)


def make():
    space = {}
    exec(NETS, space)
    return space["make"]()


def test_code_and_a_table(table, tmp_path, call):  # noqa: F811
    code, printed, errors = call("predict", "nets.py:make", "rows.csv", "--columns", "age,dose", "--passes", "50", "-q")
    assert (code, printed, errors) == (0, "", "")
    expected = mcdrop.MCDropout(make()).predict(table[:, ::-1].copy(), passes=50)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").std, expected.std, rtol=1e-5)


def test_weights_from_a_file_go_into_the_net(table, tmp_path, call):  # noqa: F811
    net = make()
    with torch.no_grad():
        net[2].weight.mul_(3)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    options = ["--columns", "dose,age", "--passes", "50", "--weights", "w.pt", "-q"]
    assert call("predict", "nets.py:make", "rows.csv", *options)[0] == 0
    expected = mcdrop.MCDropout(net).predict(table, passes=50)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").std, expected.std, rtol=1e-5)


@pytest.mark.parametrize(("option", "change"), [(("--divide-by", "4"), 0.25), (("--transform", "nets.py:double"), 2)])
def test_inputs_are_changed_on_the_way(table, option, change, call):  # noqa: F811
    code, _, errors = call(
        "predict", "nets.py:make", "rows.csv", "--columns", "dose,age", "--passes", "50", "-q", *option
    )
    assert code == 0, errors
    expected = mcdrop.MCDropout(make()).predict(change * table, passes=50)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").mean, expected.mean, rtol=1e-4, atol=1e-6)


def test_a_folder_of_images_and_its_names(tmp_path, call):  # noqa: F811
    from PIL import Image

    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in (2, 10, 1):
        Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(tmp_path / "images" / f"im{number}.png")
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5), nn.Linear(8, 3))\n"
    )
    sizes = ["--image-size", "4", "--image-mode", "L", "--image-mean", "0.5", "--image-std", "0.25"]
    options = ["--task", "classification", "--passes", "25", "-o", "out.csv", *sizes]
    code, _, errors = call("predict", "nets.py:make", "images", *options)
    assert code == 0, errors
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].startswith("row,probs_0,probs_1,probs_2") and "entropy" in lines[0]
    assert [line.split(",")[0] for line in lines[1:]] == ["im1.png", "im2.png", "im10.png"]


def test_rows_with_gaps(table, tmp_path, call):  # noqa: F811
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    lines[8] = ",7,"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    options = ["--columns", "dose,age", "--passes", "50"]
    code, _, errors = call("predict", "nets.py:make", "rows.csv", *options)
    assert code == 2 and "row 7" in errors and "--on-nan" in errors
    code, printed, _ = call("predict", "nets.py:make", "rows.csv", *options, "--on-nan", "skip", "-o", "skip.h5")
    assert code == 0 and "1 row holds NaN" in printed
    assert len(mcdrop.load("skip.h5")) == 29
    assert call("predict", "nets.py:make", "rows.csv", *options, "--on-nan", "keep", "-o", "keep.h5")[0] == 0
    assert len(mcdrop.load("keep.h5", missing="drop")) == 29
    with h5py.File("keep.h5") as file:
        assert np.flatnonzero(np.isnan(file["predictions/mean"][:, 0])).tolist() == [7]


GOOD = ("predict", "nets.py:make", "rows.csv", "--columns", "dose,age")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("predict", "nets.py:make", "rows.csv", "--columns", "dose,agee"), "age"),
        (("predict", "nets.py:mak", "rows.csv"), "did you mean make"),
        (("predict", "nets.py", "rows.csv"), "nets.py:make_net"),
        (("predict", "model.pt", "rows.csv"), "not there"),
        (("predict", "nets.py:make", "rows.xlsx"), "nothing there"),
        ((*GOOD, "--passes", "many"), "--passes must be a whole number or auto, got 'many'"),
        ((*GOOD, "--passes", "1"), "passes must be"),
        ((*GOOD, "--workers", "2"), "--workers must go with --ray"),
        ((*GOOD, "--cpus-per-worker", "2"), "--cpus-per-worker must go with --ray"),
        ((*GOOD, "--split", "passes"), "--split must go with --ray"),
        ((*GOOD, "--task", "guessing"), "task must be"),
        ((*GOOD, "--format", "xls"), "format must be"),
        ((*GOOD, "--format", "csv", "--keep-samples"), "keep_samples"),
        ((*GOOD, "--resume", "--overwrite"), "choose one"),
        ((*GOOD, "--on-nan", "drop"), "on_nan must be"),
        ((*GOOD, "--divide-by", "0"), "other than 0"),
        ((*GOOD, "--divide-by", "2", "--transform", "nets.py:double"), "both given"),
        ((*GOOD, "--transform", "nets.py:doubel"), "did you mean double"),
        ((*GOOD, "--transform", "nets.py:NETS"), "nets.py"),
        ((*GOOD, "--transform", "nets.py:shorter"), "as many rows"),
        ((*GOOD, "--image-size", "3"), "image"),
        ((*GOOD, "--image-size", "wide"), "--image-size must hold numbers"),
        ((*GOOD, "--weights", "nets.py"), "nets.py"),
        ((*GOOD, "--device", "tpu"), "device"),
        ((*GOOD, "--out", "nowhere/\0.h5"), "null byte"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table, call, args, message):  # noqa: F811
    code, printed, errors = call(*args)
    assert code == 2 and printed == ""
    line = errors.splitlines()[-1]
    assert line.startswith("mcdrop: error: ") and message in line
    assert not os.path.exists("predictions.h5") and not os.path.exists("predictions.h5.unfinished")  # noqa: PTH110


def test_an_output_that_is_there_is_kept(table, tmp_path, call):  # noqa: F811
    assert call(*GOOD, "--passes", "25", "-q")[0] == 0
    before = (tmp_path / "predictions.h5").read_bytes()
    code, _, errors = call(*GOOD, "--passes", "25")
    assert code == 2 and "--overwrite" in errors
    assert (tmp_path / "predictions.h5").read_bytes() == before
    assert call(*GOOD, "--passes", "50", "-q", "--overwrite")[0] == 0
    assert mcdrop.load("predictions.h5").passes == 50
    code, printed, _ = call(*GOOD, "--passes", "50", "--resume")
    assert code == 0 and "complete already" in printed


def test_an_export_for_one_number_of_rows_is_refused_with_what_to_do(tmp_path, call):  # noqa: F811
    net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5)).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(8, 2),)), tmp_path / "net.pt2")
    np.save(tmp_path / "x.npy", np.zeros((20, 2), np.float32))
    code, _, errors = call("predict", "net.pt2", "x.npy")
    assert code == 2 and "exported for 8 row(s)" in errors and "dynamic_shapes" in errors


def test_a_pickle_is_refused_with_the_reason(table, tmp_path, call):  # noqa: F811
    torch.save(nn.Linear(2, 1), tmp_path / "net.pt")
    code, _, errors = call("predict", "net.pt", "rows.csv", "--columns", "dose,age")
    assert code == 2 and "run" in errors and "code" in errors
    code, _, errors = call(*GOOD, "--weights", "net.pt")
    assert code == 2 and "would run code" in errors


def test_a_cluster_that_does_not_answer_costs_seconds(table, call):  # noqa: F811
    pytest.importorskip("ray", reason="ray comes with the test extra")
    begun = time.monotonic()
    code, _, errors = call(*GOOD, "--ray", "--address", "127.0.0.1:9")
    assert code == 2 and "127.0.0.1:9" in errors
    assert time.monotonic() - begun < 60
    assert sys.exc_info() == (None, None, None)

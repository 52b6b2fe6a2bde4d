"""`mcdrop predict` and `mcdrop sites`: one trained net, the same numbers by every road."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import mcdrop
from cli.test_main import COMMAND, call, run  # noqa: F401  # a fixture
from mcdrop.bulk import Written
from mcdrop.cli.predict import _report
from mcdrop.datasets import load_digits
from mcdrop.storage import Journal
from mcdrop.training import fit

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
    images, labels = data.train_images[:1500], data.train_labels[:1500]
    fit(net, images, labels, loss="cross_entropy", epochs=5, batch_size=64, lr=5e-3)
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


def test_a_killed_run_that_is_resumed_has_the_bits_of_one_that_was_not(trained, tmp_path, call):  # noqa: F811
    folder, _ = trained
    command = arguments(folder, tmp_path / "cut.h5", "--quiet", "--passes", "100")
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
    assert call(*command, "--resume") == (0, "", "")
    assert not journal.exists()
    assert call(*arguments(folder, tmp_path / "whole.h5", "--quiet", "--passes", "100")) == (0, "", "")
    one, other = mcdrop.load(tmp_path / "cut.h5"), mcdrop.load(tmp_path / "whole.h5")
    for name in FIELDS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on(trained, tmp_path, call):  # noqa: F811
    folder, _ = trained
    journal, over = tmp_path / "a.h5.unfinished", threading.Event()

    def interrupt():
        while not over.wait(0.002):
            if journal.exists() and journal.stat().st_size > 40_000:
                os.kill(os.getpid(), signal.SIGINT)
                return

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs us in background
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        code, printed, errors = call(*arguments(folder, tmp_path / "a.h5", "--quiet", "--passes", "400"))
    finally:
        over.set()
        thread.join()
    assert (code, printed) == (130, "")
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

def deep():
    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 8))
    return nn.Sequential(start, nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))

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


def make(name="make"):
    space = {}
    exec(NETS, space)
    return space[name]()


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
    assert code == 0 and "\n29 rows predicted in" in printed and "\n1 row holds NaN" in printed
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
        (("predict", "nets.py:nope", "rows.csv"), "nets.py has no 'nope'; it has make, deep, double, shorter"),
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
        ((*GOOD, "--image-size", "axb"), "--image-size must hold numbers, such as 224 or 224x320, got 'axb'"),
        ((*GOOD, "--image-mean", "a,b"), "--image-mean must hold numbers, such as 0.5 or 0.485,0.456,0.406, got 'a,b'"),
        ((*GOOD, "--weights", "nets.py"), "nets.py"),
        ((*GOOD, "--device", "tpu"), "device"),
        (("sites", *GOOD[1:], "--device", "tpu"), "device"),
        ((*GOOD, "--out", "nowhere/\0.h5"), "embedded null"),
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


def test_a_run_whose_rows_are_all_predicted_but_whose_file_is_not_there_is_not_called_complete(
    table,
    tmp_path,
    call,  # noqa: F811
    monkeypatch,
):
    def full(*args, **options):
        raise mcdrop.OutputError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("mcdrop.storage.write_blocks", full)
        assert call(*GOOD, "--passes", "25", "-q")[0] == 2
    assert not (tmp_path / "predictions.h5").exists()
    code, printed, _ = call(*GOOD, "--passes", "25", "--resume")
    assert code == 0 and "complete already" not in printed
    assert "30 rows had been predicted before" in printed and "Written to" in printed
    assert len(mcdrop.load("predictions.h5")) == 30


@pytest.mark.parametrize(
    ("rows", "gaps", "resumed", "lines"),
    [
        (1000, 0, 0, ["1,000 rows predicted in 2.0 s, 500 a second"]),
        (1000, 3, 0, ["997 rows predicted in 2.0 s, 498 a second", "3 rows hold NaN, without a prediction"]),
        (2, 1, 0, ["1 row predicted in 2.0 s, 0 a second", "1 row holds NaN, without a prediction"]),
        (1000, 0, 999, ["1 row predicted in 2.0 s, 0 a second, 999 before"]),
        (9, 2, 5, ["7 rows predicted, of 4 read in 2.0 s and 5 read before", "2 rows hold NaN, without a prediction"]),
        (9, 2, 9, ["7 rows had been predicted before", "2 rows hold NaN, without a prediction"]),
        (1, 0, 1, ["1 row had been predicted before"]),
    ],
)
def test_the_report_counts_the_rows_that_have_a_prediction(rows, gaps, resumed, lines):
    sites = SimpleNamespace(live=[0])
    done = Written(Path("p.h5"), rows, gaps, resumed, 100, 0, 2.0, sites)
    assert _report(done, 100) == ["passes: 100, 1 dropout site live", *lines, "Written to p.h5"]


WHOLE = {"passes": 60, "seed": 7, "masks": "independent", "sampling": "iid", "last_layer": "exact"}


def test_every_option_of_the_passes_arrives(table, call):  # noqa: F811
    options = WHOLE | {"batch_size": 7, "memory_limit": "20 MiB"}
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = ("predict", "nets.py:deep", *GOOD[2:])
    code, _, errors = call(*command, *given, "-q")
    assert code == 0, errors
    model, found = mcdrop.MCDropout(make("deep")), mcdrop.load("predictions.h5")
    expected = model.predict(table, **options)
    for name in ("mean", "std"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-7)
    for name, default in (("seed", 0), ("masks", "shared"), ("sampling", "stratified"), ("last_layer", "sampled")):
        other = model.predict(table, **(options | {name: default}))
        assert not np.allclose(found.std, other.std, rtol=1e-4), f"{name} changes nothing here"
    code, _, errors = call(*command, "-q", "--overwrite", "--memory-limit", "a little")
    assert code == 2 and "a little" in errors


def test_samples_are_kept_on_request(table, call):  # noqa: F811
    assert call(*GOOD, "--passes", "25", "--seed", "3", "--keep-samples", "-q")[0] == 0
    expected = mcdrop.MCDropout(make()).predict(table, passes=25, seed=3, keep_samples=True)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").samples, expected.samples, rtol=1e-5, atol=1e-6)


def test_as_many_passes_as_each_row_needs(table, call):  # noqa: F811
    def passes(*given):
        code, _, errors = call("predict", "nets.py:deep", *GOOD[2:], "--passes", "auto", "-q", "--overwrite", *given)
        assert code == 0, errors
        return mcdrop.load("predictions.h5").passes

    model = mcdrop.MCDropout(make("deep"))
    tight = passes("--tolerance", "0.02")
    np.testing.assert_array_equal(tight, model.predict(table, passes="auto", tolerance=0.02).passes)
    assert np.max(tight) > np.max(passes()) > 60
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # what it says of rows that would need more
        assert np.max(passes("--max-passes", "60")) == 60


def test_the_batch_size_is_the_size_of_the_blocks(table, call, monkeypatch):  # noqa: F811
    import mcdrop.bulk

    sizes = []
    whole = mcdrop.bulk.in_process
    monkeypatch.setattr(
        mcdrop.bulk, "in_process", lambda p, r, blocks, a: sizes.extend(map(len, blocks)) or whole(p, r, blocks, a)
    )
    assert call(*GOOD, "--batch-size", "7", "--passes", "25", "-q")[0] == 0
    assert sizes == [7, 7, 7, 7, 2]


def test_how_a_net_is_read_arrives(tmp_path, call):  # noqa: F811
    """Part, returns and axis of the classes, which stand last here."""
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); torch.manual_seed(0)\n"
        "        self.body = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 12))\n"
        "    def forward(self, x):\n"
        "        return {'aside': x, 'classes': self.body(x).reshape(-1, 4, 3).softmax(-1)}\n"
    )
    np.save("x.npy", np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))
    read = ["--task", "classification", "--output", "classes", "--outputs", "probabilities", "--class-axis", "-1"]
    code, _, errors = call("predict", "nets.py:Net", "x.npy", *read, "--passes", "25", "-q")
    assert code == 0, errors
    space = {}
    exec((tmp_path / "nets.py").read_text(), space)
    model = mcdrop.MCDropout(
        space["Net"](), task="classification", output="classes", outputs="probabilities", class_axis=-1
    )
    found, expected = mcdrop.load("predictions.h5"), model.predict(np.load("x.npy"), passes=25)
    assert found.probs.shape == (9, 4, 3)
    np.testing.assert_allclose(found.probs, expected.probs, rtol=1e-5, atol=1e-6)
    code, printed, errors = call("sites", "nets.py:Net", "x.npy", *read, "--device", "cpu")
    assert code == 0 and "0.5" in printed, errors


@pytest.mark.parametrize("name", ["d.xlsx", "d.npy", "D.PT", "d.csv.gz", "d.json"])
def test_a_name_of_another_kind_of_file_is_refused(table, tmp_path, call, name):  # noqa: F811
    code, _, errors = call(*GOOD, "-o", name)
    assert code == 2 and f"--out must end in .h5 (HDF5), .csv or .parquet, got {name}" in errors
    assert not list(tmp_path.glob(f"{name}*"))


def test_a_name_that_says_nothing_is_hdf5(table, call):  # noqa: F811
    for name, options in (("d", ()), ("d.result", ()), ("d.nc", ()), ("d.txt", ("--format", "hdf5"))):
        assert call(*GOOD, "-o", name, "--passes", "25", "-q", *options)[0] == 0
        assert len(mcdrop.load(name)) == 30


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


def test_an_export_with_a_bound_is_given_no_more_rows_at_once(tmp_path, call):  # noqa: F811
    net, x = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5)).eval(), np.ones((20, 2), np.float32)
    np.save(tmp_path / "x.npy", x)
    for name, size in {"most": {"max": 8}, "least": {"min": 4}}.items():
        program = torch.export.export(net, (torch.zeros(6, 2),), dynamic_shapes=({0: torch.export.Dim("n", **size)},))
        torch.export.save(program, tmp_path / f"{name}.pt2")
    code, printed, errors = call("predict", "most.pt2", "x.npy")
    assert code == 0 and "20 rows predicted" in printed and "at most 8 rows at a time" in printed, errors
    expected = mcdrop.MCDropout(net).predict(x, passes=100)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").mean, expected.mean, atol=1e-6)
    assert call("predict", "most.pt2", "x.npy", "--batch-size", "5", "--overwrite")[0] == 0
    code, _, errors = call("predict", "most.pt2", "x.npy", "--batch-size", "9", "--overwrite")
    assert code == 2 and "--batch-size must be at most 8, the rows that the net was exported for, got 9" in errors
    assert call("sites", "most.pt2", "x.npy")[0] == 0
    code, _, errors = call("predict", "least.pt2", "x.npy", "--overwrite")
    assert code == 2 and "exported for at least 4 rows at a time" in errors and "Dim.DYNAMIC" in errors


def test_an_export_of_two_inputs_takes_them_from_a_file_by_name(tmp_path, call):  # noqa: F811
    class Difference(nn.Module):
        def forward(self, left, right):
            return nn.functional.dropout(left - 2 * right, 0.5, False)

    rows, x = {0: torch.export.Dim.DYNAMIC}, (torch.zeros(6, 2), torch.zeros(6, 2))
    program = torch.export.export(Difference().eval(), x, dynamic_shapes=(rows, rows))
    torch.export.save(program, tmp_path / "net.pt2")
    x = np.random.default_rng(0).normal(size=(2, 20, 2)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["right"], file["left"] = x
    assert call("predict", "net.pt2", "x.h5")[0] == 0
    expected = mcdrop.MCDropout(Difference()).predict((x[1], x[0]), passes=100)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").mean, expected.mean, atol=1e-6)

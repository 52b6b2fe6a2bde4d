"""Files appear whole or not at all, and weights are reused only when the same recipe made them."""

import json

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from mcdrop.demos.artifacts import Artifacts
from mcdrop.errors import OutputError


def test_everything_written_can_be_read_again(tmp_path):
    artifacts = Artifacts(tmp_path / "new" / "folder")
    artifacts.check()
    artifacts.summary({"a": 1.5})
    artifacts.arrays("arrays", {"x": np.arange(3.0), "net/std": np.ones((2000, 1))}, units={"x": "year", "std": "ppm"})
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    artifacts.figure("line", figure)
    assert sorted(path.name for path in artifacts.folder.iterdir()) == [
        "arrays.h5",
        "line.png",
        "line.svg",
        "summary.json",
    ]
    assert [path.name for path in artifacts.written] == ["summary.json", "arrays.h5", "line.png", "line.svg"]
    assert json.loads((artifacts.folder / "summary.json").read_text()) == {"a": 1.5}
    with h5py.File(artifacts.folder / "arrays.h5") as file:
        assert file["x"].attrs["units"] == "year" and file["net/std"].attrs["units"] == "ppm"
        np.testing.assert_array_equal(file["net/std"][:], np.ones((2000, 1)))
    assert (artifacts.folder / "line.png").read_bytes().startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_weights_come_back_only_for_the_same_recipe(tmp_path):
    artifacts = Artifacts(tmp_path)
    net, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    artifacts.weights("net", net, {"lr": 0.1, "seed": 0})
    assert not artifacts.load_weights("net", other, {"lr": 0.2, "seed": 0})
    assert not artifacts.load_weights("absent", other, {"lr": 0.1, "seed": 0})
    assert not torch.equal(net.weight, other.weight)
    assert artifacts.load_weights("net", other, {"seed": 0, "lr": 0.1})
    assert torch.equal(net.weight, other.weight)


def test_damaged_weights_are_an_error_not_a_retraining(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"not weights")
    with pytest.raises(OutputError, match=r"net\.pt must hold weights"):
        Artifacts(tmp_path).load_weights("net", torch.nn.Linear(2, 1), {})


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    artifacts = Artifacts(tmp_path)
    artifacts.summary({"old": True})

    def fail_half_way(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        artifacts._write("summary.json", fail_half_way)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == {"old": True}


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose a writable folder with --out"):
        Artifacts(tmp_path / "file" / "out").check()

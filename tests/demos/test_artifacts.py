"""Files appear whole or not at all, and weights are reused only when the same recipe made them."""

import json

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

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


def flip_bytes(path):
    """Flip bits in the middle of the file, where the weights are."""
    data = bytearray(path.read_bytes())
    at = data.index(torch.arange(64.0).numpy().tobytes())
    data[at + 100] ^= 0xFF
    path.write_bytes(data)


def turn_into_nan(path):
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(load_file(path) | {"weight": torch.full((1, 64), torch.nan)}, path, metadata=header)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not weights"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: torch.save(torch.ones(3), path),
        lambda path: save_file(load_file(path), path),
        lambda path: save_file({}, path, metadata={"mcdrop": "{}"}),
        flip_bytes,
        turn_into_nan,
    ],
)
def test_damaged_weights_are_an_error_not_a_retraining(tmp_path, damage):
    net = torch.nn.Linear(64, 1)
    with torch.no_grad():
        net.weight[0] = torch.arange(64.0)
    artifacts = Artifacts(tmp_path)
    artifacts.weights("net", net, {})
    damage(tmp_path / "net.safetensors")
    with pytest.raises(
        OutputError, match=r"net\.safetensors must hold weights .* delete it, or run without --reuse"
    ) as error:
        artifacts.load_weights("net", torch.nn.Linear(64, 1), {})
    assert "\n" not in str(error.value)


def test_weights_of_another_net_are_an_error(tmp_path):
    artifacts = Artifacts(tmp_path)
    artifacts.weights("net", torch.nn.Linear(3, 1), {})
    with pytest.raises(OutputError, match="delete it"):
        artifacts.load_weights("net", torch.nn.Linear(2, 1), {})


def test_writing_twice_gives_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 1)
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        artifacts = Artifacts(folder)
        figure, ax = plt.subplots()
        ax.plot([0, 1])
        ax.set_xlim(0, 0.5)  # clips, and clip paths have names
        artifacts.figure("line", figure)
        artifacts.weights("net", net, {"seed": 0})
        artifacts.arrays("arrays", {"x": np.arange(2000.0)}, units={}, attributes={"seed": 0})
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


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
    with pytest.raises(OutputError, match=r"cannot write \S*file/out: .*choose a writable folder with --out"):
        Artifacts(tmp_path / "file" / "out").check()

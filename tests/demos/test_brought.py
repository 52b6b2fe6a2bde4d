"""Weights that a user brings to the digits demo: told apart, checked before any work, refused with a reason."""

import pytest
import torch

from mcdrop.demos import run_digits
from mcdrop.demos.digits.brought import find_weights
from mcdrop.errors import DataError, InputError
from mcdrop.networks import lenet, mlp
from mcdrop.weights import save_weights


@pytest.fixture
def folder(tmp_path):
    save_weights(mlp(), tmp_path / "net_mlp.safetensors", about={"recipe": {"rates": [0.2, 0.5]}})
    torch.save(lenet().state_dict(), tmp_path / "net_lenet.pt")
    return tmp_path


def test_a_folder_gives_what_it_holds(folder):
    both = {"mlp": folder / "net_mlp.safetensors", "lenet": folder / "net_lenet.pt"}
    assert find_weights(folder) == find_weights([str(folder)]) == both
    (folder / "net_lenet.pt").unlink()
    assert find_weights([folder]) == {"mlp": both["mlp"]}


def test_files_are_told_by_what_is_in_them(folder):
    one, other = folder / "a.pt", folder / "b.safetensors"
    (folder / "net_lenet.pt").rename(one)
    (folder / "net_mlp.safetensors").rename(other)
    assert find_weights([one, other]) == {"lenet": one, "mlp": other}
    assert find_weights(()) == {}


def test_two_files_for_one_net_are_refused(folder):
    with pytest.raises(InputError, match=r"one file for each net, got .*net_mlp.* and .*net_mlp.* for the mlp"):
        find_weights([folder, folder / "net_mlp.safetensors"])


def test_weights_of_a_net_without_that_dropout_are_refused(tmp_path):
    file = tmp_path / "net_mlp_none.safetensors"
    save_weights(mlp(), file, about={"recipe": {"rates": [0.0, 0.0]}})
    with pytest.raises(InputError, match=r"rates of the demo's mlp, \[0\.2, 0\.5\], got \[0\.0, 0\.0\]"):
        find_weights(file)


@pytest.mark.parametrize("name", ["net_mlp.safetensors", "net_lenet.pt"])
def test_damaged_files_are_refused_before_any_work(folder, name):
    file = folder / name
    file.write_bytes(file.read_bytes()[:-99])
    with pytest.raises(DataError, match=name):
        run_digits(folder / "out", preset="tiny", weights=folder)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere.safetensors", DataError, "files or folders that are there"),
        ("nowhere", DataError, "files or folders that are there"),
        ("notes.txt", InputError, r"must end in one of \.safetensors"),
        ("small.safetensors", InputError, "of the 800-800 perceptron or of the LeNet, got neither .*as mlp.*as lenet"),
        ("empty", DataError, "must hold net_mlp or net_lenet"),
    ],
)
def test_what_is_no_weights_of_either_net_is_refused(tmp_path, name, error, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    save_weights(mlp(hidden=(8, 8)), tmp_path / "small.safetensors")
    with pytest.raises(error, match=message):
        find_weights([tmp_path / name])


def test_what_others_know_about_their_weights_is_no_concern(tmp_path):
    save_weights(mlp(), tmp_path / "net_mlp.safetensors", about={"recipe": "adam", "training": {"lr": 0.1}})
    assert find_weights(tmp_path) == {"mlp": tmp_path / "net_mlp.safetensors"}

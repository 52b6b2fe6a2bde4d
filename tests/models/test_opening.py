"""One door for every form: what a file is, its content says, and each refusal says what to do."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mcdrop.errors import DataError, InputError
from mcdrop.models import Model, open_model

from .made import evil_pickle, evil_torch

FORMS = "MODEL must be a program saved with torch.export.save"


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


@pytest.mark.parametrize("name", ["net.pt2", "net.pt", "net.pkl", "nets.py", "deep/net.safetensors"])
def test_a_file_that_is_not_there_is_said_to_be_missing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"{name} is not there; check the path"):
        open_model(name)


@pytest.mark.parametrize("name", ["resnet18", "bert-base-uncased", "google/vit", "net:", ":make", "a:b:c:1", "a b:c d"])
def test_what_is_of_no_form_is_told_the_three(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"package\.module:factory.*Hugging Face folder; got .*nothing is downloaded"):
        open_model(name)


@pytest.mark.parametrize("name", ["", " ", "a\0b", 3, None])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match=FORMS):
        open_model(name)


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "pt2", "anything"])
def test_a_file_of_torch_save_is_never_read_as_a_net(tmp_path, ending):
    path, marker = tmp_path / f"net.{ending}", tmp_path / "marker"
    path.write_bytes(evil_torch(marker))
    with pytest.raises(DataError, match=r"is a file of torch\.save: as a net, its pickle would run code") as caught:
        open_model(str(path))
    assert (f"this file as --weights {path}" in str(caught.value)) == (ending in ("pt", "pth", "bin"))
    assert ("save net.state_dict()" in str(caught.value)) == (ending not in ("pt", "pth", "bin"))
    assert not marker.exists()


@pytest.mark.parametrize("ending", ["pkl", "pt2", "ckpt"])
def test_a_plain_pickle_is_never_read(tmp_path, ending):
    path, marker = tmp_path / f"net.{ending}", tmp_path / "marker"
    path.write_bytes(evil_pickle(marker))
    with pytest.raises(DataError, match=r"is a pickle, which would run code; save net\.state_dict"):
        open_model(str(path))
    assert not marker.exists()
    path.write_bytes(pickle.dumps({}, protocol=5))
    with pytest.raises(DataError, match="is a pickle"):
        open_model(str(path))


def test_weights_alone_are_no_net(tmp_path):
    for name in ("net.safetensors", "net.pt2"):
        save_file({"a": torch.ones(2)}, tmp_path / name)
        with pytest.raises(DataError, match="holds weights without the net"):
            open_model(str(tmp_path / name))


def test_torchscript_is_refused(tmp_path):
    """Made by hand: torch warns that it gives up its own."""
    path = zipped(tmp_path / "net.pt2", "net/data.pkl", "net/code/__torch__.py", "net/constants.pkl")
    with pytest.raises(DataError, match=r"TorchScript archive, which holds code; save the net with torch.export.save"):
        open_model(str(path))


def test_compiled_code_is_refused(tmp_path):
    path = zipped(tmp_path / "net.pt2", "net/archive_format", "net/data/aotinductor/model/wrapper.so")
    with pytest.raises(DataError, match=r"holds code that AOTInductor compiled.*torch.export.save"):
        open_model(str(path))


def test_programs_of_old_torch_are_refused(tmp_path):
    path = zipped(tmp_path / "net.pt2", "version", "serialized_exported_program.json", "serialized_state_dict.pt")
    with pytest.raises(DataError, match=r"torch 2\.7 or an older one exported.*export it again"):
        open_model(str(path))


def test_other_files_are_told_the_three_forms(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    (tmp_path / "b.onnx").write_bytes(b"\x08\x07graph")
    (tmp_path / "c.txt").write_text("net")
    (tmp_path / "d.pt2").write_bytes(b"")
    zipped(tmp_path / "e.zip", "a/b")
    for name, told in (
        ("a.npz", f"is no file that holds a net; {FORMS}"),
        ("b.onnx", "is an ONNX graph, whose dropout is gone"),
        ("c.txt", f"is no file that holds a net; {FORMS}"),
        ("d.pt2", f"is empty; {FORMS}"),
        ("e.zip", f"is no file that holds a net; {FORMS}"),
    ):
        with pytest.raises(DataError, match=told):
            open_model(str(tmp_path / name))


@pytest.mark.parametrize("name", ["net.pt2", "net.pt"])
def test_an_archive_that_was_cut_short_is_told_so(tmp_path, name):
    path = zipped(tmp_path / name, "net/archive_format")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(
        DataError, match="is no whole archive: it was cut short; copy it again, or export the net again"
    ):
        open_model(path)


def test_a_path_is_as_good_as_a_text(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("from torch import nn\ndef make(): return nn.Dropout()\n")
    assert open_model(Path(f"{path}:make")).about["name"] == f"{path}:make"
    with pytest.raises(DataError, match=r"net\.pt2 is not there"):
        open_model(tmp_path / "net.pt2")


def test_a_folder_without_a_config_is_told_the_three_forms(tmp_path):
    with pytest.raises(DataError, match=f"is a folder without a config.json; {FORMS}"):
        open_model(str(tmp_path))


def test_code_without_a_name_in_it_is_asked_for_one(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text("")
    with pytest.raises(InputError, match=r"name what builds the net in it, such as .*nets\.py:make_net"):
        open_model(str(path))


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="device must be one that torch can use here"):
        open_model("mcdrop.networks:lenet", device="abacus")


def test_weights_beside_a_file_that_holds_its_own_are_refused(tmp_path):
    path = zipped(tmp_path / "net.pt2", "net/archive_format")
    with pytest.raises(InputError, match=r"weights go with the code .*beside an exported program, which holds its own"):
        open_model(str(path), weights="w.pt")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="beside a Hugging Face folder, which holds its own"):
        open_model(str(tmp_path), weights="w.pt")


def test_a_model_is_frozen():
    model = open_model("mcdrop.networks:lenet")
    assert isinstance(model, Model)
    with pytest.raises(AttributeError):
        model.kind = "export"

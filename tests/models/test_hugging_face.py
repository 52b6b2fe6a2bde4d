"""Hugging Face folders: the same predictions as the net that was saved, no code of theirs, and no network."""

import json

import numpy as np
import pytest
import torch

from mcdrop import MCDropout
from mcdrop.errors import DataError, DependencyError
from mcdrop.models import open_model
from mcdrop.models.hugging_face import _offline, _task_of

from .made import evil_pickle, evil_torch

transformers = pytest.importorskip("transformers")

WORDS = {"input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]]), "attention_mask": torch.ones(2, 3, dtype=torch.long)}
SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 12,
    "max_position_embeddings": 12,
}


def bert(kind="BertForSequenceClassification", **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, kind)(transformers.BertConfig(**SIZE, **options)).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets") / "bert"
    bert(num_labels=3).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """Return a copy that a test may spoil."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(folder, **entries):
    place = folder / "config.json"
    config = json.loads(place.read_text()) | entries
    place.write_text(json.dumps(config))


def assert_predicts_as(model, net):
    both = [MCDropout(one, task="classification").predict(WORDS, passes=6, seed=2) for one in (model.net, net)]
    np.testing.assert_allclose(both[0].probs, both[1].probs, atol=1e-6)
    assert both[0].mutual_information.max() > 1e-6


def test_a_folder_gives_the_net_that_was_saved(saved, capfd):
    model = open_model(str(saved))
    assert type(model.net).__name__ == "BertForSequenceClassification" and not model.net.training
    assert (model.kind, model.task, model.rows) == ("hugging_face", "classification", None)
    assert model.describe() == f"{saved}: Hugging Face net with 2,467 parameters, for classification"
    assert_predicts_as(model, bert(num_labels=3))
    assert capfd.readouterr() == ("", "")  # no progress, no word


def test_what_identifies_a_folder(saved, folder):
    about, copy = open_model(str(saved)).about, open_model(str(folder)).about
    assert (about["kind"], about["name"], copy["name"]) == ("hugging_face", str(saved), str(folder))
    assert (about["sha256"], about["code"]) == (copy["sha256"], copy["code"])
    change(folder, hidden_dropout_prob=0.5)
    other = open_model(str(folder)).about
    assert other["code"] != about["code"] and other["sha256"] == about["sha256"]


@pytest.mark.parametrize(
    ("kind", "options", "task"),
    [
        ("BertForSequenceClassification", {"num_labels": 1}, "regression"),
        ("BertForSequenceClassification", {"num_labels": 2, "problem_type": "regression"}, "regression"),
        ("BertForSequenceClassification", {"problem_type": "single_label_classification"}, "classification"),
        ("BertForSequenceClassification", {"problem_type": "multi_label_classification"}, None),
        ("BertForTokenClassification", {"num_labels": 3}, "classification"),
        ("BertModel", {}, None),
    ],
)
def test_the_task_is_what_class_and_config_say(kind, options, task):
    assert _task_of(bert(kind, **options)) == task


def test_without_a_class_the_plain_net_is_taken(tmp_path):
    bert("BertModel").save_pretrained(tmp_path)
    change(tmp_path, architectures=None)
    assert type(open_model(str(tmp_path)).net).__name__ == "BertModel"


def test_a_state_dict_of_torch_is_read(folder):
    torch.save(bert(num_labels=3).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_predicts_as(open_model(str(folder)), bert(num_labels=3))


@pytest.mark.parametrize("make", [evil_torch, evil_pickle])
def test_a_pickle_among_the_weights_never_runs(folder, make):
    marker = folder / "marker"
    (folder / "pytorch_model.bin").write_bytes(make(marker))
    assert_predicts_as(open_model(str(folder)), bert(num_labels=3))  # safetensors are preferred
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"holds more than weights: to read it would run code|cannot be opened"):
        open_model(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"auto_map": {"AutoModel": "code.Net"}}, r"asks for code of its own \(auto_map\)"),
        ({"text_config": {"auto_map": {"AutoModel": "code.Net"}}}, "asks for code of its own"),
        ({"_attn_implementation": "kernels-community/flash"}, "asks for code of a hub .*kernels-community/flash"),
        ({"attn_implementation": {"text_config": "a/b"}}, "asks for code of a hub"),
        ({"experts_implementation": "kernels-community/moe"}, "asks for code of a hub .*kernels-community/moe"),
        ({"text_config": {"_experts_implementation": "a/b"}}, "asks for code of a hub"),
        ({"quantization_config": {"quant_method": "torchao"}}, "its weights are quantized"),
    ],
)
def test_what_asks_for_code_is_refused(folder, entries, told):
    (folder / "code.py").write_text(f"import os\nos.mkdir({str(folder / 'marker')!r})\n")
    change(folder, **entries)
    with pytest.raises(DataError, match=f"was refused, since .*{told}.*package.module:factory"):
        open_model(str(folder))
    assert not (folder / "marker").exists()


def test_the_library_is_told_to_run_and_fetch_nothing(saved, monkeypatch):
    """The second wall: a folder that passes the checks above by a name that they do not know meets these."""
    kind, told = transformers.BertForSequenceClassification, {}
    load = kind.from_pretrained
    monkeypatch.setattr(
        kind, "from_pretrained", lambda place, **options: told.update(options) or load(place, **options)
    )
    open_model(saved)
    assert told["trust_remote_code"] is False and told["local_files_only"] is True
    assert told["weights_only"] is True and told["use_safetensors"] is True


def test_an_adapter_is_refused(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    with pytest.raises(DataError, match="an adapter of another net; merge the two"):
        open_model(str(folder))


@pytest.mark.parametrize("name", ["NetOfTomorrow", "AutoTokenizer", "pipeline", "__name__"])
def test_a_class_that_is_no_net_of_transformers_is_refused(folder, name):
    change(folder, architectures=[name])
    with pytest.raises(DataError, match=f"has no '{name}', and code for it is not fetched"):
        open_model(str(folder))


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    bert("BertModel").save_pretrained(tmp_path)
    change(tmp_path, architectures=["BertForSequenceClassification"])
    with pytest.raises(DataError, match=r"got none that fit for classifier\.bias, classifier.weight; save the trained"):
        open_model(str(tmp_path))


def test_weights_of_another_size_are_refused(folder):
    change(folder, vocab_size=13)
    with pytest.raises(DataError, match=r"cannot be opened by transformers|got none that fit for"):
        open_model(str(folder))


def test_a_damaged_folder_is_one_clear_error(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be opened by transformers"):
        open_model(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"must hold model\.safetensors .* got neither"):
        open_model(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match="must be JSON"):
        open_model(str(folder))
    (folder / "config.json").write_text("[]")
    with pytest.raises(DataError, match="must describe one net"):
        open_model(str(folder))


def test_an_unknown_type_of_net_is_refused(folder):
    change(folder, model_type="tomorrow", architectures=None)
    with pytest.raises(DataError, match="cannot be opened by transformers"):
        open_model(str(folder))


def test_no_request_leaves_while_a_folder_is_opened():
    import huggingface_hub
    from huggingface_hub import constants, errors

    before = constants.HF_HUB_OFFLINE
    with _offline(), pytest.raises(errors.OfflineModeIsEnabled):
        huggingface_hub.HfApi().model_info("someone/else")
    assert before == constants.HF_HUB_OFFLINE


def test_the_settings_of_the_library_stay(saved):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    open_model(str(saved))
    assert before == (logging.get_verbosity(), logging.is_progress_bar_enabled())


def test_without_transformers_the_package_is_named(saved, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(DependencyError, match="needs transformers; pip install transformers"):
        open_model(str(saved))

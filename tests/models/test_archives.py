"""Archives that would run code if torch read them as they are: refused, and nothing of them ever runs."""

import json
import warnings
import zipfile

import pytest
import torch

from mcdrop import MCDropout
from mcdrop.errors import DataError, McdropError
from mcdrop.models import open_model
from mcdrop.models.archives import read_records, rebuilt
from mcdrop.models.graphs import checked_program

from .made import (
    CONSTANTS,
    PROGRAM,
    ROWS,
    SAMPLES,
    WEIGHTS,
    built,
    evil_code,
    evil_pickle,
    evil_torch,
    records_of,
    save_export,
    write_records,
)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "net.pt2"
    return save_export(built(), path, torch.ones(5, 3), dynamic_shapes={"x": ROWS})


def changed(records, name, change):
    text = json.loads(records[name])
    change(text)
    return records | {name: json.dumps(text).encode()}


def pickled_weight(records, marker):
    def change(text):
        text["config"]["first.weight"]["use_pickle"] = True

    return changed(records, WEIGHTS, change) | {"data/weights/weight_0": evil_torch(marker)}


def pickled_constant(records, marker):
    def change(text):
        text["config"]["scale"]["use_pickle"] = True

    place = json.loads(records[CONSTANTS])["config"]["scale"]["path_name"]
    return changed(records, CONSTANTS, change) | {f"data/constants/{place}": evil_torch(marker)}


def opaque(records, marker):
    def change(text):
        text["config"]["scale"].update(path_name="opaque_obj_0", use_pickle=True)

    return changed(records, CONSTANTS, change) | {"data/constants/opaque_obj_0": evil_pickle(marker)}


def custom(records, marker):
    def change(text):
        text["config"]["scale"].update(path_name="custom_obj_0", use_pickle=True)

    return changed(records, CONSTANTS, change) | {"data/constants/custom_obj_0": evil_torch(marker)}


def opaque_not_marked(records, marker):
    def change(text):
        text["config"]["scale"].update(path_name="opaque_obj_0")

    evil = evil_pickle(marker)
    evil += bytes(-len(evil) % 4)  # torch takes a record of whole numbers of 4 bytes; a pickle may have a tail
    return changed(records, CONSTANTS, change) | {"data/constants/opaque_obj_0": evil}


def old_weights(records, marker):
    return records | {"data/weights/model.pt": evil_torch(marker)}


def old_constants(records, marker):
    return records | {"data/constants/model.pt": evil_torch(marker)}


def sizes(records, marker):
    def change(text):
        size = text["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]
        size["as_expr"]["expr_str"] = evil_code(marker)

    return changed(records, PROGRAM, change)


def operator(records, marker):
    def change(text):
        node = json.loads(json.dumps(text["graph_module"]["graph"]["nodes"][0]))
        node["target"] = "torch.os.mkdir"
        node["inputs"] = [{"name": "", "arg": {"as_string": str(marker)}, "kind": 1}]
        node["outputs"], node["name"] = [{"as_none": True}], "made"
        text["graph_module"]["graph"]["nodes"].insert(0, node)

    return changed(records, PROGRAM, change)


def library(records, marker):
    def change(text):
        text["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.load_library"

    return changed(records, PROGRAM, change)


def file(records, marker):
    def change(text):
        text["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"

    return changed(records, PROGRAM, change)


def custom_operator(records, marker):
    def change(text):
        text["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.mine.linear.default"

    return changed(records, PROGRAM, change)


def enumeration(records, marker):
    def change(text):
        signature = text["graph_module"]["module_call_graph"][0]["signature"]
        protocol, tree = json.loads(signature["out_spec"])
        member = json.dumps({"__enum__": True, "fqn": "marks_when_imported:Nothing", "name": "A"})
        tree = {"type": "builtins.dict", "context": f"[{member}]", "children_spec": [tree]}
        signature["out_spec"] = json.dumps([protocol, tree])

    return changed(records, PROGRAM, change)


def node_name(records, marker):
    evil = f"add\n    {evil_code(marker)}\n    y"

    def change(text):
        graph = text["graph_module"]["graph"]
        graph["nodes"][-1]["name"] = evil

    return changed(records, PROGRAM, change)


def argument_name(records, marker):
    def change(text):
        signature = text["graph_module"]["module_call_graph"][0]["signature"]
        signature["forward_arg_names"] = [f"x={evil_code(marker)}"]

    return changed(records, PROGRAM, change)


def parameter_name(records, marker):
    code = list(evil_code(marker).encode())  # a dot would end the name
    evil = f'training"), exec(bytes({code})), getattr(self, "training'

    def change(text):
        for spec in text["graph_module"]["signature"]["input_specs"]:
            if spec.get("parameter", {}).get("parameter_name") == "first.weight":
                spec["parameter"]["parameter_name"] = evil

    def rename(text):
        text["config"][evil] = text["config"].pop("first.weight")

    return changed(changed(records, PROGRAM, change), WEIGHTS, rename)


def hidden_name(records, marker):
    def change(text):
        for spec in text["graph_module"]["signature"]["input_specs"]:
            if spec.get("parameter", {}).get("parameter_name") == "first.weight":
                spec["parameter"]["parameter_name"] = "first.__class__"

    def rename(text):
        text["config"]["first.__class__"] = text["config"].pop("first.weight")

    return changed(changed(records, PROGRAM, change), WEIGHTS, rename)


def endless(records, marker):
    def change(text):
        size = text["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]
        size["as_expr"]["expr_str"] = "Pow(Integer(10), Integer(10000000000))"

    return changed(records, PROGRAM, change)


def inner_module(records, marker):
    """In what is said of a module inside the net, which only a program taken apart again would need."""

    def change(text):
        calls = text["graph_module"]["module_call_graph"]
        inner = json.loads(json.dumps(calls[0])) | {"fqn": "first"}
        protocol, tree = json.loads(inner["signature"]["out_spec"])
        member = json.dumps({"__enum__": True, "fqn": "marks_when_imported:Nothing", "name": "A"})
        tree = {"type": "builtins.dict", "context": f"[{member}]", "children_spec": [tree]}
        inner["signature"]["out_spec"] = json.dumps([protocol, tree])
        calls.append(inner)

    return changed(records, PROGRAM, change)


def guard(records, marker):
    def change(text):
        text["guards_code"] = [evil_code(marker)]

    return changed(records, PROGRAM, change)


def object_input(records, marker):
    def change(text):
        text["graph_module"]["graph"]["custom_obj_values"] = {"obj": {"name": "obj", "class_fqn": "a.B"}}

    return changed(records, PROGRAM, change)


RUN = {  # what torch itself would run, when it reads, or when it predicts
    pickled_weight: "'weight_0' is a pickle",
    pickled_constant: "is a pickle",
    opaque: "'opaque_obj_0' is a pickle",
    opaque_not_marked: "'opaque_obj_0' is a pickle",
    old_weights: "of an older format, which holds pickles",
    old_constants: "of an older format, which holds pickles",
    sizes: "no arithmetic of symbols and numbers",
    enumeration: "the keys of its inputs or outputs are no plain words",
    inner_module: "the keys of its inputs or outputs are no plain words",
    parameter_name: "no path of plain names",
    guard: "no comparison of sizes",
}
REFUSED = {  # what torch stops by other checks or by chance, and what is harmless to read and harmful to run
    argument_name: "no plain identifier",
    node_name: "no plain identifier",
    operator: r"it calls 'torch\.os\.mkdir'",
    custom: "'custom_obj_0' is a pickle",
    library: r"it calls 'torch\.ops\.load_library'",
    file: r"it calls 'torch\.ops\.aten\.from_file\.default'",
    custom_operator: r"it calls 'torch\.ops\.mine\.linear\.default'",
    object_input: "objects of classes",
    hidden_name: "no path of plain names",
    endless: "no arithmetic of symbols and numbers",
}


@pytest.fixture
def marker(tmp_path, monkeypatch):
    (tmp_path / "marks_when_imported.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'marker')!r})\nclass Nothing: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "marks_when_imported", raising=False)
    return tmp_path / "marker"


@pytest.mark.parametrize("attack", [*RUN, *REFUSED], ids=lambda attack: attack.__name__)
def test_what_would_run_code_is_refused_and_runs_none(export, tmp_path, marker, attack):
    path = write_records(tmp_path / "evil.pt2", attack(records_of(export), marker))
    with pytest.raises(DataError, match=(RUN | REFUSED)[attack]) as caught:
        open_model(str(path))
    assert str(caught.value).startswith(f"{path} was refused, since ")
    assert not marker.exists()


@pytest.mark.parametrize("attack", RUN, ids=lambda attack: attack.__name__)
def test_the_attacks_are_real(export, tmp_path, marker, attack):
    """Torch itself runs every one of them; else the test above would say nothing."""
    path = write_records(tmp_path / "evil.pt2", attack(records_of(export), marker))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.export.load(path).module()(torch.ones(5, 3))
        except Exception:  # after the code has run, most of them are no nets any more
            assert marker.exists()
    assert marker.exists()


def test_sample_inputs_are_never_unpickled(export, tmp_path, marker):
    """Every archive holds some; no pass needs them."""
    path = write_records(tmp_path / "evil.pt2", records_of(export) | {SAMPLES: evil_torch(marker)})
    model = open_model(str(path))
    x = torch.randn(4, 3)
    both = [MCDropout(net).predict(x, passes=4, seed=0) for net in (model.net, built())]
    assert abs(both[0].mean - both[1].mean).max() < 1e-6
    assert not marker.exists()
    with pytest.raises((AssertionError, TypeError)):  # the latter from its own word about it
        torch.export.load(path)
    assert marker.exists()


def test_tensors_are_not_kept_twice(export):
    records = read_records(export)
    assert records["data/weights/weight_0"]
    rebuilt(records, checked_program(json.loads(records[PROGRAM])))
    assert not any(name.startswith(("data/weights/weight_", "data/constants/tensor_")) for name in records)


def test_two_records_of_one_name_are_refused(export, tmp_path, marker):
    """Two readers of zip files may take different ones."""
    path = tmp_path / "twice.pt2"
    path.write_bytes(export.read_bytes())
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(f"other/{SAMPLES}", evil_torch(marker))
    with pytest.raises(DataError, match=r"two records named 'data/sample_inputs/model\.pt'"):
        open_model(str(path))
    assert not marker.exists()


def test_packed_records_are_refused(export, tmp_path):
    path = tmp_path / "packed.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records_of(export).items():
            archive.writestr(f"model/{name}", data)
    with pytest.raises(DataError, match="is packed"):
        open_model(str(path))


def test_other_bytes_order_is_refused(export, tmp_path):
    path = write_records(tmp_path / "big.pt2", records_of(export) | {"byteorder": b"big"})
    with pytest.raises(DataError, match="another byte order than little-endian"):
        open_model(str(path))


@pytest.mark.parametrize("seed", range(40))
def test_a_text_that_is_changed_anywhere_opens_or_is_one_clear_error(export, tmp_path, marker, seed):
    """Each text of the program in turn is code; nothing runs, whatever happens."""
    records = records_of(export)
    text = json.loads(records[PROGRAM])
    places = []

    def visit(held):
        for key, value in held.items() if isinstance(held, dict) else enumerate(held):
            if isinstance(value, str):
                places.append((held, key))
            elif isinstance(value, dict | list):
                visit(value)

    visit(text)
    for held, key in places[seed::40]:
        before, held[key] = held[key], evil_code(marker)
        path = write_records(tmp_path / "evil.pt2", records | {PROGRAM: json.dumps(text).encode()})
        try:
            MCDropout(open_model(str(path)).net).predict(torch.ones(5, 3), passes=2)
        except McdropError:
            pass
        held[key] = before
        assert not marker.exists()

"""Nets from code that the user names: found, called, given weights; every failure says what and where."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop import MCDropout
from mcdrop.errors import DataError, InputError, NetError
from mcdrop.models import open_model
from mcdrop.weights import save_weights

from .made import ROWS, built

CODE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=8):
        super().__init__(nn.Linear(3, width), nn.ReLU(), nn.Dropout(0.4), nn.Linear(width, 2))

class Nets:
    @staticmethod
    def small():
        return Net(4)

def make():
    return Net()

def make_later():
    import beside_it
    return beside_it.make()

def needs(width, *, depth, rate=0.1):
    return Net(width)

def fails():
    raise KeyError("no such width")

def leaves():
    raise SystemExit(3)

def returns_class():
    return Net

def returns_text():
    return "net"

ready = Net()
number = 3
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with a module whose name no other test has, as the working folder."""
    name = f"nets_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    (tmp_path / "beside_it.py").write_text("from torch import nn\ndef make(): return nn.Dropout(0.2)\n")
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield name
    for extra in set(sys.modules) - before:
        if extra.startswith((name, "mcdrop_named_code_", "beside_it", "bad_")):
            del sys.modules[extra]


@pytest.mark.parametrize("form", ["{}:make", "{}.py:make", "./{}.py:make", "{}:Net", "{}:Nets.small", "{}:ready"])
def test_every_way_to_name_a_net_gives_it(place, form):
    path = list(sys.path)
    model = open_model(form.format(place))
    assert (model.kind, model.task, model.rows) == ("factory", None, None)
    assert isinstance(model.net, nn.Module) and not model.net.training
    pred = MCDropout(model.net).predict(torch.ones(4, 3), passes=4)
    assert pred.mean.shape == (4, 2)
    assert sys.path == path


def test_a_package_of_this_folder_is_found(place, tmp_path):
    (tmp_path / "bad_package").mkdir()
    (tmp_path / "bad_package" / "__init__.py").write_text("")
    (tmp_path / "bad_package" / "inner.py").write_text(CODE)
    assert open_model("bad_package.inner:make").describe().endswith("net of a factory with 50 parameters")


@pytest.mark.parametrize("form", ["{}:make_later", "{}.py:make_later"])
def test_the_factory_may_import_what_lies_beside_it(place, form):
    assert isinstance(open_model(form.format(place)).net, nn.Dropout)


def test_a_file_of_another_folder_imports_what_lies_beside_it(place, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert isinstance(open_model(f"../{place}.py:make_later").net, nn.Dropout)


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth", ".bin"])
def test_weights_make_it_the_net_that_was_saved(place, tmp_path, ending):
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2)).eval()
    weights = tmp_path / f"net{ending}"
    save_weights(net, weights) if ending == ".safetensors" else torch.save(net.state_dict(), weights)
    model = open_model(f"{place}:make", weights=weights)
    x = torch.randn(5, 3)
    both = [MCDropout(one).predict(x, passes=6, seed=1) for one in (model.net, net)]
    np.testing.assert_allclose(both[0].mean, both[1].mean, atol=1e-6)
    np.testing.assert_allclose(both[0].std, both[1].std, atol=1e-6)
    again = open_model(f"{place}:make", weights=str(weights))
    assert again.about == model.about
    assert open_model(f"{place}:make").about["sha256"] != model.about["sha256"]
    assert open_model(f"{place}:make").about["code"] == model.about["code"]


def test_weights_that_are_a_pickle_are_refused(place, tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(DataError, match="was refused, since it holds more than weights"):
        open_model(f"{place}:make", weights=tmp_path / "net.pt")


def test_weights_of_another_net_are_refused(place, tmp_path):
    save_weights(nn.Linear(2, 2), tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="must hold this net's weights"):
        open_model(f"{place}:make", weights=tmp_path / "net.safetensors")


def test_a_factory_may_return_a_program(place, tmp_path):
    net = built()
    torch.export.save(torch.export.export(net, (torch.ones(5, 3),), dynamic_shapes={"x": ROWS}), tmp_path / "net.pt2")
    (tmp_path / "bad_loads.py").write_text("import torch\ndef make(): return torch.export.load('net.pt2')\n")
    model = open_model("bad_loads:make")
    x = torch.randn(4, 3)
    both = [MCDropout(one).predict(x, passes=6, seed=1) for one in (model.net, net)]
    np.testing.assert_allclose(both[0].mean, both[1].mean, atol=1e-6)
    assert model.kind == "factory" and len(model.about["sha256"]) == 64
    with pytest.raises(InputError, match=r"beside bad_loads:make, which returns an exported program"):
        open_model("bad_loads:make", weights="w.pt")


def test_a_module_that_is_not_there_says_from_where(place, tmp_path):
    with pytest.raises(InputError, match=f"no module named 'nowhere_to_be_found' was found from {tmp_path}"):
        open_model("nowhere_to_be_found:make")
    with pytest.raises(InputError, match=f"no module named '{place}.inner'"):
        open_model(f"{place}.inner:make")
    with pytest.raises(InputError, match="leave out the first dots"):
        open_model(".nets:make")
    with pytest.raises(DataError, match=f"nowhere.py is not there as a file, from {tmp_path}"):
        open_model("nowhere.py:make")


@pytest.mark.parametrize("form", ["bad_code:make", "bad_code.py:make"])
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\nx.y\n", r"AttributeError: 'int' object has no attribute 'y' \(.*bad_code\.py, line 2\)"),
        ("\n\ndef make(:\n", r"SyntaxError: .* \(.*bad_code\.py, line 3\)"),
        ("import not_installed_anywhere\n", r"ModuleNotFoundError: No module named 'not_installed.*line 1\)"),
        ("raise SystemExit(2)\n", r"SystemExit: 2 \(.*bad_code\.py, line 1\)"),
        ("raise ValueError\n", r"ValueError: no message \(.*line 1\)"),
    ],
)
def test_an_import_that_fails_says_why_and_where(place, tmp_path, form, code, told):
    (tmp_path / "bad_code.py").write_text(code)
    path = list(sys.path)
    with pytest.raises(NetError, match=f"(importing bad_code|loading bad_code.py) failed with {told}; mend that code"):
        open_model(form)
    assert sys.path == path
    assert not [name for name in sys.modules if "bad_code" in name]


def test_a_name_that_is_missing_lists_the_nearest(place):
    with pytest.raises(InputError, match="has no 'mkae'; did you mean make"):
        open_model(f"{place}:mkae")
    with pytest.raises(InputError, match=r"has no 'Nets\.smal'; did you mean small"):
        open_model(f"{place}.py:Nets.smal")
    with pytest.raises(InputError, match=r"has no 'zzzzzz'; it has .*make"):
        open_model(f"{place}:zzzzzz")


def test_a_factory_that_needs_arguments_lists_them(place):
    with pytest.raises(InputError, match="without arguments, got one that needs width, depth; name a function"):
        open_model(f"{place}:needs")
    with pytest.raises(InputError, match="needs in_features, out_features"):
        open_model("torch.nn:Linear")


def test_a_factory_that_raises_says_what_and_where(place):
    line = CODE.split("\n").index('    raise KeyError("no such width")') + 1
    with pytest.raises(NetError, match=rf"calling .*:fails failed with KeyError: 'no such width' \(.*line {line}\)"):
        open_model(f"{place}:fails")
    with pytest.raises(NetError, match=r"failed with SystemExit: 3"):
        open_model(f"{place}:leaves")


def test_what_is_no_net_is_named(place):
    with pytest.raises(InputError, match=r"must return a torch\.nn\.Module or an exported program, got str"):
        open_model(f"{place}:returns_text")
    with pytest.raises(InputError, match=r"must return a torch\.nn\.Module or an exported program, got type"):
        open_model(f"{place}:returns_class")
    with pytest.raises(InputError, match=r"must be a torch\.nn\.Module or an exported program, got int"):
        open_model(f"{place}:number")


def test_a_file_replaces_no_module_of_its_name(place, tmp_path):
    import random

    (tmp_path / "random.py").write_text(CODE)
    open_model("random.py:make")
    assert sys.modules["random"] is random
    del sys.modules["mcdrop_named_code_random"]

"""A net and its passes go to other processes and give the same bits there, with the code that the user wrote."""

import functools
import importlib
import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from distributed.made import X, assert_equal, make_net, two_heads
from mcdrop import ClusterError, ExecutionError, MCDropout
from mcdrop.bulk import Reader
from mcdrop.distributed import packing
from mcdrop.distributed.packing import pack, unpack

THERE = """
import pickle, sys
from pathlib import Path
from mcdrop.distributed.packing import unpack

folder = Path(sys.argv[1])
prepared, reader = unpack((folder / "packed").read_bytes())
x, parts = pickle.loads((folder / "work").read_bytes())
made = [prepared.partial(reader.transformed(x, len(x)), passes=part) for part in parts]
(folder / "made").write_bytes(pickle.dumps(made))
"""


def elsewhere(folder, prepared, x, reader, parts):
    """Run passes in another process, which starts in another folder."""
    (folder / "packed").write_bytes(pack(prepared, reader))
    (folder / "work").write_bytes(pickle.dumps((x, parts)))
    subprocess.run([sys.executable, "-c", THERE, str(folder)], check=True, cwd=folder, timeout=200)
    return pickle.loads((folder / "made").read_bytes())


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A package of the user's that no other process can import."""
    folder = tmp_path / "mine"
    (folder / "theirs").mkdir(parents=True)
    (folder / "theirs" / "__init__.py").write_text("SCALE = 2.0\n")
    (folder / "theirs" / "parts.py").write_text(
        "from theirs import SCALE\n\n\ndef doubled(x):\n    return SCALE * x\n\n\n"
        "def first(out):\n    return out[:, :1]\n"
    )
    (folder / "theirs" / "nets.py").write_text(
        "from torch import nn\nfrom theirs.parts import doubled\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, body):\n        super().__init__()\n        self.body = body\n\n"
        "    def forward(self, x):\n        return doubled(self.body(x))\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield SimpleNamespace(nets=importlib.import_module("theirs.nets"), parts=importlib.import_module("theirs.parts"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


def test_parts_of_the_passes_merge_across_processes_and_code_of_the_user_goes_along(written, tmp_path):
    from ray import cloudpickle

    prepared = MCDropout(written.nets.Net(make_net()), output=written.parts.first).prepare(X, passes=110, seed=4)
    reader = Reader(None, transform=functools.partial(written.parts.doubled))
    others = elsewhere(tmp_path, prepared, X, reader, [range(75, 110), range(25)])
    made, whole = prepared.finish([*others, prepared.partial(2 * X, passes=range(25, 75))]), prepared.predict(2 * X)
    np.testing.assert_allclose(made.mean, whole.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.std, whole.std, rtol=1e-5, atol=1e-6)
    assert made.mean.shape == (len(X), 1)
    assert cloudpickle.list_registry_pickle_by_value() == set()


def test_installed_code_and_that_of_the_main_script_are_left_alone(written):
    own = packing._own_package
    assert own("theirs.nets") is sys.modules["theirs"]
    assert [own(name) for name in ("torch.nn.modules.linear", "mcdrop.sampler", "__main__", "json", "", "gone")] == [
        None
    ] * 6


@pytest.fixture
def placed(monkeypatch):
    """Puts a module somewhere."""

    def put(place, **more):
        module = ModuleType("somebody")
        vars(module).update({"__file__": str(place), **more})
        monkeypatch.setitem(sys.modules, "somebody", module)
        return module

    return put


def test_what_is_installed_anywhere_is_left_alone(placed, tmp_path, monkeypatch):
    own = packing._own_package
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path / "system")])
    monkeypatch.setattr("site.getusersitepackages", lambda: str(tmp_path / "user"))
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "with" / "torch" / "__init__.py"))
    for place in (
        tmp_path / "other" / "site-packages" / "somebody.py",  # on PYTHONPATH, or of a system whose packages are seen
        "/usr/lib/python3/dist-packages/somebody/__init__.py",
        tmp_path / "system" / "somebody.py",
        tmp_path / "user" / "somebody" / "__init__.py",
        tmp_path / "with" / "somebody.py",
        Path(json.__file__).with_name("somebody.py"),
    ):
        placed(place)
        assert own("somebody.nets") is None, place
    mine = placed(tmp_path / "mine" / "somebody" / "__init__.py")
    assert own("somebody.nets") is mine
    mine = placed("", __file__=None, __path__=[str(tmp_path / "mine" / "somebody")])
    assert own("somebody") is mine


def test_what_is_linked_into_a_folder_of_packages_is_installed(placed, tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (tmp_path / "held.py").touch()
    (folder / "somebody.py").symlink_to(tmp_path / "held.py")
    placed(folder / "somebody.py")
    assert packing._own_package("somebody") is None


@pytest.mark.parametrize("name", ["torch", "numpy", "mcdrop", "ray"])
def test_what_every_worker_has_never_goes_by_value(name, tmp_path, monkeypatch):
    module = ModuleType(name)
    module.__file__ = str(tmp_path / name / "__init__.py")
    monkeypatch.setitem(sys.modules, name, module)
    assert packing._own_package(f"{name}.nn") is None


def test_all_that_a_net_is_made_of_is_looked_at(written):
    class Derived(written.nets.Net):
        pass

    Derived.__module__ = "somewhere"
    net = Derived(nn.Linear(3, 1))
    net.activation = written.parts.doubled
    kinds = set(packing._kinds(net))
    assert {"somewhere", "theirs.nets", "theirs.parts", "torch.nn.modules.linear"} <= kinds
    reader = Reader(None, transform=functools.partial(written.parts.doubled))
    assert "theirs.parts" in set(packing._kinds(reader))


def test_what_is_unpacked_gives_the_same_bits():
    prepared = two_heads().prepare({"left": X[:9, :2], "right": X[:9, 2]}, passes=50, seed=3, masks="independent")
    again, note = unpack(pack(prepared, "note"))
    rows = {"left": X[9:30, :2], "right": X[9:30, 2]}
    one, other = prepared.predict(rows, start=9), again.predict(rows, start=9)
    assert np.array_equal(one["value"].std, other["value"].std) and note == "note"
    assert np.array_equal(one["logits"].probs, other["logits"].probs)


@pytest.mark.parametrize(
    "options", [{"keep_samples": True}, {"last_layer": "exact"}], ids=lambda options: next(iter(options))
)
def test_options_of_the_passes_go_along(options):
    prepared = MCDropout(make_net()).prepare(X, passes=50, **options)
    (again,) = unpack(pack(prepared))
    assert_equal(again.predict(X), prepared.predict(X))


def test_a_program_goes_along_and_can_be_moved():
    program = torch.export.export(
        make_net().eval(), (torch.zeros(4, 3),), dynamic_shapes={"input": {0: torch.export.Dim.AUTO}}
    )
    prepared = MCDropout(program).prepare(X, passes=50)
    (again,) = unpack(pack(prepared), device="cpu")
    assert np.array_equal(prepared.predict(X).mean, again.predict(X).mean)


def test_a_net_is_left_where_it_is_and_moved_in_the_copy():
    net = make_net()
    assert packing._on_cpu(net) is net
    net = nn.Sequential(net, nn.BatchNorm1d(2)).to("meta")
    with pytest.raises(NotImplementedError, match="meta"):  # looked at, and copied from where it is
        packing._on_cpu(net)
    (again,) = unpack(pack(MCDropout(make_net()).prepare(X, passes=50)), device="cpu")
    assert again.passes == 50


def test_what_does_not_pickle_is_told_with_what_to_do():
    net = make_net()
    prepared = MCDropout(net).prepare(X, passes=50)
    net.lock = threading.Lock()
    with pytest.raises(ExecutionError, match=r"net must pickle .*got Sequential.*lock.*export it with"):
        pack(prepared)


def test_other_versions_are_refused(monkeypatch):
    packed = pack(MCDropout(make_net()).prepare(X, passes=50))
    monkeypatch.setattr(torch, "__version__", "1.0.0+cpu")
    with pytest.raises(ClusterError, match=r"same versions, got mcdrop .* and mcdrop .*, torch 1\.0\.0 on a worker"):
        unpack(packed)

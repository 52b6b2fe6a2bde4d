"""What makes a run this run: the same in any process, another one for whatever changes a number."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bulk import made
from mcdrop import MCDropout
from mcdrop.bulk.identity import differences, identity
from mcdrop.bulk.transforms import describe
from mcdrop.models import import_named
from mcdrop.sources import open_source


def scaled(x, by=1.0):
    return x * by


class Scale:
    """A transform that does not say what it does."""

    def __call__(self, x):
        return x


class Said(Scale):
    def __init__(self, by):
        self.by = by

    def __repr__(self):
        return f"Said({self.by})"


@pytest.fixture
def about(tmp_path):
    source = open_source(made.write_npy(tmp_path))

    def identify(net=None, transform=None, **options):
        net = made.make_net() if net is None else net
        return identity(net, MCDropout(net).prepare(made.X, **options).provenance, source, options, transform)

    return identify


def test_it_is_plain_data_that_comes_back_from_a_file(about):
    for options in ({}, {"passes": "auto", "tolerance": 0.1}, {"dtype": torch.bfloat16}, {"memory_limit": "1 GiB"}):
        assert json.loads(json.dumps(about(**options), allow_nan=False)) == about(**options)


def test_what_is_left_out_is_as_good_as_its_default(about):
    assert about() == about(passes=100, seed=0, masks="shared", batch_size=None, progress=True, keep_samples=False)
    assert about(memory_limit="1 KiB") == about(memory_limit=1024)
    assert about(passes="auto") == about(passes="auto", max_passes=10_000, quantile=1.0)
    assert about() == about(seed=0)


@pytest.mark.parametrize(
    "options",
    [
        {"passes": 99},
        {"passes": "auto"},
        {"seed": 1},
        {"batch_size": 100},
        {"chunk_size": 5},
        {"keep_samples": True},
        {"last_layer": "exact"},
        {"sampling": "iid"},
        {"memory_limit": "1 GiB"},
    ],
)
def test_every_other_option_is_another_run(about, options):
    assert about(**options) != about()
    assert differences(about(), about(**options))


def test_options_of_auto_count_among_each_other(about):
    for options in ({"tolerance": 0.1}, {"quantile": 0.9}, {"max_passes": 500}):
        assert differences(about(passes="auto"), about(passes="auto", **options))


def test_a_net_is_known_by_weights_buffers_and_structure(about):
    assert about() == about(net=made.make_net())
    assert about()["net"]["device"] == "cpu"
    shifted, renamed = made.make_net(), nn.Sequential(*made.make_net(), nn.Identity())
    with torch.no_grad():
        shifted[0].weight[0, 0] += 1e-6
    assert differences(about(), about(net=shifted)) == ["net.sha256"]
    assert [name.split(" ")[0] for name in differences(about(), about(net=renamed))] == ["net.code"]


def test_an_exported_program_is_known_by_its_code_and_constants(tmp_path):
    class Shifted(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.net, self.by = made.make_net(), by

        def forward(self, x):
            return self.net(x) + torch.tensor([self.by, 0.0])

    source = open_source(made.write_npy(tmp_path))
    x = torch.as_tensor(made.X)
    rows = ({0: torch.export.Dim.DYNAMIC},)
    programs = [torch.export.export(Shifted(by).eval(), (x,), dynamic_shapes=rows) for by in (1.0, 1.0, 2.0)]
    first, same, other = (identity(program, {}, source, {}, None) for program in programs)
    assert first == same
    assert differences(first, other) == ["net.sha256"]


def test_a_transform_is_known_by_its_name_and_code(about):
    transforms = [
        None,
        scaled,
        lambda x: x * 2,
        lambda x: x * 3,
        functools.partial(scaled, by=2.0),
        functools.partial(scaled, by=3.0),
        np.sign,
        Scale(),
        Said(1),
        Said(2),
        nn.Identity(),
        nn.Sequential(nn.Identity()),
    ]
    told = [about(transform=transform)["transform"] for transform in transforms]
    assert len(set(told)) == len(told)
    assert told[1].startswith(f"{__name__}:scaled (")
    assert about(transform=Scale())["transform"] == told[7]  # its place in memory does not count
    assert about(transform=functools.partial(scaled, by=2.0))["transform"] == told[4]


NET = """
import torch
from torch import nn

class Base(nn.Module):
    def forward(self, x):
        return self.body(x){first}

class Net(Base):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))

    def extra(self):
        return {second}
"""


def test_a_net_is_known_by_the_code_of_its_classes(tmp_path, about):
    """Of its own class and of those it inherits from; which file they are in says nothing."""
    told = []
    for number, (first, second) in enumerate([("", 1), ("", 1), (" * 2", 1), ("", 2)]):
        place = tmp_path / f"net{number}.py"
        place.write_text(NET.format(first=first, second=second))
        told.append(about(net=nn.Sequential(import_named(f"{place}:Net")())))
    assert told[0] == told[1]
    for other in told[2:]:
        assert [name.split(" ")[0] for name in differences(told[0], other)] == ["net.code"]


def test_a_class_without_source_is_known_by_how_it_prints_itself(about):
    space = {}
    exec("from torch import nn\nclass Typed(nn.Identity):\n    pass", space)
    assert about(net=nn.Sequential(made.make_net(), space["Typed"]()))["net"]["code"]


def holding(held, default=None):
    def transform(x, more=default, *, last=default):
        return (x, held)

    return transform


def calling_itself():
    def transform(x):
        return x if len(x) == 0 else transform(x[:0])

    return transform


class Bound:
    def __init__(self, by):
        self.by = by

    def __repr__(self):
        return f"Bound({self.by})"

    def transform(self, x):
        return x * self.by


LONG = np.arange(5000.0)
HELD = [
    1.0,
    2.0,
    "a",
    [1.0, scaled],
    [1.0, holding(1)],
    [1.0, holding(2)],
    {"a": 1},
    {"a": 2},
    LONG,
    np.where(LONG == 2500, 0, LONG),  # prints itself as the one before does
    torch.as_tensor(LONG),
    torch.as_tensor(LONG).to(torch.bfloat16),
    {"b", "c"},
    nn.Linear(1, 1),
    nn.Linear(1, 1),  # of other weights
    np.array(["a", None], dtype=object),
    Scale(),
    scaled,
]


@pytest.mark.parametrize(
    "hold", [holding, lambda each: holding(None, each), lambda each: functools.partial(scaled, each)]
)
def test_a_transform_is_known_by_what_it_holds(hold):
    told = [describe(hold(each)) for each in HELD]
    assert len(set(told)) == len(told)
    assert [describe(hold(each)) for each in HELD] == told


def test_a_transform_is_known_by_the_function_that_is_partly_called():
    first, second = (functools.partial(holding(held), more=1) for held in (1, 2))
    assert describe(first) != describe(second)
    assert describe(first) == describe(functools.partial(holding(1), more=1))


def test_a_method_is_known_by_its_object_and_a_function_may_hold_itself():
    assert describe(Bound(1).transform) == describe(Bound(1).transform) != describe(Bound(2).transform)
    assert describe(calling_itself()) == describe(calling_itself())


def test_sets_are_told_alike_in_every_process():
    code = "from bulk.test_identity import describe, holding; print(describe(holding(set('abcdefgh'))))"
    here, command = Path(__file__).parents[1], [sys.executable, "-c", code]
    told = {
        subprocess.run(
            command, cwd=here, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert [each.split()[1:] for each in told] == [describe(holding(set("abcdefgh"))).split()[1:]]


def test_differences_are_named_with_both_values_where_they_are_short():
    old = {"a": {"x": 1, "y": [1]}, "b": "b" * 64, "c": 1}
    new = {"a": {"x": 2, "y": [1]}, "b": "c" * 64, "d": 2}
    assert differences(old, old) == []
    assert differences(old, new) == ["a.x (was 1, is 2)", "b", "c (was 1, is None)", "d (was None, is 2)"]

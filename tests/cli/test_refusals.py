"""A net that refuses its inputs: what it was given is named, with the option that changes that, and no other."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import mcdrop
from cli.test_main import call  # noqa: F401  # a fixture
from mcdrop.bulk import DividedBy
from mcdrop.cli.refusals import saying_how_to_change
from mcdrop.errors import NetError
from mcdrop.sources import open_source

NETS = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.2), nn.Linear(16, 1))

def words():
    return nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 1))

class Difference(nn.Module):
    def forward(self, left, right):
        return nn.functional.dropout(left - 2 * right, 0.5, False)

def whole(x):
    return x.astype('int64')
"""
X = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
SHAPES = "inputs of the shape and type it was trained on, rows first"
BYTES, DECIMALS = "--divide-by 255 makes bytes decimal", "--transform changes them, such as decimals to whole numbers"


@pytest.fixture
def folder(tmp_path):
    """Nets, and inputs with the truth beside them."""
    (tmp_path / "nets.py").write_text(NETS)
    np.savez(tmp_path / "xy.npz", x=X, y=X[:, 0])
    with h5py.File(tmp_path / "xy.h5", "w") as file:
        file["x"], file["y"], file["more/left"], file["more/right"] = X, X[:, 0], X[:, 0], X[:, 1]
    lines = [f"{a},{b},{a - b}" for a, b in X.tolist()]
    (tmp_path / "xy.csv").write_text("\n".join(["a,b,y", *lines]))
    (tmp_path / "words.csv").write_text("a,b\n1,2\n3,4\n")
    np.save(tmp_path / "bytes.npy", np.full((5, 2), 3, np.uint8))
    return tmp_path


@pytest.mark.parametrize("command", ["predict", "sites"])
@pytest.mark.parametrize(
    ("args", "advice"),
    [
        (("make", "xy.h5"), "the net was given x, y as keyword inputs; choose with --columns, or name one: xy.h5::x"),
        (("make", "xy.npz"), "the net was given x, y as keyword inputs; choose with --columns, or name one: xy.npz::x"),
        (
            ("make", "xy.h5", "--columns", "more/left,more/right"),
            "the net was given more/left, more/right as keyword inputs; choose with --columns, or name one: "
            "xy.h5::more/left",
        ),
        (("make", "xy.csv"), "the net was given the columns a, b, y; choose with --columns"),
        (("make", "xy.csv", "--divide-by", "2"), "the net was given the columns a, b, y; choose with --columns"),
        (("make", "xy.csv", "--columns", "b"), "the net was given the columns b; choose with --columns"),
        (("make", "xy.npz::y"), SHAPES),
        (("words", "words.csv", "--columns", "a", "--transform", "nets.py:whole"), SHAPES),  # as their code made them
        (("words", "words.csv"), DECIMALS),
        (("make", "bytes.npy"), f"{BYTES}; --transform changes anything else"),
    ],
)
def test_the_advice_is_about_what_was_refused(folder, call, command, args, advice):  # noqa: F811
    code, _, errors = call(command, f"nets.py:{args[0]}", *args[1:])
    assert code == 2 and errors.endswith(f"; {advice}\n" if advice != SHAPES else f"give {SHAPES}\n"), errors


def test_the_advice_helps(folder, call):  # noqa: F811
    for number, args in enumerate(
        [
            ("make", "xy.h5::x"),
            ("make", "xy.h5", "--columns", "x"),
            ("make", "xy.csv", "--columns", "b,a"),
            ("make", "bytes.npy", "--divide-by", "255"),
            ("words", "words.csv", "--transform", "nets.py:whole"),
        ]
    ):
        code, _, errors = call("predict", f"nets.py:{args[0]}", *args[1:], "-o", f"{number}.h5", "--passes", "25", "-q")
        assert code == 0, errors


def test_arrays_that_are_chosen_are_the_keyword_inputs(folder, call):  # noqa: F811
    args = ("nets.py:Difference", "xy.h5", "--columns", "more/right,more/left", "--passes", "25", "-q")
    assert call("predict", *args) == (0, "", "")
    space = {}
    exec(NETS, space)
    expected = mcdrop.MCDropout(space["Difference"]()).predict({"left": X[:, 0], "right": X[:, 1]}, passes=25)
    np.testing.assert_allclose(mcdrop.load("predictions.h5").mean, expected.mean, atol=1e-6)


LINEAR, WORDS, CONV, LSTM = nn.Linear(3, 4), nn.Embedding(9, 4), nn.Conv2d(1, 2, 3), nn.LSTM(3, 4)
DECIMAL, WHOLE = torch.ones(4, 3), torch.ones(4, 3, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("net", "x", "of_types"),
    [
        (LINEAR, WHOLE, True),
        (WORDS, DECIMAL, True),
        (CONV, WHOLE[None], True),
        (LSTM, WHOLE, True),
        (nn.BatchNorm1d(3).eval(), WHOLE, True),
        (nn.LayerNorm(3), WHOLE, True),
        (nn.functional.one_hot, DECIMAL, True),
        (torch.arange(9).__getitem__, DECIMAL, True),
        (LINEAR, DECIMAL.T, False),
        (CONV, DECIMAL, False),
        (LSTM, DECIMAL.T, False),
        (WORDS, WHOLE.long() + 20, False),
        (lambda x: LINEAR({"x": x}), DECIMAL, False),
        (lambda x: {"x": x} * 2, DECIMAL, False),  # "unsupported operand type"
    ],
)
def test_torch_is_understood(folder, net, x, of_types):
    with pytest.raises(NetError, match=DECIMALS if of_types else "choose with --columns") as caught:
        refuse(net, x, open_source(folder / "xy.csv"))
    assert ("--columns" in str(caught.value)) != of_types
    with pytest.raises(NetError) as caught:
        refuse(net, x, open_source(folder / "xy.csv"), DividedBy(2))
    assert ("--columns" in str(caught.value)) != of_types and "--transform" not in str(caught.value)


def refuse(net, x, source, change=None):
    with saying_how_to_change(source, change):
        try:
            net(x)
        except Exception as error:
            raise NetError(f"the net refused inputs: {error}") from error


def test_another_error_of_a_net_is_left_as_it_is(folder):
    with (
        pytest.raises(NetError, match=r"^the net must return a tensor$"),
        saying_how_to_change(open_source(folder / "xy.csv"), None),
    ):
        raise NetError("the net must return a tensor")

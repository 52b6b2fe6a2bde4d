"""Programs of torch.export: the same predictions as the net, what is fixed in them, and which versions are read."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop import MCDropout
from mcdrop.errors import DataError, NetError, NoDropoutError
from mcdrop.models import open_model
from mcdrop.programs import moved_program, state_of

from .made import PROGRAM, ROWS, Even, Net, Pair, built, edited, records_of, save_export, write_records

HERE = torch.__version__.partition("+")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def export(folder) -> Path:
    return save_export(built(), folder / "net.pt2", torch.ones(5, 3), dynamic_shapes={"x": ROWS})


def decomposed(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, about itself
        return program.run_decompositions()


def predicted(net, x):
    return MCDropout(net).predict(x, passes=8, seed=3)


def assert_same(one, other):
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
    np.testing.assert_allclose(one.std, other.std, atol=1e-6)
    assert one.std.max() > 0.01


def test_an_export_predicts_as_the_net_does(export):
    model = open_model(str(export))
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    assert_same(predicted(model.net, x), predicted(built(), x))
    assert (model.kind, model.task, model.rows) == ("export", None, None)
    assert model.describe() == f"{export}: exported program with 66 parameters"


def test_keywords_dicts_and_blocks_without_gradients_are_read(folder):
    n = torch.export.Dim("n")
    x = {"left": torch.ones(5, 3), "right": torch.zeros(5, 3)}
    program = torch.export.export(built(Pair), (), x, dynamic_shapes={"left": {0: n}, "right": {0: n}})
    torch.export.save(program, folder / "pair.pt2")
    model = open_model(str(folder / "pair.pt2"))
    x = {name: torch.randn(4, 3) for name in x}
    assert_same(predicted(model.net, x), predicted(built(Pair), x))


def test_attention_with_arithmetic_of_sizes_is_read(folder):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            hidden = self.layer(x)
            rows, steps, width = hidden.shape
            return hidden.reshape(rows * steps, width).view(rows, steps // 2, 2 * width).mean(1)

    net = Attention().eval()
    path = save_export(net, folder / "attention.pt2", torch.ones(5, 4, 8), dynamic_shapes={"x": ROWS})
    x = torch.randn(3, 4, 8)
    model = open_model(str(path))
    text = json.loads(records_of(path)[PROGRAM])
    assert any("_operator.mul" == node["target"] for node in text["graph_module"]["graph"]["nodes"])
    both = [
        MCDropout(one).predict(x, passes=4, seed=0, execution="loop") for one in (model.net, torch.export.load(path))
    ]
    assert_same(*both)


def test_a_condition_on_the_inputs_still_holds(folder):
    """A branch on the number of rows is fixed at export; torch keeps a guard, and so must what was read."""
    path = save_export(built(Even), folder / "even.pt2", torch.ones(6, 3), dynamic_shapes={"x": ROWS})
    assert json.loads(records_of(path)[PROGRAM])["guards_code"]
    model = open_model(str(path))
    x = torch.randn(8, 3)
    assert_same(predicted(model.net, x), predicted(built(), x))
    with pytest.raises(NetError, match="Guard failed"):
        predicted(model.net, x[:5])


def test_a_fixed_number_of_rows_is_told(folder):
    path = save_export(built(), folder / "fixed.pt2", torch.ones(5, 3))
    model = open_model(str(path))
    assert model.rows == 5
    assert model.describe().endswith("66 parameters, 5 rows at a time")
    x = torch.randn(5, 3)
    assert_same(predicted(model.net, x), predicted(built(), x))
    with pytest.raises(NetError, match=r"x\.size\(\)\[0\] == 5"):
        predicted(model.net, x[:4])


@pytest.mark.parametrize(("least", "most"), [(0, 64), (4, 64), (4, None)])
def test_bounds_of_the_number_of_rows_are_told(folder, least, most):
    size = {0: torch.export.Dim("n", min=least or None, max=most)}
    path = save_export(built(), folder / f"bounded_{least}_{most}.pt2", torch.ones(5, 3), dynamic_shapes={"x": size})
    model = open_model(path)
    assert (model.rows, model.least_rows, model.most_rows) == (None, least, most)
    assert ("at least 4 rows at a time" in model.describe()) == (least > 0)
    assert ("at most 64 rows at a time" in model.describe()) == (most is not None)
    x = torch.randn(64, 3)
    assert_same(predicted(model.net, x), predicted(built(), x))
    for rows in [3] * (least > 0) + [65] * (most is not None):
        with pytest.raises(NetError, match="Guard failed"):
            predicted(model.net, torch.ones(rows, 3))


def test_multiples_of_rows_are_read(folder):
    size = {0: 2 * torch.export.Dim("half", max=8)}
    path = save_export(built(), folder / "twice.pt2", torch.ones(6, 3), dynamic_shapes={"x": size})
    assert any("*" in name for name in json.loads(records_of(path)[PROGRAM])["range_constraints"])
    x = torch.randn(8, 3)
    assert_same(predicted(open_model(path).net, x), predicted(built(), x))


class Sum(nn.Module):
    """Two inputs by place, and one by word."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, left: torch.Tensor, right: torch.Tensor, *, far: torch.Tensor) -> torch.Tensor:
        return self.net(left) - self.net(2 * right) + self.net(3 * far)


def test_several_inputs_are_taken_by_name(folder):
    """Files hold inputs that have names; the export had two of them by place."""
    sizes = dict.fromkeys(("left", "right", "far"), ROWS)
    left, right, far = (torch.zeros(5, 3) for _ in range(3))  # of one tensor torch would make one input
    path = save_export(built(Sum), folder / "sum.pt2", left, right, kwargs={"far": far}, dynamic_shapes=sizes)
    x = {name: torch.randn(4, 3, generator=torch.Generator().manual_seed(i)) for i, name in enumerate(sizes)}
    model = open_model(path)
    assert_same(predicted(model.net, dict(reversed(x.items()))), predicted(built(Sum), x))
    with pytest.raises(NetError, match="Guard failed"):
        predicted(model.net, x | {"right": torch.ones(4, 2)})
    with pytest.raises(NetError, match="expected"):
        predicted(model.net, {"left": x["left"], "right": x["right"]})


def test_what_identifies_an_export_changes_with_numbers_and_code_alone(export, folder):
    about = open_model(str(export)).about
    assert about["kind"] == "export" and about["name"] == str(export)
    options = {"dynamic_shapes": {"x": ROWS}}
    same = open_model(str(save_export(built(), folder / "same.pt2", torch.ones(5, 3), **options))).about
    assert (same["sha256"], same["code"]) == (about["sha256"], about["code"])
    other = open_model(str(save_export(built(seed=1), folder / "seed.pt2", torch.ones(5, 3), **options))).about
    assert other["sha256"] != about["sha256"] and other["code"] == about["code"]
    rate = open_model(str(save_export(Net(0.5).eval(), folder / "rate.pt2", torch.ones(5, 3), **options))).about
    assert rate["code"] != about["code"]


def test_a_program_of_another_device_is_read_on_this_one(export, tmp_path):
    def to_cuda(value):
        if isinstance(value, dict):
            if value.keys() == {"type", "index"}:
                value.update(type="cuda", index=0)
            for held in value.values():
                to_cuda(held)
        elif isinstance(value, list):
            for held in value:
                to_cuda(held)

    records = records_of(export)
    for name in records:
        if name.endswith(".json"):
            text = json.loads(records[name])
            to_cuda(text)
            records[name] = json.dumps(text).encode()
    model = open_model(str(write_records(tmp_path / "cuda.pt2", records)))
    x = torch.randn(4, 3)
    assert_same(predicted(model.net, x), predicted(built(), x))
    assert model.about["sha256"] == open_model(str(export)).about["sha256"]
    assert model.about["code"] == open_model(str(export)).about["code"]


def test_moving_a_program_takes_all_of_it_along(export):
    """The meta device stands in for one that is not here."""
    program = moved_program(open_model(str(export)).net, "meta")
    held = state_of(program)
    assert {"first.weight", "norm.running_mean", "scale"} <= held.keys()
    assert {tensor.device.type for tensor in held.values()} == {"meta"}
    assert program.module()(torch.ones(4, 3, device="meta")).device.type == "meta"


def test_operators_whose_arguments_are_named_as_keywords_are_read(folder):
    class Noise(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5, False) + torch.zeros_like(x).uniform_(2.0, 2.5)

    path = save_export(Noise().eval(), folder / "noise.pt2", torch.ones(5, 3), dynamic_shapes={"x": ROWS})
    assert '"name": "from"' in records_of(path)[PROGRAM].decode()
    assert open_model(str(path)).net.module()(torch.zeros(4, 3)).min() >= 2


def test_an_export_in_train_mode_still_keeps_the_running_statistics(folder):
    net = built().train()
    path = save_export(net, folder / "train.pt2", torch.ones(5, 3), dynamic_shapes={"x": ROWS})
    x = torch.randn(9, 3)
    assert_same(predicted(open_model(str(path)).net, x), predicted(built(), x))


def test_statistics_of_the_batch_are_refused(folder):
    """Decomposed in train mode, a batch norm would make each row's prediction depend on the others."""
    program = torch.export.export(built().train(), (torch.ones(5, 3),), dynamic_shapes={"x": ROWS})
    torch.export.save(decomposed(program), folder / "batch.pt2")
    with pytest.raises(DataError, match=r"exported in train mode: .*batch_norm.* takes its statistics from the batch"):
        open_model(str(folder / "batch.pt2"))


def test_a_program_without_dropout_is_opened_and_said_to_have_none(folder):
    """Decompositions in eval mode leave no dropout; the sampler says so."""
    program = torch.export.export(built(), (torch.ones(5, 3),), dynamic_shapes={"x": ROWS})
    torch.export.save(decomposed(program), folder / "none.pt2")
    model = open_model(str(folder / "none.pt2"))
    with pytest.raises(NoDropoutError):
        predicted(model.net, torch.ones(5, 3))


@pytest.mark.parametrize("major", [7, 9, 0])
def test_another_schema_is_named_with_both_versions(export, tmp_path, major):
    def change(text):
        text["schema_version"] = {"major": major, "minor": 3}
        text["torch_version"] = "2.99.1+cpu"

    path = edited(export, tmp_path / "old.pt2", change)
    with pytest.raises(DataError) as caught:
        open_model(str(path))
    told = str(caught.value)
    assert f"exported by torch 2.99.1+cpu and this is torch {torch.__version__}" in told
    assert f"schema {major}.3, where 8 can be read" in told
    assert told.endswith(f"export it again with torch {HERE}, or install torch 2.99.1")


def test_missing_operators_are_named(export, tmp_path):
    def change(text):
        text["torch_version"] = "2.99.0"
        text["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.linear_of_tomorrow.default"

    path = edited(export, tmp_path / "new.pt2", change)
    with pytest.raises(DataError, match=r"operators that this torch lacks \(aten.linear_of_tomorrow.default\).*2.99.0"):
        open_model(str(path))


def test_another_version_of_the_archive_is_refused(export, tmp_path):
    records = records_of(export) | {"archive_version": b"7"}
    path = write_records(tmp_path / "seven.pt2", records)
    with pytest.raises(DataError, match="its archive has version 7, where 0 can be read; export it again"):
        open_model(str(path))


def test_a_newer_minor_schema_that_cannot_be_read_is_one_clear_error(export, tmp_path, caplog):
    def change(text):
        text["torch_version"] = "2.50.0"
        text["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_tensor_of_tomorrow": {"name": "x"}}

    path = edited(export, tmp_path / "minor.pt2", change)
    with pytest.raises(DataError, match=r"exported by torch 2.50.0 and .* cannot be read .*install torch 2.50.0"):
        open_model(str(path))
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")]


@pytest.mark.parametrize("part", [0.3, 0.7, 0.999])
def test_a_cut_archive_is_damaged(export, tmp_path, part):
    data = export.read_bytes()
    path = tmp_path / "cut.pt2"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match="is no whole archive: it was cut short; copy it again"):
        open_model(str(path))


def test_a_changed_byte_of_a_weight_is_found(export, tmp_path):
    data = bytearray(export.read_bytes())
    place = data.index(records_of(export)["data/weights/weight_0"])
    data[place] ^= 1
    path = tmp_path / "flipped.pt2"
    path.write_bytes(data)
    with pytest.raises(DataError, match="must be a whole archive"):
        open_model(str(path))


def test_weights_without_values_are_refused(export, tmp_path):
    records = records_of(export) | {"data/weights/weight_0": b""}
    path = write_records(tmp_path / "fake.pt2", records)
    with pytest.raises(DataError, match=r"its tensor first\.weight has no values"):
        open_model(str(path))


def test_a_missing_record_is_damage(export, tmp_path):
    records = records_of(export)
    del records["data/weights/weight_0"]
    path = write_records(tmp_path / "missing.pt2", records)
    with pytest.raises(DataError, match="must be a whole archive"):
        open_model(str(path))


def test_several_programs_are_named(export, tmp_path):
    records = records_of(export)
    records["models/other.json"] = records.pop(PROGRAM)
    path = write_records(tmp_path / "other.pt2", records)
    with pytest.raises(DataError, match="programs named other where one named 'model' belongs"):
        open_model(str(path))

"""Rows that hold NaN: named, left out or kept, whatever the blocks, and without a trace in other rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from storage.made import assert_same
from torch import nn

import mcdrop
from bulk import made
from bulk.made import AUTO, BLOCK, ROWS, X, assert_bits, assert_predicted, journal_of, stopping_after, write_npy
from mcdrop import InputError, MCDropout, NetError, storage
from mcdrop.bulk import predict_file
from mcdrop.bulk.blocks import Reader, complete_row, first_rows, groups_of, with_gaps
from mcdrop.errors import DataError
from mcdrop.sources import open_source

BAD = [0, 1, 9, *range(16, 24), 41, 52]  # the first rows, a whole block, the last row
GOOD = [row for row in range(ROWS) if row not in BAD]
CALL = {"passes": 30, "batch_size": BLOCK}


def holed(x=X, rows=BAD):
    x = np.array(x)
    x[rows, np.arange(len(rows)) % x.shape[1]] = np.nan
    return x


@pytest.fixture
def out(tmp_path):
    return tmp_path / "y.h5"


@pytest.mark.parametrize("write", made.WRITERS)
def test_skip_leaves_rows_out_and_says_which_are_left(tmp_path, out, write):
    done = predict_file(made.regression(), write(tmp_path, holed()), out, on_nan="skip", **CALL)
    assert (done.rows, done.gaps) == (ROWS, len(BAD))
    assert_predicted(out, made.regression().predict(X[GOOD], passes=30), rows=GOOD)
    assert len(mcdrop.load(out)) == len(GOOD)


@pytest.mark.parametrize("model", [made.regression, made.classification, made.heteroscedastic, made.dense])
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_keep_holds_nan_where_skip_has_no_point(tmp_path, model, masks):
    """Rows keep their numbers, so that masks of their own are those of a file without gaps."""
    x, kept, skipped = write_npy(tmp_path, holed()), tmp_path / "kept.h5", tmp_path / "skipped.h5"
    done = predict_file(model(), x, kept, on_nan="keep", masks=masks, **CALL)
    assert (done.rows, done.gaps) == (ROWS, len(BAD))
    predict_file(model(), x, skipped, on_nan="skip", masks=masks, **CALL)
    whole, part = storage.read(kept).groups, storage.read(skipped).groups
    assert {group: list(known) for group, known in whole.items()} == {group: list(k) for group, k in part.items()}
    pred = model().predict(X, passes=30, masks=masks).variables()
    for group, variables in whole.items():
        for name, variable in variables.items():
            if "point" not in variable.dims:
                continue
            assert variable.dims[0] == "point" and len(variable.values) == ROWS
            np.testing.assert_array_equal(variable.values[GOOD], part[group][name].values)
            if name == "row":
                np.testing.assert_array_equal(variable.values, np.arange(ROWS))
                continue
            np.testing.assert_allclose(variable.values[GOOD], pred[group][name].values[GOOD], rtol=2e-4, atol=2e-6)
            lost = variable.values[BAD]
            assert np.isnan(lost).all() if lost.dtype.kind == "f" else not lost.any()
    with pytest.raises(DataError, match=f"got {len(BAD)} of {ROWS} point"):
        mcdrop.load(kept)
    assert len(mcdrop.load(kept, missing="drop")) == len(GOOD)


def test_kept_samples_hold_nan_on_the_axis_of_the_points(tmp_path, out):
    predict_file(made.regression(), write_npy(tmp_path, holed()), out, on_nan="keep", keep_samples=True, **CALL)
    samples = storage.read(out).groups["predictions"]["samples"]
    assert samples.dims == ("chain", "draw", "point", "output")
    assert np.isnan(samples.values[:, :, BAD]).all() and not np.isnan(samples.values[:, :, GOOD]).any()
    pred = made.regression().predict(X, passes=30, keep_samples=True)
    np.testing.assert_allclose(samples.values[0][:, GOOD], pred.samples[:, GOOD], rtol=1e-4, atol=1e-6)


def test_rows_take_their_own_number_of_passes_beside_gaps(tmp_path, out):
    predict_file(made.classification(), write_npy(tmp_path, holed()), out, on_nan="keep", batch_size=BLOCK, **AUTO)
    passes = storage.read(out).groups["predictions_constant_data"]["passes"].values
    np.testing.assert_array_equal(passes[GOOD], made.classification().predict(X, **AUTO).passes[GOOD])
    assert not passes[BAD].any()


def test_nan_in_one_of_several_inputs_is_enough(tmp_path, out):
    left, right = holed(rows=[3]), holed(X[::-1], [ROWS - 1, 20])
    x = made.write_named(tmp_path, left, right)
    with pytest.raises(DataError, match="got it in rows 3, 20, 52"):
        predict_file(made.named(), x, out, **CALL)
    done = predict_file(made.named(), x, out, on_nan="skip", **CALL)
    good = np.setdiff1d(np.arange(ROWS), [3, 20, 52])
    assert done.gaps == 3
    assert_predicted(out, made.named().predict({"left": X[good], "right": X[::-1][good]}, passes=30), rows=good)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_have_empty_cells_or_no_such_rows(tmp_path, ending):
    x, kept, skipped = write_npy(tmp_path, holed()), tmp_path / f"kept.{ending}", tmp_path / f"skipped.{ending}"
    for path, on_nan in ((kept, "keep"), (skipped, "skip")):
        predict_file(made.classification(), x, path, on_nan=on_nan, **CALL)
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    whole, part = read(kept), read(skipped)
    assert whole["row"].tolist() == list(range(ROWS)) and part["row"].tolist() == GOOD
    assert whole.drop(columns="row").loc[BAD].isna().all(axis=None)
    pd.testing.assert_frame_equal(whole.loc[GOOD].reset_index(drop=True), part, check_dtype=False)


def test_all_rows_are_named_that_are_in_the_block_of_the_first(tmp_path, out):
    x = write_npy(tmp_path, holed(rows=[7]))
    with pytest.raises(DataError, match=r'in row 7 \(counted from 0\); impute .*on_nan="skip".*on_nan="keep"'):
        predict_file(made.regression(), x, out, **CALL)
    assert list(tmp_path.iterdir()) == [x]
    with pytest.raises(DataError, match=r"in rows 0, 1, 9, 16, 17, \.\.\. \(counted from 0\)"):
        predict_file(made.regression(), write_npy(tmp_path, holed()), out, **CALL)


LONG = np.resize(X, (1250, 3))  # the first 1,024 rows are looked at before any work


@pytest.mark.parametrize("on_nan", ["skip", "keep"])
def test_an_error_keeps_the_blocks_before_it_and_the_run_can_go_on(tmp_path, out, on_nan):
    x = write_npy(tmp_path, holed(LONG, [1130, 1199, 1249]))
    call = {"passes": 2, "batch_size": 100}
    with pytest.raises(DataError, match=r"got it in rows 1,130, 1,199 \(counted from 0\)"):
        predict_file(made.regression(), x, out, **call)
    with pytest.raises(DataError, match=r"got it in rows 1,130, 1,199 \(counted from 0\)"):
        predict_file(made.regression(), x, out, resume=True, **call)
    done = predict_file(made.regression(), x, out, resume=True, on_nan=on_nan, **call)
    assert (done.resumed, done.gaps) == (1100, 3)
    predict_file(made.regression(), x, tmp_path / "whole.h5", on_nan=on_nan, **call)
    assert_bits(out, tmp_path / "whole.h5")


@pytest.mark.parametrize("first", ["skip", "keep"])
@pytest.mark.parametrize("last", ["skip", "keep"])
def test_what_becomes_of_gaps_is_said_last(tmp_path, out, first, last):
    x = write_npy(tmp_path, holed())
    with pytest.raises(KeyboardInterrupt):
        predict_file(
            made.classification(), x, out, on_nan=first, execute=stopping_after(4, KeyboardInterrupt()), **CALL
        )
    assert predict_file(made.classification(), x, out, resume=True, on_nan=last, **CALL).gaps == len(BAD)
    predict_file(made.classification(), x, tmp_path / "whole.h5", on_nan=last, **CALL)
    assert_bits(out, tmp_path / "whole.h5")


def test_gaps_that_were_left_out_are_no_gaps_without_leave(tmp_path, out):
    x = write_npy(tmp_path, holed(LONG, [1130]))
    call = {"passes": 2, "batch_size": 100}
    with pytest.raises(KeyboardInterrupt):
        predict_file(made.regression(), x, out, on_nan="skip", execute=stopping_after(12, KeyboardInterrupt()), **call)
    before = journal_of(out).read_bytes()
    with pytest.raises(DataError, match="got it in row 1,130"):
        predict_file(made.regression(), x, out, resume=True, **call)
    assert journal_of(out).read_bytes() == before


@pytest.mark.parametrize("on_nan", ["skip", "keep"])
def test_a_file_of_gaps_alone_is_refused(tmp_path, out, on_nan):
    x = write_npy(tmp_path, np.full((1030, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="must hold a row without NaN, got it in all 1,030; impute them first"):
        predict_file(made.regression(), x, out, on_nan=on_nan, **CALL)
    assert list(tmp_path.iterdir()) == [x]


@pytest.mark.parametrize("on_nan", ["skip", "keep"])
def test_without_gaps_all_is_as_it_is_anyway(tmp_path, out, on_nan):
    x = write_npy(tmp_path)
    predict_file(made.regression(), x, out, on_nan=on_nan, **CALL)
    predict_file(made.regression(), x, tmp_path / "whole.h5", **CALL)
    assert_bits(out, tmp_path / "whole.h5", on_nan=on_nan)


def test_the_transform_sees_no_gaps(tmp_path, out):
    def checked(x):
        assert np.isfinite(x).all()
        return x * 2

    predict_file(made.regression(), write_npy(tmp_path, holed()), out, on_nan="skip", transform=checked, **CALL)
    assert_predicted(out, made.regression().predict(2 * X[GOOD], passes=30), rows=GOOD)


def test_the_stand_in_is_the_first_row_without_gaps(tmp_path):
    x = np.full((2000, 3), np.nan, np.float32)
    x[1500], x[1600] = 1, 2
    with open_source(write_npy(tmp_path, x)) as source:
        np.testing.assert_array_equal(complete_row(source), [[1, 1, 1]])
        rows = Reader(source, "keep", complete_row(source)).read(1599, 1602)
    np.testing.assert_array_equal(rows.x, [[1, 1, 1], [2, 2, 2], [1, 1, 1]])
    assert (rows.start, rows.gaps.tolist()) == (1599, [True, False, True])


@pytest.mark.parametrize("gaps", [[], [0], [1, 3], [0, 1, 2, 3, 4]])
def test_gaps_that_are_put_back_are_those_that_were_left_out(gaps):
    pred = made.classification().predict(torch.as_tensor(X[:5]), passes=30, keep_samples=True)
    missing = np.isin(np.arange(5), gaps)
    kept = groups_of(pred, 10, missing)
    assert kept["predictions_constant_data"]["row"].values.tolist() == [10 + i for i in range(5) if i not in gaps]
    whole, expected = with_gaps(kept, range(10, 15)), groups_of(pred, 10, np.zeros(5, bool))
    for group, variables in expected.items():
        for name, variable in variables.items():
            if "point" in variable.dims and name != "row":
                values = np.moveaxis(np.array(variable.values), variable.dims.index("point"), 0)
                values[missing] = np.nan if values.dtype.kind == "f" else 0
                values = np.moveaxis(values, 0, variable.dims.index("point"))
                expected[group][name] = storage.Variable(variable.dims, values, variable.units, variable.long_name)
    assert_same(whole, expected)


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((2000, 3), "f4", 1024),
        ((7, 3), "f4", 7),
        ((200, 1 << 20), "u1", 64),
        ((200, 1 << 20), "f4", 16),
        ((3, 1 << 25), "f4", 1),
    ],
)
def test_no_more_is_looked_at_first_than_fits_in_memory(tmp_path, shape, kind, expected):
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", kind, shape)  # of zeros, most of them on no disk
    with open_source(tmp_path / "x.npy") as source:
        assert first_rows(source) == expected


def test_the_net_is_surveyed_with_and_gaps_are_looked_for_in_few_large_rows(tmp_path, out, monkeypatch):
    monkeypatch.setattr("mcdrop.bulk.blocks._STEP_BYTES", 60)  # 5 rows of 3 float32
    x, seen = write_npy(tmp_path, holed(rows=range(12))), []
    with open_source(x) as source:
        read = source.read
        monkeypatch.setattr(source, "read", lambda start, stop: seen.append((start, stop)) or read(start, stop))
        np.testing.assert_array_equal(complete_row(source), X[12:13])
        assert seen == [(0, 5), (5, 10), (10, 15)]
        predict_file(made.regression(), source, out, on_nan="skip", passes=2, batch_size=4)
    assert max(stop - start for start, stop in seen) == 5
    assert_predicted(out, made.regression().predict(X[12:], passes=2), rows=range(12, ROWS))


def failing(x):
    raise ValueError("could not\n reshape")


class Failing:
    def __call__(self, x):
        raise KeyError


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (failing, "the transform failing must take .* got ValueError on rows 0 to 52: could not reshape; mend the"),
        (Failing(), "the transform Failing must take .* got KeyError on rows 0 to 52: no message; mend"),
    ],
)
def test_a_transform_that_fails_is_named_with_its_rows(tmp_path, out, transform, message):
    with pytest.raises(InputError, match=message) as caught:
        predict_file(made.regression(), write_npy(tmp_path), out, transform=transform, **CALL)
    assert isinstance(caught.value.__cause__, ValueError | KeyError)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]


def test_a_transform_that_fails_later_is_told_with_the_numbers_of_all_inputs(tmp_path, out):
    def picky(x):
        assert not (x > 50).any(), "too large"
        return x

    x = np.array(np.resize(X, (1250, 3)))
    x[1130] = 99
    with pytest.raises(InputError, match="AssertionError on rows 1,100 to 1,199: too large"):
        predict_file(made.regression(), write_npy(tmp_path, x), out, transform=picky, passes=2, batch_size=100)
    assert journal_of(out).exists()


@pytest.mark.parametrize("options", [{"passes": 2}, {"passes": "auto", "tolerance": 0.5, "max_passes": 200}])
def test_infinite_inputs_are_told_by_the_number_of_the_row_and_what_to_do(tmp_path, out, options):
    x = np.array(np.resize(X, (1250, 3)))
    x[[1130, 1131]] = np.inf
    told = r"2 of 100 rows \(1130, 1131\).*; 2 of these rows hold infinity, or .*, the first .* row 1,130: bound"
    with pytest.raises(NetError, match=told):
        predict_file(made.regression(), write_npy(tmp_path, x), out, on_nan="skip", batch_size=100, **options)


def in_tensors(x):
    return torch.as_tensor(x, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("net", "value", "kind", "transform"),
    [
        (made.make_net(), 1e39, "float32", None),
        (made.make_net().to(torch.bfloat16), np.inf, "bfloat16", in_tensors),
        (made.make_net().half(), -1e5, "float16", lambda x: (torch.as_tensor(x),)),
    ],
)
def test_inputs_that_become_infinite_in_the_type_of_the_net_are_told(tmp_path, out, net, value, kind, transform):
    x = np.array(np.resize(X, (30, 3)), dtype=np.float64)
    x[[21, 25], 1] = value
    told = f"2 of these rows hold infinity, or numbers too large for {kind}, in the inputs, the first .* row 21: bound"
    with pytest.raises(NetError, match=told):
        predict_file(MCDropout(net), write_npy(tmp_path, x), out, passes=2, batch_size=10, transform=transform)


def test_numbers_that_the_net_can_hold_are_not_taken_for_too_large(tmp_path, out):
    net = made.make_net().double()
    x = np.array(np.resize(X, (30, 3)), dtype=np.float64)
    x[21], x[25] = 1e39, np.inf
    with pytest.raises(NetError, match=r"1 of these rows hold .* for float64, in the inputs, the first .* row 25"):
        predict_file(MCDropout(net), write_npy(tmp_path, x), out, passes=2, batch_size=10)


def test_a_net_that_gives_infinity_is_told_by_the_number_of_the_row_alone(tmp_path, out):
    net = nn.Sequential(made.make_net(), nn.Threshold(-1e9, 0))
    x = np.array(np.resize(X, (1250, 3)))
    x[1130] = 3e38
    with pytest.raises(NetError, match=r"1 of 100 rows \(1130\); look at these inputs, and at the net's weights$"):
        predict_file(MCDropout(net), write_npy(tmp_path, x), out, passes=2, batch_size=100)

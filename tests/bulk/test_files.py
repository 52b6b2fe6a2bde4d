"""From a file to a file: what `MCDropout.predict` gives for all rows at once, whatever the kind of file and blocks."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import mcdrop
from bulk import made
from bulk.made import AUTO, BLOCK, ROWS, WRITERS, X, assert_predicted, write_named, write_npy
from mcdrop import InputError, MCDropout, NetError, NoDropoutError, OutputError, RegressionPredictive, storage
from mcdrop.bulk import in_process, predict_file
from mcdrop.errors import DataError, DependencyError, ExecutionError
from mcdrop.sources import open_source

CALLS = [
    (made.regression, {"passes": 60}),
    (made.regression, {"passes": 60, "masks": "independent"}),
    (made.regression, {"passes": 60, "sampling": "iid", "seed": 3}),
    (made.regression, {"passes": 60, "last_layer": "exact"}),
    (made.regression, {"passes": 30, "keep_samples": True}),
    (made.regression, {"passes": 30, "execution": "loop"}),
    (made.classification, {"passes": 60}),
    (made.classification, {"passes": 30, "masks": "independent", "keep_samples": True}),
    (made.classification, AUTO),
    (made.heteroscedastic, {"passes": 60}),
    (made.heteroscedastic, {"passes": 60, "masks": "independent"}),
    (made.dense, {"passes": 60}),
]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "y.h5"


@pytest.mark.parametrize("size", [None, BLOCK])
@pytest.mark.parametrize(("model", "options"), CALLS)
def test_a_file_holds_what_one_call_predicts(tmp_path, out, model, options, size):
    sized = options if size is None else options | {"batch_size": size}
    done = predict_file(model(), write_npy(tmp_path), out, **sized)
    assert_predicted(out, model().predict(X, **options))
    assert (done.path, done.rows, done.gaps, done.resumed) == (out, ROWS, 0, 0)
    assert done.passes == options.get("max_passes", options["passes"])
    assert [site.module for site in done.sites.rows] == [site.module for site in model().sites(X).rows]


def test_rows_take_as_many_passes_as_each_needs(tmp_path, out):
    predict_file(made.classification(), write_npy(tmp_path), out, batch_size=BLOCK, **AUTO)
    assert set(mcdrop.load(out).passes.tolist()) == {200, 300, 400}  # else the test above would say less


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_every_kind_of_file_gives_the_same(tmp_path, out, write, masks):
    predict_file(made.regression(), write(tmp_path), out, passes=30, masks=masks, batch_size=BLOCK)
    assert_predicted(out, made.regression().predict(X, passes=30, masks=masks))


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_data_sets_become_keyword_inputs(tmp_path, out, masks):
    predict_file(made.named(), write_named(tmp_path), out, passes=30, masks=masks, batch_size=BLOCK)
    inputs = {"left": X, "right": X[::-1].copy()}
    assert_predicted(out, made.named().predict(inputs, passes=30, masks=masks))


def test_an_open_source_is_read_and_left_open(tmp_path, out):
    with open_source(made.write_csv(tmp_path), columns=["c", "a", "b"]) as source:
        predict_file(made.regression(), source, out, passes=30)
        assert_predicted(out, made.regression().predict(X[:, [2, 0, 1]], passes=30))
        np.testing.assert_allclose(source.read(0, 1), X[:1, [2, 0, 1]])


def test_the_file_says_where_it_comes_from_and_loads_as_a_prediction(tmp_path, out):
    predict_file(made.regression(), write_npy(tmp_path), out, passes=30, seed=7)
    pred = made.regression().predict(X, passes=30, seed=7)
    told = storage.read(out).attributes
    run = told.pop("run")
    assert (run["prediction"], run["inputs"]["file"], run["options"]["passes"]) == (pred.provenance, "x.npy", 30)
    assert told.pop("inputs") == "x.npy, 53 rows of (3,) float32"
    assert told.pop("input_rows") == 53
    assert (told.pop("on_nan"), told.pop("gaps")) == ("error", 0)
    assert told == pred.provenance
    loaded = mcdrop.load(out)
    assert isinstance(loaded, RegressionPredictive)
    np.testing.assert_allclose(loaded.mean, pred.mean, rtol=1e-5, atol=1e-6)


def test_another_run_tells_another_one(tmp_path):
    runs = []
    for number, (seed, size) in enumerate([(0, None), (0, None), (1, None), (0, 4)]):
        path = tmp_path / f"{number}.h5"
        predict_file(
            made.regression(),
            write_npy(tmp_path) if number == 0 else tmp_path / "x.npy",
            path,
            seed=seed,
            passes=2,
            batch_size=size,
        )
        runs.append(storage.read(path).attributes["run"])
    assert [runs.index(run) for run in runs] == [0, 0, 2, 3]  # the same call twice is the same run


@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, 2 * BLOCK])
def test_any_number_of_rows_will_do(tmp_path, out, rows):
    predict_file(made.heteroscedastic(), write_npy(tmp_path, X[:rows]), out, passes=30, batch_size=BLOCK)
    assert_predicted(out, made.heteroscedastic().predict(X[:rows], passes=30))


def test_blocks_may_have_one_row(tmp_path, out):
    predict_file(made.classification(), write_npy(tmp_path, X[:5]), out, passes=30, batch_size=1)
    assert_predicted(out, made.classification().predict(X[:5], passes=30))


@pytest.mark.parametrize("ending", ["csv", "parquet", "pq"])
def test_a_table_has_a_row_for_each_point(tmp_path, ending):
    out = tmp_path / f"y.{ending}"
    predict_file(made.classification(), write_npy(tmp_path), out, passes=30, batch_size=BLOCK)
    table = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    pred = made.classification().predict(X, passes=30)
    assert table["row"].tolist() == list(range(ROWS))
    np.testing.assert_allclose(table[["probs_0", "probs_1", "probs_2"]], pred.probs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table["entropy"], pred.entropy, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(table["labels"], pred.labels)


def test_the_format_may_be_said(tmp_path):
    for name, kind in (("y.out", None), ("y.dat", "csv"), ("y.csv", "hdf5")):
        predict_file(made.regression(), made.write_csv(tmp_path), tmp_path / name, format=kind, passes=2)
    assert len(mcdrop.load(tmp_path / "y.out")) == len(mcdrop.load(tmp_path / "y.csv")) == ROWS
    assert len(pd.read_csv(tmp_path / "y.dat")) == ROWS


def test_images_keep_their_names(tmp_path, out):
    from PIL import Image

    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    for number, image in zip((10, 9, 1), pixels, strict=True):
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 2))
    for path in (out, tmp_path / "y.csv"):
        predict_file(MCDropout(net), tmp_path / "images", path, passes=4, batch_size=2)
    assert pd.read_csv(tmp_path / "y.csv")["row"].tolist() == ["1.png", "9.png", "10.png"]
    whole = (pixels[::-1].transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)
    assert_predicted(out, MCDropout(net).predict(whole, passes=4))


def test_the_transform_is_done_to_each_block(tmp_path, out):
    seen = []

    def halved(x):
        seen.append(len(x))
        return torch.as_tensor(x / 2)

    predict_file(made.regression(), write_npy(tmp_path), out, passes=30, batch_size=BLOCK, transform=halved)
    assert seen == [ROWS, *[BLOCK] * 6, 5]  # the net is surveyed with the first 1,024 rows
    assert_predicted(out, made.regression().predict(X / 2, passes=30))


@pytest.mark.parametrize(
    ("write", "transform"),
    [
        (write_npy, lambda x: {"left": x, "right": x[::-1].copy()}),
        (write_named, lambda x: {"left": torch.as_tensor(x["left"]), "right": x["right"]}),
    ],
)
def test_the_transform_may_give_arrays_by_name(tmp_path, out, write, transform):
    predict_file(made.named(), write(tmp_path), out, passes=30, transform=transform)
    assert_predicted(out, made.named().predict({"left": X, "right": X[::-1].copy()}, passes=30))


@pytest.mark.parametrize(
    ("transform", "got"),
    [
        (lambda x: x[1:], "53, got 52;"),
        (lambda x: (x, x[:4]), "53, got 4 and 53;"),
        (lambda x: {"x": {"inner": x[:2]}}, "53, got 2;"),
        (lambda x: x.mean(), "53, got none in float32;"),
        (lambda x: torch.tensor(1.0), "53, got none in Tensor;"),
        (lambda x: None, "53, got none in NoneType;"),
        (lambda x: (), "53, got none in tuple;"),
        (lambda x: iter(x), "53, got none in iterator;"),
    ],
)
def test_a_transform_that_loses_rows_is_refused(tmp_path, out, transform, got):
    with pytest.raises(InputError, match=f"as many rows as it is given, {got}"):
        predict_file(made.regression(), write_npy(tmp_path), out, transform=transform)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]


def test_a_transform_that_makes_nan_is_refused_with_the_number_of_the_row(tmp_path, out):
    x = np.resize(X, (1100, 3))
    x[1080] = np.inf

    def without_inf(x):
        return np.where(np.isinf(x), np.nan, x)

    with pytest.raises(InputError, match=r"must not hold NaN, got it in 1 of 100 rows \(1080\)"):
        predict_file(made.regression(), write_npy(tmp_path, x), out, passes=2, batch_size=100, transform=without_inf)
    assert made.journal_of(out).exists()


def test_options_reach_the_net(tmp_path, out):
    with pytest.raises(TypeError, match="unexpected option 'passses'"):
        predict_file(made.regression(), write_npy(tmp_path), out, passses=3)
    with pytest.raises(InputError, match="passes must be an integer of at least 2"):
        predict_file(made.regression(), tmp_path / "x.npy", out, passes=1)
    with pytest.raises(InputError, match="batch_size must be an integer of at least 1"):
        predict_file(made.regression(), tmp_path / "x.npy", out, batch_size=0)
    with pytest.raises(NoDropoutError):
        predict_file(MCDropout(nn.Linear(3, 1)), tmp_path / "x.npy", out)
    with pytest.raises(NetError):
        predict_file(MCDropout(nn.Sequential(nn.Linear(4, 1), nn.Dropout(0.5))), tmp_path / "x.npy", out)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]


def test_several_targets_are_refused(tmp_path, out):
    model = MCDropout(made.make_net(), task={"a": "regression", "b": "regression"})
    with pytest.raises(InputError, match=r"predictions of one target, got \['a', 'b'\]; wrap the net once for each"):
        predict_file(model, write_npy(tmp_path), out)


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    refused = [
        (tmp_path / "file" / "y.h5", OutputError, "cannot write .*choose a writable folder"),
        (tmp_path, OutputError, "something is there that is no file"),
        ("bad\0name", InputError, "path must hold characters that a file's name can have"),
        (7, InputError, "path must be a str or a pathlib.Path, got int"),
    ]
    for out, error, message in refused:
        with pytest.raises(error, match=message):
            predict_file(made.regression(), write_npy(tmp_path), out)


def test_a_format_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="format must be one of 'hdf5', 'csv', 'parquet', got 'json'"):
        predict_file(made.regression(), write_npy(tmp_path), tmp_path / "y.h5", format="json")
    for name in ("y.csv", "y.parquet"):
        with pytest.raises(InputError, match=r"keep_samples must go with format='hdf5', got '(csv|parquet)'"):
            predict_file(made.regression(), tmp_path / "x.npy", tmp_path / name, keep_samples=True)
    monkeypatch.setattr("mcdrop.bulk.output.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="format='parquet' needs pyarrow, which is not installed"):
        predict_file(made.regression(), tmp_path / "x.npy", tmp_path / "y.parquet")
    with pytest.raises(InputError, match="on_nan must be one of 'error', 'skip', 'keep', got 'drop'"):
        predict_file(made.regression(), tmp_path / "x.npy", tmp_path / "y.h5", on_nan="drop")
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]


@pytest.mark.parametrize("more", [{"overwrite": True}, {"resume": True}])
def test_predictions_never_replace_their_inputs(tmp_path, more):
    place = made.write_h5(tmp_path)
    before = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "link.h5").symlink_to(tmp_path / "x.h5")
    for out in ("x.h5", "link.h5"):
        with pytest.raises(InputError, match="out must be another file than the inputs"):
            predict_file(made.regression(), place, tmp_path / out, **more)
    assert (tmp_path / "x.h5").read_bytes() == before


def test_inputs_that_are_not_there_are_told(tmp_path, out):
    with pytest.raises(DataError, match="expected a file of inputs or a folder of images, got nothing there"):
        predict_file(made.regression(), tmp_path / "none.npy", out)


def test_blocks_that_never_come_are_told_and_can_be_resumed(tmp_path, out):
    """A file with gaps that nobody asked for is never written."""

    def without_one(prepared, reader, missing, advance):
        return in_process(prepared, reader, [*missing[:2], *missing[3:]], advance)

    call = {"passes": 30, "batch_size": BLOCK}
    with pytest.raises(
        ExecutionError, match="all 53 rows must be predicted, got 45, without rows 16 to 23; go on with"
    ):
        predict_file(made.regression(), write_npy(tmp_path), out, execute=without_one, **call)
    assert not out.exists()
    assert predict_file(made.regression(), tmp_path / "x.npy", out, resume=True, **call).resumed == 45
    assert_predicted(out, made.regression().predict(X, passes=30))


def test_whoever_predicts_is_ended_by_an_error(tmp_path, out):
    """What it holds, such as processes, is let go of at once, not when the error is forgotten."""
    ended = []

    def holding(prepared, reader, missing, advance):
        try:
            for block in missing:
                yield from in_process(prepared, reader, [range(block.start, block.stop + 1)], advance)
        finally:
            ended.append(True)

    with pytest.raises(InputError, match="blocks must not overlap") as caught:
        predict_file(made.regression(), write_npy(tmp_path), out, execute=holding, passes=2, batch_size=BLOCK)
    assert ended == [True]  # while the error, and so the frame that it came from, is there
    assert caught.traceback


class Wide(nn.Module):
    """More outputs than a table has columns, with the spread of each."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 6000), nn.Dropout(0.5))

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_too_many_columns_is_refused_after_one_block(tmp_path, ending):
    seen = []

    def counted(prepared, reader, missing, advance):
        for done in in_process(prepared, reader, missing, advance):
            seen.append(done.start)
            yield done

    call = {"execute": counted, "passes": 2, "batch_size": BLOCK}
    with pytest.raises(
        InputError, match=r"up to 10000 columns, got 18000 .* write HDF5 \(format=\"hdf5\", --format hdf5"
    ):
        predict_file(MCDropout(Wide()), write_npy(tmp_path), tmp_path / f"y.{ending}", **call)
    assert seen == [0]
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npy"]  # so that the mended command runs
    assert predict_file(MCDropout(Wide()), tmp_path / "x.npy", tmp_path / "y.h5", **call).rows == ROWS


def test_rows_that_have_not_converged_are_told_of_once_for_all_blocks(tmp_path, out):
    call = {"passes": "auto", "max_passes": 100, "sampling": "iid", "tolerance": 0.01}
    with pytest.warns(UserWarning) as whole:
        made.regression().predict(X, **call)
    with pytest.warns(UserWarning) as caught:
        done = predict_file(made.regression(), write_npy(tmp_path), out, batch_size=BLOCK, **call)
    assert [str(each.message) for each in caught] == [str(each.message) for each in whole]
    assert str(caught[0].message).startswith("53 of 53 points should have a Monte Carlo error within the tolerance")
    assert caught[0].filename == __file__
    assert done.unsettled == ROWS


def test_where_all_rows_converge_nothing_is_said_and_other_warnings_are(tmp_path, out):
    done = predict_file(made.classification(), write_npy(tmp_path), out, batch_size=BLOCK, **AUTO)
    assert done.unsettled == 0

    def warning(prepared, reader, missing, advance):
        warnings.warn("something else", RuntimeWarning, stacklevel=1)
        return in_process(prepared, reader, missing, advance)

    with pytest.warns(RuntimeWarning, match="something else"):
        predict_file(made.regression(), tmp_path / "x.npy", out, execute=warning, overwrite=True, passes=2)

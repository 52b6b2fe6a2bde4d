"""Files written block by block: the same as those that are written whole, with one block in memory at a time."""

import tracemalloc
import warnings

import h5py
import numpy as np
import pytest
import xarray

import mcdrop
from mcdrop import storage
from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.predictive import at_points
from mcdrop.storage import Block, Journal, Variable, layout, write_blocks, writing
from storage.made import assert_same, block_of, classification, cut, mean_of, regression, watched

DRAWS = np.random.default_rng(2)

PREDICTIONS = {
    "one output": regression(),
    "no axis but the points": regression(trailing=()),
    "three outputs": regression(trailing=(3,)),
    "a closed form": regression(passes=None),
    "passes of each point": regression(passes=DRAWS.integers(1, 99, size=5000)),
    "known noise": regression(noise_std=0.5),
    "noise of each output": regression(trailing=(3,), noise_std=np.array([1.0, 2.0, 3.0])),
    "heteroscedastic": regression(noise_std=DRAWS.uniform(size=(5000, 1)), mean_error=DRAWS.uniform(size=(5000, 1))),
    "single precision": regression(samples=DRAWS.normal(size=(9, 5000, 1)).astype(np.float32)),
    "samples": regression(trailing=(2,), samples=DRAWS.normal(size=(9, 5000, 2))),
    "classes": classification(),
    "samples of classes": classification(samples=DRAWS.normal(size=(9, 3000, 3))),
    "dense": classification(points=100, trailing=(4, 5, 3), passes=3),
    "few": regression(points=3),
}


def opened(path):
    return xarray.open_datatree(path, engine="h5netcdf")


@pytest.mark.parametrize("what", PREDICTIONS)
def test_blocks_make_the_file_of_the_whole(tmp_path, monkeypatch, what):
    monkeypatch.setattr(layout, "_CHUNK", 1 << 12)  # ends of blocks and of chunks differ
    pred = PREDICTIONS[what]
    whole = pred.save(tmp_path / "whole.nc")
    ends = sorted({1, 2, *np.random.default_rng(0).integers(1, len(pred), 7)} - {len(pred)})
    made = storage.write_blocks(tmp_path / "made.nc", type(pred).__name__, cut(pred, ends), pred.provenance)
    with opened(whole) as one, opened(made) as other:
        xarray.testing.assert_identical(one, other)
    assert_same(storage.read(made).groups, storage.read(whole).groups)
    assert storage.read(made).attributes == storage.read(whole).attributes
    one, other = mcdrop.load(whole), mcdrop.load(made)
    for name in type(pred).__dataclass_fields__:
        np.testing.assert_equal(getattr(other, name), getattr(one, name))


@pytest.mark.parametrize("what", ["samples", "samples of classes"])
def test_arviz_sees_no_difference(tmp_path, what):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what ArviZ says of itself when it is first imported
        import arviz
    pred = PREDICTIONS[what]
    whole, made = tmp_path / "whole.nc", tmp_path / "made.nc"
    storage.write_blocks(made, type(pred).__name__, cut(pred, [100, 2000]), pred.provenance)
    one, other = arviz.from_netcdf(pred.save(whole)), arviz.from_netcdf(made)
    for group in ("predictions", "predictions_constant_data"):
        xarray.testing.assert_identical(
            *(tree[group] if isinstance(tree[group], xarray.Dataset) else tree[group].dataset for tree in (one, other))
        )


def test_blocks_out_of_a_journal_make_the_file_too(tmp_path):
    pred = PREDICTIONS["heteroscedastic"]
    with Journal.create(tmp_path / "j", {}) as journal:
        for start in (3000, 0, 4000, 1000, 2000):
            part = at_points(pred, np.arange(start, start + 1000))
            journal.append(start, 1000, part.variables())
        storage.write_blocks(tmp_path / "made.nc", "RegressionPredictive", journal.blocks, pred.provenance)
        journal.remove()
    assert_same(storage.read(tmp_path / "made.nc").groups, storage.read(pred.save(tmp_path / "whole.nc")).groups)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["made.nc", "whole.nc"]


def test_a_journal_that_is_damaged_meanwhile_is_to_blame_and_not_the_place(tmp_path):
    with Journal.create(tmp_path / "j", {}) as journal:
        for start in (0, 2):
            journal.append(start, 2, mean_of([1.0, 2.0]))
        data = bytearray((tmp_path / "j").read_bytes())
        data[-1] ^= 1
        (tmp_path / "j").write_bytes(data)
        with pytest.raises(DataError, match="got damage in rows 2 to 3"):
            storage.write_blocks(tmp_path / "a.nc", "Example", journal.blocks, {})
    assert not (tmp_path / "a.nc").exists()


def test_one_block_at_a_time_is_in_memory(tmp_path):
    rows = 20_000
    blocks = watched(rows, 40)
    storage.write_blocks(tmp_path / "warm.nc", "Example", blocks[:1], {})
    tracemalloc.start()
    try:
        storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "a.nc").stat().st_size
    assert size > 40 * rows * 32
    assert peak < 5 * rows * 32 < size / 7


def test_blocks_without_points_are_left_out(tmp_path):
    blocks = [block_of({}, 0), block_of(mean_of([1.0]), 1), block_of({}, 0), block_of(mean_of([2.0, 3.0]), 2)]
    archive = storage.read(storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {}))
    assert archive.variable("predictions", "mean").values.tolist() == [1.0, 2.0, 3.0]
    archive = storage.read(storage.write_blocks(tmp_path / "a.nc", "Example", [block_of(mean_of([]), 0)], {}))
    assert archive.variable("predictions", "mean").values.shape == (0,)
    for nothing in ([], [block_of({}, 0)], [block_of({"predictions": {}}, 0)]):
        with pytest.raises(InputError, match="blocks must hold variables, got none at all"):
            storage.write_blocks(tmp_path / "b.nc", "Example", nothing, {})
    assert not (tmp_path / "b.nc").exists()


FIRST = mean_of([1.0, 2.0], k=Variable((), np.array([np.nan])[0:1].reshape(())))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (mean_of([1.0, 2.0]), "got block 1, which has no variable 'k' of 'predictions'; predict all rows with the"),
        (
            FIRST | {"constant_data": {"z": FIRST["predictions"]["mean"]}},
            "has another variable, 'z' of 'constant_data'",
        ),
        (
            {"predictions": FIRST["predictions"] | {"mean": Variable(("point",), np.ones(2, "f4"), "ppm", "mean")}},
            r"block 1, variable 'mean' of 'predictions' must be as in the first block, float64 over \(point\) in 'ppm'",
        ),
        (
            {"predictions": FIRST["predictions"] | {"mean": Variable(("point", "o"), np.ones((2, 1)), "ppm", "mean")}},
            r"got float64 over \(point, o of 1\)",
        ),
        (
            {"predictions": FIRST["predictions"] | {"mean": Variable(("point",), np.ones(2), "m", "mean")}},
            "in 'ppm', 'mean', got float64 over .* in 'm', 'mean'",
        ),
        (mean_of([1.0], k=FIRST["predictions"]["k"]), "must have the 2 points of its block, got 1"),
        (
            mean_of([1.0, 2.0], k=Variable((), np.asarray(3.0))),
            "block 1: 'k' of 'predictions' has no axis 'point', so it must be the same in all blocks, got 3. after nan",
        ),
        (mean_of([1.0, 2.0], k=Variable(("p", "p"), np.ones((1, 1)))), "one name for each axis"),
    ],
)
def test_blocks_that_do_not_go_together_are_refused_and_the_old_file_stays(tmp_path, second, message):
    path = storage.write(tmp_path / "a.nc", "Old", {}, {})
    old = path.read_bytes()
    with pytest.raises(InputError, match=message):
        storage.write_blocks(path, "Example", [block_of(FIRST, 2), block_of(second, 2)], {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
    storage.write_blocks(path, "Example", [block_of(FIRST, 2), block_of(FIRST, 2)], {})  # NaN is equal to itself


def test_texts_may_have_any_length(tmp_path):
    parts = [["a", "bé"], ["", "longer than those"]]
    blocks = [block_of({"predictions": {"t": Variable(("point",), np.array(part))}}, 2) for part in parts]
    archive = storage.read(storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {}))
    assert archive.variable("predictions", "t").values.tolist() == parts[0] + parts[1]


@pytest.mark.parametrize("kind", ["array", "function"])
@pytest.mark.parametrize("labels", [np.arange(100, 5100), [f"img_{i}.png" for i in range(5000)]])
def test_points_have_labels_for_those_who_open_the_file_elsewhere(tmp_path, monkeypatch, kind, labels):
    monkeypatch.setattr(layout, "_LABELS", 999)
    pred = PREDICTIONS["known noise"]
    given = labels if kind == "array" else lambda start, stop: labels[start:stop]
    made = storage.write_blocks(
        tmp_path / "a.nc", "RegressionPredictive", cut(pred, [9, 4000]), {}, coords={"point": given}
    )
    whole = storage.write(
        tmp_path / "b.nc", "RegressionPredictive", pred.variables(), {}, coords={"point": np.asarray(labels)}
    )
    with opened(made) as one, opened(whole) as other:
        xarray.testing.assert_identical(one, other)
        assert one["predictions"]["point"].values.tolist() == list(labels)
    assert mcdrop.load(made).mean.tolist() == pred.mean.tolist()


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        (
            {"point": np.arange(4)},
            r"axis 'point' must have one label per position, 3 numbers or texts, got shape \(4,\)",
        ),
        ({"point": np.array([1, None, 2])}, "of object"),
        ({"draw": [1]}, "coords must label axes of the variables, got draw; leave it out"),
        (
            {"point": lambda start, stop: np.arange(9)},
            "must be numbers or texts of one kind, 3 of them for positions 0",
        ),
        ({"point": lambda start, stop: ["a"] * (stop - start) if start else [1, 2]}, "of int64, text; give one per"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, monkeypatch, coords, message):
    monkeypatch.setattr(layout, "_LABELS", 3 if "one kind, 3" in message else 2)
    blocks = [block_of(mean_of([1.0, 2.0]), 2), block_of(mean_of([3.0]), 1)]
    with pytest.raises(InputError, match=message):
        storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {}, coords=coords)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch):
    path = storage.write(tmp_path / "a.nc", "Old", {}, {})
    old = path.read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_reserve", refuse)
    with pytest.raises(OutputError, match="No space left on device; choose a writable folder with enough space"):
        storage.write_blocks(path, "Example", [block_of(mean_of([1.0]), 1)], {})
    assert path.read_bytes() == old


def test_space_is_reserved_for_the_whole(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(writing, "_reserve", lambda file, size: asked.append(size))
    path = storage.write_blocks(tmp_path / "a.nc", "RegressionPredictive", cut(PREDICTIONS["samples"], [7]), {})
    assert path.stat().st_size * 0.9 < asked[0] < path.stat().st_size * 1.2


def test_chunks_hold_whole_points(tmp_path):
    groups = {
        "many": Variable(("point", "output"), np.zeros((50_000, 3))),
        "votes": Variable(("point", "class"), np.zeros((50_000, 10), np.int64)),
        "samples": Variable(("chain", "draw", "point"), np.zeros((1, 100, 50_000), np.float32)),
        "few": Variable(("point",), np.zeros(50_000, bool)),
    }
    blocks = [block_of({"predictions": groups}, 50_000)]
    with h5py.File(storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {})) as file:
        found = {name: file[f"predictions/{name}"] for name in groups}
        assert {name: one.chunks for name, one in found.items()} == {
            "many": (10_922, 3),
            "votes": (3_276, 10),
            "samples": (1, 100, 655),
            "few": (50_000,),
        }
        assert all(one.fletcher32 for one in found.values())
        assert [name for name, one in found.items() if one.compression] == ["votes", "few"]
        assert found["votes"].id.get_storage_size() < 50_000


@pytest.mark.parametrize("shape", [(7, 600, 700, 5), (3, 10**6), (2, 3, 10**5, 2)])
def test_points_too_large_for_a_chunk_are_divided(shape):
    dims = ("point", "a", "b", "c")[: len(shape)]
    chunk = layout._chunks(layout.Spec(dims, shape, np.dtype(float), "", ""))
    assert chunk[0] == 1
    assert 1 << 14 <= np.prod(chunk) * 8 <= 1 << 18
    assert all(1 <= part <= size for part, size in zip(chunk, shape, strict=True))


def test_progress_counts_points(tmp_path, capsys):
    blocks = [block_of(mean_of([1.0, 2.0]), 2), block_of(mean_of([3.0]), 1)]
    storage.write_blocks(tmp_path / "a.nc", "Example", blocks, {}, progress="writing a.nc")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "writing a.nc" in captured.err
    assert "3/3" in captured.err


def test_the_file_that_is_written_first_may_be_named(tmp_path):
    """What is left under this name goes; of one that fails nothing stays."""
    (tmp_path / ".mine").write_bytes(bytes(100_000))
    seen = []

    def read():
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        return mean_of([1.0, 2.0])

    path = write_blocks(tmp_path / "a.h5", "Example", [Block(2, read)], {}, partial=".mine")
    assert seen == [[".mine"], [".mine"]]
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(storage.read(path).groups["predictions"]["mean"].values, [1.0, 2.0])

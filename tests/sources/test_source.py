"""The laws that every kind of source obeys."""

import copy
import json
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcdrop.errors import DataError, InputError
from mcdrop.sources import Source, open_source
from sources.kinds import KINDS, ROWS, keywords

FORKED = [kind for kind in KINDS if kind.__name__ not in ("parquet_list", "parquet_keywords")]  # they read as parquet

ranges = st.lists(st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted), max_size=8)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def made(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("source"), ROWS)


@pytest.fixture
def fresh(made):
    place, options, _ = made
    with open_source(place, **options) as source:
        yield source


def check(block, whole, start, stop):
    """See that a block is those rows of the whole, to the bit."""
    assert isinstance(block, dict) == isinstance(whole, dict)
    if isinstance(whole, dict):
        assert list(block) == list(whole)
        for name in whole:
            check(block[name], whole[name], start, stop)
        return
    assert block.dtype == whole.dtype
    assert block.dtype.isnative
    assert block.flags.c_contiguous
    assert block.flags.writeable
    np.testing.assert_array_equal(block, whole[start:stop])


def test_the_length_and_the_whole(made, fresh):
    assert isinstance(fresh, Source)
    assert len(fresh) == ROWS
    check(fresh.read(0, ROWS), made[2], 0, ROWS)


@pytest.mark.parametrize("size", [1, 2, 7, 22])
def test_blocks_of_any_size_make_up_the_whole(made, fresh, size):
    for start in range(0, ROWS, size):
        stop = min(start + size, ROWS)
        check(fresh.read(start, stop), made[2], start, stop)


@given(ranges)
@settings(max_examples=15, deadline=None)
def test_blocks_come_in_any_order(made, wanted):
    place, options, whole = made
    with open_source(place, **options) as source:
        for start, stop in wanted:
            check(source.read(start, stop), whole, start, stop)


def test_a_block_is_the_caller_s_own(made, fresh):
    first = fresh.read(0, 2)
    for array in first.values() if isinstance(first, dict) else [first]:
        array[...] = 1
    check(fresh.read(0, 2), made[2], 0, 2)


def test_no_rows_at_all_have_the_same_shape_and_type(made, fresh):
    check(fresh.read(3, 3), made[2], 3, 3)


@pytest.mark.parametrize("start, stop", [(-1, 2), (2, 1), (0, ROWS + 1), (0.0, 2), (True, 2), (None, 2)])
def test_rows_that_are_not_there_are_refused(fresh, start, stop):
    for read in (fresh.read, fresh.names):
        with pytest.raises(InputError, match="start and stop must be row numbers with 0 <= start <= stop <= 23, got"):
            read(start, stop)


def test_a_closed_source_opens_again(made, fresh):
    fresh.read(0, 2)
    fresh.close()
    fresh.close()
    check(fresh.read(2, 4), made[2], 2, 4)


@pytest.mark.parametrize("used", [False, True])
def test_pickled_sources_go_on_by_themselves(made, fresh, used):
    if used:
        fresh.read(0, 5)
    other = pickle.loads(pickle.dumps(fresh))
    with other, copy.deepcopy(fresh) as third:
        for source in (other, fresh, third):
            check(source.read(5, 9), made[2], 5, 9)
        assert other.about == fresh.about
        assert other.describe() == fresh.describe()


def test_sources_travel_to_another_process_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wholes, sources = [], []
    for kind in KINDS:
        folder = Path("made", kind.__name__)
        folder.mkdir(parents=True)
        place, options, whole = kind(folder, ROWS)
        wholes.append(whole)
        sources.append(open_source(place, **options))
        sources[-1].read(0, 5)
    Path("sources").write_bytes(pickle.dumps(sources))
    for source in sources:
        source.close()
    code = (
        "import pickle, sys\n"
        "sources = pickle.load(open('../sources', 'rb'))\n"
        "pickle.dump([source.read(1, 4) for source in sources], open('blocks', 'wb'))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    subprocess.run([sys.executable, "-c", code], cwd="made", check=True, env={**os.environ, "PYTHONPATH": path})
    for block, whole in zip(pickle.loads(Path("made", "blocks").read_bytes()), wholes, strict=True):
        check(block, whole, 1, 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forked processes on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", FORKED, ids=lambda kind: kind.__name__)
def test_a_forked_process_does_not_move_its_parent_s_cursor(tmp_path, kind):
    rows = ROWS if kind.__name__ == "images" else 20_000  # more than the buffers of a file hold
    place, options, whole = kind(tmp_path, rows)
    middle = rows // 2
    with open_source(place, **options) as source:
        source.read(0, 5)
        child = os.fork()
        if child == 0:
            good = False
            try:
                check(source.read(5, middle), whole, 5, middle)
                good = True
            finally:
                os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        check(source.read(5, rows), whole, 5, rows)


def test_about_is_plain_and_says_what_the_source_is(made, fresh):
    about = fresh.about
    assert json.loads(json.dumps(about)) == about
    assert (about["rows"], about["file"]) == (ROWS, fresh.path.name)
    assert about["by_name"] == isinstance(made[2], dict) == fresh.by_name
    arrays = made[2].values() if fresh.by_name else [made[2]]
    expected = [{"shape": list(array.shape[1:]), "dtype": str(array.dtype)} for array in arrays]
    assert list(about["arrays"].values()) == expected
    with open_source(made[0], **made[1]) as again:
        assert again.about == about


def test_about_changes_when_the_file_does(made, fresh):
    file = next(path for path in [fresh.path, *sorted(fresh.path.glob("*"))] if path.is_file())
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    with open_source(made[0], **made[1]) as again:
        assert again.about != fresh.about
        if not fresh.path.is_dir():
            assert again.about["mtime_ns"] == fresh.about["mtime_ns"] + 10**9
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_the_description_is_one_line(fresh):
    line = fresh.describe()
    assert line.startswith(fresh.path.name)
    assert ", 23 rows of " in line
    assert "\n" not in line
    assert line in repr(fresh)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ != "images"], ids=lambda kind: kind.__name__)
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, kind):
    place, options, _ = kind(tmp_path, ROWS)
    source = open_source(place, **options)
    source.read(0, 2)
    state = source.path.stat()
    os.utime(source.path, ns=(state.st_atime_ns, state.st_mtime_ns + 1000))
    with pytest.raises(DataError, match="expected the file as it was when it was opened, got another time of change"):
        source.read(2, 4)
    os.utime(source.path, ns=(state.st_atime_ns, state.st_mtime_ns))
    source.read(2, 4)
    other = pickle.loads(pickle.dumps(source))
    os.truncate(source.path, state.st_size - 9)
    for changed in (source, other):
        with pytest.raises(
            DataError, match=r"opened, got .* bytes instead of .*; start again, and let no other program"
        ):
            changed.read(4, 6)
    source.path.unlink()
    with pytest.raises(DataError, match="No such file"):
        source.read(4, 6)


def test_a_copy_elsewhere_may_have_another_time_of_change(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(5))
    source = open_source(tmp_path / "x.npy")
    other = pickle.loads(pickle.dumps(source))
    os.utime(source.path, ns=(0, 10**9))
    assert other.read(0, 5).tolist() == [0, 1, 2, 3, 4]
    assert other.about == source.about
    os.utime(source.path, ns=(0, 2 * 10**9))
    with pytest.raises(DataError, match="another time of change"):
        other.read(0, 5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ != "images"], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("cut", ["empty", "half", "noise", "last byte"])
def test_damaged_files_are_one_clear_error(tmp_path, kind, cut):
    place, options, whole = kind(tmp_path, ROWS)
    path = Path(str(place).partition("::")[0])
    content = path.read_bytes()
    noise = np.random.default_rng(0).bytes(len(content))
    path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": noise}.get(cut, content[:-1]))
    if cut == "last byte" and path.suffix in (".csv", ".tsv"):
        with open_source(place, **options) as source:  # a line break less
            check(source.read(0, ROWS), whole, 0, ROWS)
        return
    if cut == "half" and path.suffix in (".csv", ".tsv"):
        return  # cut off between two rows it is a shorter file
    with pytest.raises(DataError) as caught, open_source(place, **options) as source:
        for row in range(ROWS):
            source.read(row, row + 1)
    message = str(caught.value)
    assert str(path) in message
    assert "expected" in message
    assert "\n" not in message
    if cut == "empty":
        assert "got an empty file" in message


def big_hdf5(path, x):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=x, chunks=(1000, x.shape[1]))


def big_csv(path, x):
    pd.DataFrame(x, columns=list("abcdefgh")).to_csv(path, index=False)


BIG = {
    ".h5": big_hdf5,
    ".npy": np.save,
    ".npz": lambda path, x: np.savez(path, x=x),
    ".csv": big_csv,
    ".parquet": lambda path, x: pd.DataFrame(x, columns=list("abcdefgh")).to_parquet(path, row_group_size=2000),
}


@pytest.mark.parametrize("ending", BIG)
def test_memory_does_not_grow_with_the_rows(tmp_path, ending):
    rows, size = (60_000, 500) if ending == ".csv" else (200_000, 500)
    path = tmp_path / f"x{ending}"
    BIG[ending](path, np.random.default_rng(0).normal(size=(rows, 8)))
    with open_source(path) as source:  # what is imported and parsed once is not part of it
        source.read(0, 2 * size)
        tracemalloc.start()
        for start in range(0, rows, size):
            source.read(start, start + size)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < path.stat().st_size / 8


def test_the_one_pass_over_a_csv_is_flat_too(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "1.5,2.5\n" * 1_500_000)
    open_source(path).close()
    tracemalloc.start()
    source = open_source(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(source) == 1_500_000
    assert peak < 1_500_000 * 16 / 2


@pytest.mark.parametrize("ending", [".npz", ".csv", ".csv.gz", ".h5"])
def test_reading_forward_takes_time_that_grows_with_the_rows_only(tmp_path, ending):
    """Were each block read from the start of the file, 120 blocks would take 60 times as long as one pass."""
    rows, blocks = 24_000, 120
    path, x = tmp_path / f"x{ending}", np.random.default_rng(0).normal(size=(24_000, 8))
    if ending == ".h5":  # one chunk, which has to be kept
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=x, chunks=x.shape, compression="gzip", compression_opts=1)
    else:
        (big_csv if "csv" in ending else BIG[ending])(path, x)
    with open_source(path) as source:
        whole, piecewise = [], []
        for _ in range(3):
            source.close()
            began = time.process_time()
            source.read(0, rows)
            whole.append(time.process_time() - began)
            source.close()
            began = time.process_time()
            for start in range(0, rows, rows // blocks):
                source.read(start, start + rows // blocks)
            piecewise.append(time.process_time() - began)
    assert min(piecewise) < 15 * min(whole) + 0.1


def test_a_second_process_can_read_an_hdf5_file_that_is_open(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(3.0)
    with open_source(tmp_path / "x.h5") as source, h5py.File(tmp_path / "x.h5", "r") as mine:
        source.read(0, 1)
        assert mine["x"][2] == 2
        code = f"import h5py; print(h5py.File({str(source.path)!r}, 'r')['x'][2])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "2.0"


def test_keywords_come_in_the_order_of_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", **keywords())
    assert list(open_source(tmp_path / "x.npz").arrays) == ["a", "b", "c"]

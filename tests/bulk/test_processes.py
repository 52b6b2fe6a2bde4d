"""Processes that are killed or interrupted, disks that are full, and memory that does not grow with the rows."""

import functools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from bulk import made
from bulk.made import BLOCK, ROWS, X, assert_bits, journal_of, nobody, write_npy
from mcdrop import MCDropout, OutputError
from mcdrop.bulk import predict_file

TESTS = Path(__file__).parents[1]
CALL = {"passes": 30, "batch_size": BLOCK, "execution": "loop"}
RECORD = b"\nmcdrop record:\n"  # stands before each block of a journal

RUN = f"""
import signal, sys
from mcdrop import MCDropout
from mcdrop.bulk import predict_file
from bulk.made import Slow
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
predict_file(MCDropout(Slow(0.005)), sys.argv[1], sys.argv[2], resume=True, **{CALL})
"""


def broken_off(x, out, how, *, blocks, wait):
    """Run in a process of its own, and send it a signal some time after so many blocks are in."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(x), str(out)], cwd=TESTS, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not (journal_of(out).exists() and journal_of(out).read_bytes().count(RECORD) >= blocks):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.005)
            time.sleep(wait)
            process.send_signal(how)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    return process.returncode, said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_at_any_moment_loses_no_block(tmp_path, how):
    """A block takes 30 passes of 5 ms, so that most of a process's time is spent in the midst of one."""
    x, out, rng = write_npy(tmp_path), tmp_path / "y.h5", random.Random(0)
    code, said = broken_off(x, out, how, blocks=2, wait=rng.uniform(0, 0.3))
    assert code == -how
    assert ("KeyboardInterrupt" in said) == (how == signal.SIGINT)
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".partial")] == []
    done = predict_file(MCDropout(made.Slow()), x, out, resume=True, **CALL)
    assert 2 * BLOCK <= done.resumed < ROWS
    predict_file(MCDropout(made.Slow()), x, tmp_path / "whole.h5", **CALL)
    assert_bits(out, tmp_path / "whole.h5")


@contextmanager
def disk_of(size):
    """Let no file grow beyond so many bytes."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


full_disks = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")


@full_disks
def test_a_full_disk_keeps_the_blocks_before_it(tmp_path):
    x, out, whole = write_npy(tmp_path), tmp_path / "y.h5", tmp_path / "whole.h5"
    predict_file(made.regression(), x, whole, **CALL)
    with (
        disk_of(8_000),
        pytest.raises(OutputError, match=r"File too large; its \d finished block.* go on with --resume"),
    ):
        predict_file(made.regression(), x, out, **CALL)
    with disk_of(8_000), pytest.raises(OutputError, match="File too large"):
        predict_file(made.regression(), x, out, resume=True, **CALL)
    assert not out.exists()
    done = predict_file(made.regression(), x, out, resume=True, **CALL)
    assert 0 < done.resumed < ROWS and done.resumed % BLOCK == 0
    assert_bits(out, whole)


@full_disks
@pytest.mark.parametrize("name", ["y.h5", "y.csv"])
def test_a_disk_that_is_full_in_the_end_keeps_all_blocks(tmp_path, name):
    """The journal of 400 rows takes 80 kB, the file 106 kB, and the table 156 kB."""
    x, out, whole = write_npy(tmp_path, np.resize(X, (400, 3))), tmp_path / name, tmp_path / f"whole_{name}"
    predict_file(made.classification(), x, whole, passes=30)
    out.write_text("old")
    with (
        disk_of(90_000),
        pytest.raises(OutputError, match=f"cannot write .*{name}: File too"),
    ):
        predict_file(made.classification(), x, out, overwrite=True, passes=30)
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["x.npy", f"whole_{name}", name, f"{name}.unfinished"]
    )
    done = predict_file(made.classification(), x, out, resume=True, execute=nobody, passes=30)
    assert done.resumed == 400
    if name == "y.csv":
        assert out.read_bytes() == whole.read_bytes()
    else:
        assert_bits(out, whole)


# With a fixed threshold what is freed goes back at once, and the peak is what was held; see tests/test_memory.py.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
PEAK = """
import sys
import torch
from mcdrop import MCDropout
from mcdrop.bulk import predict_file

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1))
done = predict_file(MCDropout(net), sys.argv[1], sys.argv[2], passes=2)
assert done.rows == int(sys.argv[3])
if sys.platform == "linux":  # ru_maxrss of a new process starts at what its parent held
    with open("/proc/self/status") as lines:
        print(1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")))
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@functools.cache
def peak_bytes(folder, rows):
    """Predict so many rows of an HDF5 file in a process of its own, and return what it took at its peak."""
    rng, piece = np.random.default_rng(0), 100_000
    with h5py.File(folder / f"{rows}.h5", "w") as file:
        x = file.create_dataset("x", (rows, 2), "float32", chunks=(10_000, 2))
        for start in range(0, rows, piece):
            x[start : start + piece] = rng.normal(size=(piece, 2))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / f"{rows}.h5"), str(folder / f"{rows}.out.h5"), str(rows)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ENVIRONMENT},
        cwd=TESTS,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module to read a peak from")
def test_memory_is_flat_for_two_million_rows(tmp_path):
    """Whatever had one number per row would show: 1.8 million rows more of float64 are 14 MB, of the inputs too.

    What is written is 58 MB more, of mean, spread, error and row number.
    """
    few, many = 200_000, 2_000_000
    bound = 8 * (many - few) * 3 // 4
    assert peak_bytes(tmp_path, many) - peak_bytes(tmp_path, few) < bound
    with h5py.File(tmp_path / f"{many}.out.h5") as file:
        assert file["predictions/mean"].shape == (many, 1)
        rows = file["predictions_constant_data/row"]
        assert rows[-1] == many - 1 and np.isfinite(file["predictions/std"][-1000:]).all()

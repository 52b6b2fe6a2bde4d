"""What a process takes at its peak: memory does not grow with T, nor with the rows of a loader.

Every measurement is a process of its own, since a peak never comes down again.
"""

import functools
import os
import subprocess
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no resource module to read a peak from", allow_module_level=True)

ROWS, WIDTH, OUTPUTS = 1024, 16, 3
GROWTH = 1.05

# On Linux `ru_maxrss` of a new process starts at what its parent held when it was made, and a parent that runs tests
# holds much; VmHWM is of the process alone. macOS counts `ru_maxrss` in bytes.
#
# glibc keeps freed blocks of a few megabytes for later, more of them the longer a process runs, 20 to 30 MB here; with
# a fixed threshold what is freed goes back at once, and the peak is what was held.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}

PEAK = """
def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as lines:
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""

PASSES = f"""
import sys
import torch
from torch import nn
from mcdrop import MCDropout
{PEAK}
passes, task, keep = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "keep"
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, {WIDTH}), nn.ReLU(), nn.Dropout(0.1), nn.Linear({WIDTH}, {OUTPUTS}))
pred = MCDropout(net, task=task).predict(torch.randn({ROWS}, 2), passes=passes, keep_samples=keep)
assert (pred.std if task == "regression" else pred.probs_std).any()
print(peak())
"""

COLUMNS, BATCH = 16_384, 64
BATCH_BYTES = 4 * COLUMNS * BATCH

LOADER = f"""
import sys
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from mcdrop import MCDropout
{PEAK}
class Rows(IterableDataset):
    def __iter__(self):
        for row in range({BATCH} * int(sys.argv[1])):
            yield torch.full(({COLUMNS},), row % 7 / 7)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear({COLUMNS}, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
pred = MCDropout(net).predict(DataLoader(Rows(), batch_size={BATCH}), passes=3)
assert pred.mean.shape == ({BATCH} * int(sys.argv[1]), 1)
print(peak())
"""


@functools.cache
def peak_bytes(code, *args):
    """Run code in a new process on one thread, and return what it took at its peak."""
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(arg) for arg in args)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ENVIRONMENT},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_hundred_times_the_passes_take_no_more_memory(task):
    """10,000 passes of 1,024 rows and 3 outputs are 123 MB of floats: nearly half of what a process takes besides.

    100 passes fill more than one chunk, so that what a chunk takes is in both peaks.
    """
    few = peak_bytes(PASSES, 100, task, "stream")
    samples = 4 * 10_000 * ROWS * OUTPUTS
    assert samples > 3 * (GROWTH - 1) * few  # else the samples would not be noticed
    assert peak_bytes(PASSES, 10_000, task, "stream") < GROWTH * few


def test_kept_samples_would_be_noticed():
    few = peak_bytes(PASSES, 100, "regression", "stream")
    many = peak_bytes(PASSES, 10_000, "regression", "keep")
    assert many > GROWTH * few
    assert many - few > 0.9 * 4 * 10_000 * ROWS * OUTPUTS


def test_a_loader_larger_than_memory_streams_through():
    """A loader that hands out three times the bytes that a process with a short loader takes at its peak."""
    short = peak_bytes(LOADER, 8)
    batches = -(-3 * short // BATCH_BYTES)
    assert peak_bytes(LOADER, batches) < GROWTH * short

"""Jobs in processes: the same results in the same order for any number of them, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mcdrop.demos.workers import count_cores, run_all
from mcdrop.errors import TrainingError


def square(job, tick):
    time.sleep(0.2 * (job == 0))  # the first is done last
    tick()
    return job**2, torch.get_num_threads()


def fail(job, tick):
    if job == 1:
        raise TrainingError("training diverged; lower lr")
    return job


def die(job, tick):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_results_come_in_the_order_of_the_jobs_from_one_thread_each(processes):
    before = torch.get_num_threads()
    assert run_all(square, [0, 1, 2, 3], processes=processes) == [(0, 1), (1, 1), (4, 1), (9, 1)]
    assert torch.get_num_threads() == before


def test_nothing_to_do_is_done():
    assert run_all(square, [], processes=2) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_job_is_the_error_of_all(processes):
    with pytest.raises(TrainingError, match="training diverged; lower lr"):
        run_all(fail, [0, 1, 2], processes=processes)


@pytest.mark.filterwarnings("ignore:.*worker:UserWarning")
def test_a_killed_process_is_a_clear_error():
    with pytest.raises(TrainingError, match=r"a training process was killed.*--resume.*--jobs"):
        run_all(die, [0, 1], processes=2)


def test_the_bar_counts_every_tick(capsys):
    run_all(square, [0, 1, 2], processes=1, total=3, progress="Squaring")
    error = capsys.readouterr().err
    assert "Squaring" in error and "3/3" in error


def test_there_is_a_core():
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


PROGRAM = """
import sys, time
from pathlib import Path
from mcdrop.demos.workers import run_all

def work(job, tick):
    for _ in range(600):
        Path(sys.argv[1], f"{job}").write_text(str(time.time()))
        tick()
        time.sleep(0.1)

if __name__ == "__main__":
    run_all(work, [0, 1], processes=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "1").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    time.sleep(1)
    last = Path(tmp_path, "1").read_text()
    time.sleep(1)
    assert Path(tmp_path, "1").read_text() == last

"""Jobs in processes: the same results in the same order for any number of them, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
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


@pytest.mark.parametrize(("processes", "jobs"), [(1, 3), (2, 3), (9, 2)])  # fewer than jobs, and more
def test_results_come_in_the_order_of_the_jobs_from_one_thread_each(processes, jobs, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = run_all(square, range(jobs), processes=processes, folder=tmp_path)
        assert found == [(0, 1), (1, 1), (4, 1)][:jobs]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_do_is_done(tmp_path):
    assert run_all(square, [], processes=2, folder=tmp_path) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_job_is_the_error_of_all(processes, tmp_path):
    with pytest.raises(TrainingError, match="training diverged; lower lr"):
        run_all(fail, [0, 1, 2], processes=processes, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*worker:UserWarning")
def test_a_killed_process_is_a_clear_error(tmp_path):
    with pytest.raises(TrainingError, match=r"a training process was killed.*--resume.*--jobs"):
        run_all(die, [0, 1], processes=2, folder=tmp_path)


def test_without_multiprocessing_there_is_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr("joblib._parallel_backends.mp", None)
    assert run_all(os_process, [0, 1], processes=2, folder=tmp_path) == [os.getpid()] * 2


def os_process(job, tick):
    return os.getpid()


def test_the_bar_counts_every_tick(capsys, tmp_path):
    run_all(square, [0, 1, 2], processes=1, folder=tmp_path, total=3, progress="Squaring")
    error = capsys.readouterr().err
    assert "Squaring" in error and "3/3" in error


def test_there_is_a_core():
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


PROGRAM = """
import os, sys, time
from pathlib import Path
from mcdrop.demos.workers import run_all
from mcdrop.errors import TrainingError

def work(job, tick):
    assert not {"mcdrop.demos.co2", "mcdrop.demos.digits", "pandas"} & sys.modules.keys()  # slow to import
    Path(sys.argv[1], f"{job}.pid").write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)

if __name__ == "__main__":
    try:
        run_all(work, [0, 1], processes=2, folder=Path(sys.argv[1]))
    except TrainingError as error:
        print(error)
        sys.exit(2)
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.fixture
def program(tmp_path):
    """A program in a process group of its own whose two processes are at work, and their numbers."""
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    places = [tmp_path / "0.pid", tmp_path / "1.pid"]
    while not all(place.exists() and place.read_text() for place in places) and time.monotonic() < deadline:
        time.sleep(0.1)
    pids = [int(place.read_text()) for place in places]
    yield process, pids
    for pid in (process.pid, *pids):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def wait_for_the_end(pids):
    deadline = time.monotonic() + 20
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes")
def test_processes_end_when_their_parent_is_killed(program):
    process, pids = program
    process.kill()
    process.wait()
    wait_for_the_end(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes")
@pytest.mark.parametrize("to_all", [True, False])
def test_an_interrupt_ends_all_with_one_clear_error(program, to_all):
    process, pids = program
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output == "training was interrupted; run again with --resume to go on from there\n"
    assert "Traceback" not in error
    wait_for_the_end(pids)

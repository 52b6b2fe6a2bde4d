"""Files on Ray: the same file as in one process, whoever is killed, and nothing left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import mcdrop
from distributed.made import Elsewhere, KilledDoubling, X, assert_equal, make_net
from mcdrop import ClusterError, InputError, MCDropout, predict_file
from mcdrop.distributed import OnRay, Pool, execution

TESTS = Path(__file__).parents[1]
OPTIONS = {"passes": 50, "seed": 3, "batch_size": 10}

INTERRUPTED = """
import logging, os, signal, sys, threading, time
from pathlib import Path

import numpy as np
import torch

import mcdrop
from mcdrop.distributed import OnRay, Pool
from mcdrop.distributed.session import import_ray
from distributed.made import assert_equal, make_net

ray = import_ray()
assert "RAY_DEDUP_LOGS_SKIP_REGEX" not in os.environ
from ray._private.worker import print_to_stdstream  # after the import that is tested
STOPPED = (
    "Task MapWorker(MapBatches(ItemWorker)).submit failed. There are 3 retries remaining, so the task will be retried. "
    "Error: The actor is dead because it was killed by `ray.kill`."
)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.home = make_net(), os.getpid()

    def forward(self, x):
        if os.getpid() != self.home and slow.exists():
            time.sleep(0.5)
        return twice(self.body(x))


def twice(y):
    return 2 * y


def children():
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(place.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(place.parent.name)
        except OSError:
            pass
    return found


def broken_off(prepared, reader, blocks, advance):
    for number, done in enumerate(OnRay(Pool(workers=1))(prepared, reader, blocks, advance)):
        yield done
        if number == 1:
            (folder / "processes").write_text(" ".join(children()))
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(0.2, os.killpg, (os.getpgid(0), signal.SIGINT)).start()  # as a terminal does


def settings():
    levels = {name: logging.getLogger(name).level for name in ("", "ray")}
    return dict(os.environ), levels, [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
    folder, how = Path(sys.argv[1]), sys.argv[2]
    slow = folder / "slow"
    options = dict(passes=50, seed=3, batch_size=10)
    model = mcdrop.MCDropout(make_net() if how == "kill" else Net())
    before = settings()
    if how == "kill":
        mcdrop.predict_file(model, folder / "x.npy", folder / "y.h5", execute=broken_off, **options)
    slow.touch()
    try:
        mcdrop.predict_file(model, folder / "x.npy", folder / "y.h5", execute=broken_off, **options)
    except KeyboardInterrupt:
        assert not ray.is_initialized()
        (folder / "interrupted").touch()
    slow.unlink()
    written = mcdrop.predict_file(model, folder / "x.npy", folder / "y.h5", resume=True, **options)
    assert 20 <= written.resumed < written.rows
    assert not ray.is_initialized() and settings() == before
    assert_equal(mcdrop.load(folder / "y.h5"), model.predict(np.load(folder / "x.npy"), passes=50, seed=3))
    print_to_stdstream({"pid": "raylet", "is_err": False, "lines": [STOPPED]}, False)  # as Ray does at times
    (folder / "equal").touch()
"""


@pytest.fixture
def rows(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def run(folder, how):
    """Predict files with a Ray of its own in another process, which is broken off."""
    script = folder / "script.py"
    script.write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, str(script), str(folder), how]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, start_new_session=True)


def gone(folder, seconds=30):
    """Wait until the processes that were started for a run are gone."""
    end = time.monotonic() + seconds
    numbers = (folder / "processes").read_text().split()
    assert numbers
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked for as Linux lists them")


@linux
def test_a_ray_of_its_own_is_quiet_and_stopped_also_by_an_interrupt(rows, tmp_path):
    done = run(tmp_path, "interrupt")
    assert (tmp_path / "equal").exists(), done.stderr
    assert (tmp_path / "interrupted").exists()
    assert done.stderr == "" and done.stdout == ""
    assert gone(tmp_path)


@linux
def test_a_run_whose_driver_is_killed_goes_on_without_ray(rows, tmp_path):
    assert run(tmp_path, "kill").returncode == -signal.SIGKILL
    model = MCDropout(make_net())
    written = predict_file(model, rows, tmp_path / "y.h5", resume=True, **OPTIONS)
    assert 20 <= written.resumed < len(X)
    assert_equal(mcdrop.load(written.path), model.predict(X, passes=50, seed=3))
    assert gone(tmp_path)


def test_a_program_with_a_transform_and_gaps_by_passes_and_a_worker_that_is_killed(cluster, tmp_path):
    x = X.copy()
    x[[7, 44]] = np.nan
    np.save(tmp_path / "x.npy", x)
    program = torch.export.export(
        make_net().eval(), (torch.zeros(4, 3),), dynamic_shapes={"input": {0: torch.export.Dim.AUTO}}
    )
    model, transform = MCDropout(program), KilledDoubling(str(tmp_path / "killed"))
    options = {"on_nan": "skip", "transform": transform, "passes": 75, "batch_size": 100}
    predict_file(model, tmp_path / "x.npy", tmp_path / "here.h5", **options)
    execute = OnRay(Pool(workers=2), split="passes")
    predict_file(model, tmp_path / "x.npy", tmp_path / "there.h5", execute=execute, **options)
    assert (tmp_path / "killed").exists() and cluster.is_initialized()
    assert_equal(mcdrop.load(tmp_path / "there.h5"), mcdrop.load(tmp_path / "here.h5"))


class Dying(Elsewhere):
    """No worker outlives some rows, or any where their number is 0."""

    def forward(self, x):
        self.rows = self.rows or len(x)
        return super().forward(x)

    def there(self):
        os._exit(1)


@pytest.mark.parametrize(
    ("count", "bound", "died"),
    [(10, "_RETRIES", "Unavailable.* 1 times at the same piece of work"), (0, "_RESTARTS", "Died.* 1 times in all")],
    ids=["at work", "at the start"],
)
def test_workers_that_die_again_and_again_end_the_run(cluster, rows, tmp_path, monkeypatch, count, bound, died):
    monkeypatch.setattr(execution, bound, 0)  # each start takes a second
    model, execute = MCDropout(Dying(count)), OnRay(Pool(workers=1))
    with pytest.raises(ClusterError, match=rf"workers that died \(Actor{died}.* fewer workers or a smaller batch_size"):
        predict_file(model, rows, tmp_path / "y.h5", execute=execute, **OPTIONS)


def test_deaths_are_bounded_where_ray_takes_a_bound():
    assert execution._bounds(lambda fn, **options: None) == {"max_restarts": 10, "max_task_retries": 3}
    assert execution._bounds(lambda fn, *, num_cpus=None: None) == {}


def test_the_error_of_a_function_of_the_data_set_is_told(cluster):
    def wrong(row):
        try:
            row["gone"]
        except KeyError as error:
            raise ValueError("my own bug\n  in two lines") from error

    told = r"got 'ValueError: my own bug in two lines' from a function of the data set; mend it"
    with pytest.raises(ClusterError, match=told), execution.telling():
        cluster.data.range(1).map(wrong).take(1)


def test_what_ray_wraps_is_told():
    from ray.exceptions import ActorDiedError, OutOfMemoryError, RayError, RayTaskError, UserCodeException

    gone = RayTaskError("f", "x\nImportError: gone", ImportError("gone"))
    for error, told in [
        (RayTaskError("read", "Traceback ...", OSError("no such bucket")), r"got OSError \(no such bucket\)"),
        (RayTaskError("f", "some text", UserCodeException("failed")), r"got UserCodeException \(failed\)"),
        (ActorDiedError(gone), "ImportError: gone"),
        (ActorDiedError(), r"workers that died \(ActorDiedError\), one of them 4 times .* 11 times in all; if memory"),
        (OutOfMemoryError("low\nmore\n"), r"workers that died \(OutOfMemoryError\)"),
        (RayError(), r"got RayError \(no reason\)"),
    ]:
        with pytest.raises(ClusterError, match=told) as caught, execution.telling():
            raise error
        assert caught.value.__cause__ is error


def test_refuses_what_cannot_be_and_keeps_no_work_to_do_cheap(cluster, rows, tmp_path):
    model = MCDropout(make_net())
    with pytest.raises(ClusterError, match="room for 4 worker"):
        predict_file(model, rows, tmp_path / "y.h5", execute=OnRay(Pool(workers=4)), **OPTIONS)
    with pytest.raises(InputError, match="use split='points'"):
        execute = OnRay(split="passes")
        predict_file(model, rows, tmp_path / "z.h5", execute=execute, passes="auto")
    assert list(OnRay()(None, None, [], None)) == []

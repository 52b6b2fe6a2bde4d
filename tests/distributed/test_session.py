"""Workers fit on machines or are refused; a cluster that is not there is told of in seconds."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from mcdrop import ClusterError, DependencyError, InputError
from mcdrop.distributed import Pool, session
from mcdrop.distributed.session import connected, import_ray

SMALL = [{"CPU": 4.0}, {"CPU": 4.0}]


@pytest.mark.parametrize(
    ("pool", "machines", "spare", "workers", "left"),
    [
        (Pool(), SMALL, 0, 8, 0),
        (Pool(), SMALL, 1, 7, 1),
        (Pool(workers=8), SMALL, 1, 8, 0),  # who asks for all gets all
        (Pool(), [{"CPU": 1.0}], 1, 1, 0),
        (Pool(cpus=3), SMALL, 0, 2, 2),  # a worker is on one machine
        (Pool(cpus=2), SMALL, 1, 3, 2),
        (Pool(gpus=1), [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], 1, 2, 14),
        (Pool(gpus=0.1), [{"CPU": 40.0, "GPU": 1.0}], 0, 10, 30),
        (Pool(gpus=0.4), [{"CPU": 40.0, "GPU": 2.0}], 0, 4, 36),  # no worker has parts of two GPUs
        (Pool(gpus=2), [{"CPU": 40.0, "GPU": 3.0}], 0, 1, 39),
    ],
)
def test_as_many_workers_as_there_is_room_for(pool, machines, spare, workers, left):
    crew = pool.crew(machines, spare=spare)
    assert (crew.workers, crew.spare) == (workers, left)


@pytest.mark.parametrize(
    "pool", [Pool(workers=9), Pool(cpus=5), Pool(gpus=1), Pool(workers=3, cpus=3)], ids=lambda pool: str(pool)
)
def test_refuses_more_than_there_is_room_for(pool):
    with pytest.raises(
        ClusterError, match=r"must have room for \d worker.* got room for \d on 2 machine.*ask for fewer"
    ):
        pool.crew(SMALL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"cpus": 0},
        {"gpus": -1},
        {"gpus": True},
        {"gpus": 1.5},
        {"gpus": "1"},
        {"address": ""},
        {"address": 6379},
    ],
)
def test_refuses_what_is_no_pool(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Pool(**wrong)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "host:notaport", "nowhere.invalid", "127.0.0.1:99999"]
)
def test_an_address_at_which_nobody_answers_is_told_of_in_seconds(address, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    address = address.format(port=free_port())
    begun = time.monotonic()
    with pytest.raises(ClusterError, match="check the address") as caught, connected(Pool(address=address)):
        pass
    assert repr(address) in str(caught.value)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-other\r\n"])
def test_something_else_that_listens_is_told_of_in_seconds(answer, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(session, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        def answers():
            line, _ = other.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(answer)
                line.settimeout(5)
                while line.recv(100):  # until the other side leaves
                    pass

        answering = threading.Thread(target=answers)
        answering.start()
        with pytest.raises(ClusterError, match=r"something else than Ray|timed out"), connected(Pool(address=address)):
            pass
        answering.join()


def test_the_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ClusterError, match="check the address"), connected(Pool()):
        pass


def test_what_ray_says_when_it_cannot_connect_is_passed_on(monkeypatch):
    def refuse(**options):
        raise ConnectionError("Could not find any running\nRay instance")

    logger, level = logging.getLogger("ray"), logging.getLogger("ray").level
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", refuse)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    monkeypatch.delenv("RAY_BACKEND_LOG_LEVEL", raising=False)
    with pytest.raises(ClusterError, match=r"cluster at 'auto', got none \(Could not find any running Ray instance"):
        with connected(Pool(address="auto")):
            pass
    assert logger.level == level and "RAY_BACKEND_LOG_LEVEL" not in os.environ


def test_an_interrupt_while_ray_starts_leaves_nothing_of_it(monkeypatch):
    def interrupted(**options):
        os.environ["RAY_MADE_UP"] = "1"
        raise KeyboardInterrupt

    stopped = []
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", interrupted)
    monkeypatch.setattr("ray.shutdown", lambda: stopped.append(True))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(KeyboardInterrupt), connected(Pool()):
        pass
    assert stopped == [True] and "RAY_MADE_UP" not in os.environ


def test_without_ray_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r'pip install "mcdrop\[ray\]"'):
        import_ray()


def test_importing_it_does_not_import_ray():
    code = "import sys, mcdrop.distributed; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_who_is_connected_stays_so_and_is_refused_another_address(cluster):
    here = cluster.get_runtime_context().gcs_address
    for address in (None, "auto", here):
        with connected(Pool(address=address), spare=1) as crew:
            assert (crew.workers, crew.spare) == (2, 1)
        assert cluster.is_initialized()
    session._refuse_silent(here)  # Ray answers as expected
    with pytest.raises(ClusterError, match="must be that of the Ray this process is connected to"):
        with connected(Pool(address="somewhere:6379")):
            pass
    with pytest.raises(ClusterError, match="room for 4 worker"), connected(Pool(workers=4)):
        pass

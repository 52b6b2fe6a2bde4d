"""A connection to Ray: the cluster that is named, the one that is there, or one started here and stopped again."""

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mcdrop.arguments import check_count
from mcdrop.errors import ClusterError, DependencyError, InputError

__all__ = ["Crew", "Pool", "connected", "import_ray"]

_PATIENCE = 5.0  # seconds in which a machine has to answer
_PORT = 6379  # where a cluster listens unless it was told otherwise
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(
    [0, 0, 0, 4, 0, 0, 0, 0, 0]
)  # how HTTP/2, as Ray speaks it, begins
_SETTINGS = bytes([4])  # the kind of what has to come first from the other side (RFC 9113, section 3.4)
_CHATTER = "RAY_BACKEND_LOG_LEVEL"  # what Ray's own processes write, and its core on standard error
_SKIPPED = "RAY_DEDUP_LOGS_SKIP_REGEX"  # which messages Ray does not print; it reads this once, when it is imported
_STOPPED = r"\((Item|Batch)Worker\).*killed by `ray\.kill`"  # a worker in hand when a run is broken off


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The workers of a run.

    Attributes:
        address: Of a cluster: "host:port", "ray://host:port", or "auto" for one that runs on this machine. Default:
            the Ray that this process is connected to, else that of the environment variable RAY_ADDRESS, else one that
            is started here for the time of the run.
        workers: How many processes hold the net; default: as many as the CPUs (or GPUs) of the cluster allow, one CPU
            left over where inputs are read apart.
        cpus: CPUs of each worker, and threads of its products.
        gpus: GPUs of each worker; a part of one where several share it, 0 to run on CPUs.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            InputError: If one is not usable.
        """
        if self.address is not None and (not isinstance(self.address, str) or not self.address.strip()):
            raise InputError(f"address must be a text such as 'host:6379', got {self.address!r}; or leave it out")
        if self.workers is not None:
            check_count("workers", self.workers, least=1, why="or None for as many as the cluster has CPUs")
        check_count("cpus", self.cpus, least=1, why="a worker runs on one or more")
        if not isinstance(self.gpus, int | float) or isinstance(self.gpus, bool) or not 0 <= self.gpus < 1000:
            raise InputError(f"gpus must be a number of GPUs for each worker, got {self.gpus!r}; 0 for CPUs alone")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InputError(f"gpus must be a whole number, or a part of one GPU, got {self.gpus!r}; round it")

    def crew(self, machines: Sequence[Mapping[str, float]], *, spare: int = 0) -> "Crew":
        """Return how many workers a cluster runs.

        Args:
            machines: What each machine of the cluster has, as Ray tells it. A worker runs on one of them.
            spare: CPUs to leave over, unless a number of workers is asked for, or none would be left for a worker.

        Raises:
            ClusterError: If it has no room for one, or for as many as were asked for.
        """
        cpus = [machine.get("CPU", 0.0) for machine in machines]
        gpus = [machine.get("GPU", 0.0) for machine in machines]
        most = sum(min(int(cpu // self.cpus), self._by_gpus(gpu)) for cpu, gpu in zip(cpus, gpus, strict=True))
        if most < (self.workers or 1):
            raise ClusterError(
                f"the cluster must have room for {self.workers or 1} worker(s) with {self.cpus} CPU(s) and "
                f"{self.gpus:g} GPU(s) each, got room for {most} on {len(cpus)} machine(s) with {sum(cpus):g} CPU(s) "
                f"and {sum(gpus):g} GPU(s); ask for fewer, or for less each"
            )
        left = max(int((sum(cpus) - spare) // self.cpus), 1)
        count = self.workers or min(most, left)
        return Crew(count, sum(cpus) - count * self.cpus)

    def _by_gpus(self, gpus: float) -> int:
        """Return how many workers the GPUs of a machine are enough for; Ray never parts a worker's share."""
        if not self.gpus:
            return 1_000_000
        return int(gpus // self.gpus) if self.gpus >= 1 else int(gpus) * int(1 / self.gpus + 1e-9)


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers that a cluster has room for.

    Attributes:
        workers: How many there are to be.
        spare: CPUs of the cluster that they leave over.
    """

    workers: int
    spare: float


def import_ray() -> Any:
    """Import Ray with its data sets.

    Ray that is imported here first does not print that our workers end when a run is broken off, as it does at times;
    Ray that was imported before does.

    Raises:
        DependencyError: If it is not installed.
    """
    first = "ray" not in sys.modules and _SKIPPED not in os.environ
    if first:
        os.environ[_SKIPPED] = _STOPPED
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DependencyError(f'Ray is needed for this; pip install "mcdrop[ray]" ({error})') from error
    finally:
        if first:
            os.environ.pop(_SKIPPED, None)
    return ray


@contextmanager
def connected(pool: Pool, *, spare: int = 0) -> Iterator[Crew]:
    """Be connected to Ray while the block runs; what was started for it is stopped at its end.

    Args:
        pool: The workers.
        spare: CPUs to leave over where it can be, for those who read the inputs.

    Yields:
        How many workers there are to be.

    Raises:
        ClusterError: If the cluster does not answer, or has no room.
        DependencyError: If Ray is not installed.
    """
    ray = import_ray()
    if ray.is_initialized():
        _refuse_another(ray, pool.address)
        yield pool.crew(_machines(ray), spare=spare)
        return
    address = pool.address or os.environ.get("RAY_ADDRESS") or None
    _refuse_silent(address)
    with _hushed():
        try:  # an interrupt while Ray starts leaves nothing of it, either
            _connect(ray, address, pool)
            yield pool.crew(_machines(ray), spare=1 if address in (None, "local") else spare)
        finally:
            ray.shutdown()


def _connect(ray: Any, address: str | None, pool: Pool) -> None:
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address in (None, "local"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        room = max(cores, (pool.workers or 1) * pool.cpus) + 1  # one for those who read
        options |= {"address": "local", "num_cpus": room, "include_dashboard": False}
    try:
        with warnings.catch_warnings(), _without_stderr():
            warnings.simplefilter("ignore")
            ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:  # a connection that is refused or times out is an OSError
        reason = " ".join(str(error).split())[:200]
        where = "a Ray of its own" if address is None else f"a Ray cluster at {address!r}"
        raise ClusterError(f"expected {where}, got none ({reason}); check that it runs and can be reached") from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Have Ray tell errors alone while a connection is our own; then what it set in this process is as it was."""
    logger = logging.getLogger("ray")
    level, variables, on_end = logger.level, _variables(), signal.getsignal(signal.SIGTERM)
    os.environ.setdefault(_CHATTER, "fatal")  # unless somebody wants to know
    try:
        yield
    finally:
        logger.setLevel(level)
        for name in _variables().keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
        if on_end is not None and threading.current_thread() is threading.main_thread():  # only there it can be set
            signal.signal(signal.SIGTERM, on_end)


def _variables() -> dict[str, str]:
    """Return the environment variables that Ray sets when it starts."""
    return {name: value for name, value in os.environ.items() if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"}


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Drop what this process writes to standard error: Ray's core says there how much it is going to say."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _machines(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _refuse_another(ray: Any, address: str | None) -> None:
    """Refuse an address where the process is connected elsewhere."""
    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here):
        raise ClusterError(
            f"address must be that of the Ray this process is connected to, {here}, got {address!r}; leave it out, or "
            "call ray.shutdown() before"
        )


def _refuse_silent(address: str | None) -> None:
    """Refuse an address at which no Ray answers, in seconds: Ray itself tries for minutes."""
    if address is None or address in ("local", "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if not host:
            host, port = port, str(_PORT)
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                line.sendall(_GREETING)
                if line.recv(9)[3:4] != _SETTINGS:
                    raise ConnectionError("something else than Ray is there")
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(
            f"expected a Ray cluster at {address!r}, got no answer ({' '.join(str(error).split())}); check the address "
            "(host:port, or ray://host:port) and that the cluster runs, or leave it out to start Ray here"
        ) from error

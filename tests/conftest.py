"""One thread for torch, one process for tests that share what takes long to make, and figures that nobody looks at."""

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the nets of the tests are small, and threads wait for each other
os.environ.setdefault("RAY_worker_niceness", "0")  # else Ray's workers stand behind the tests on the other cores


def pytest_itemcollected(item):
    """Keep together, where tests are shared out, those that share a fixture: each process would make its own.

    A test with a group of its own stays in that. Once all are collected it is too late: pytest-xdist has read them.
    """
    if item.get_closest_marker("xdist_group"):
        return
    known = getattr(item, "_fixtureinfo", None)
    scopes = {made[-1].scope for made in known.name2fixturedefs.values()} if known else set()
    if scopes & {"module", "package"}:
        place = item.path.parent if "package" in scopes else item.path
        item.add_marker(pytest.mark.xdist_group(place.relative_to(item.config.rootpath).as_posix()))


def pytest_collection_finish():
    """Have garbage collection skip modules and tests: they stay, and are so many that it would take half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def unrendered(monkeypatch):
    """Write figures empty: most of the time of a small demo goes into drawing their text."""
    from matplotlib.figure import Figure  # not before the number of threads is set

    monkeypatch.setattr(Figure, "savefig", lambda figure, place, **options: Path(place).touch())

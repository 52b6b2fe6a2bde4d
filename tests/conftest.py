"""One thread for torch, and one process for tests that share what takes long to make."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the nets of the tests are small, and threads wait for each other


def pytest_collection_modifyitems(items):
    """Keep together, where tests are shared out, those that share a fixture: each process would make its own.

    Those that need the one Ray of `tests/distributed` go together, too.
    """
    for item in items:
        known = getattr(item, "_fixtureinfo", None)
        scopes = {made[-1].scope for made in known.name2fixturedefs.values()} if known else set()
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif scopes & {"module", "package"}:
            item.add_marker(pytest.mark.xdist_group(str(item.path.parent if "package" in scopes else item.path)))

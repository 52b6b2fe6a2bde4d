"""Options of the benchmarks, and the file that their results go to."""

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from bound import multiply_adds_per_second
from cases import CASES

RESULTS = Path(__file__).with_name("results.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few passes and turns: to see that everything runs")
    parser.addoption("--results", type=Path, default=None, help="where the results go")


class Results:
    """What a run found, machine and all."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.cases: list[dict[str, Any]] = []
        self.rates: list[float] = []

    def measure_machine(self) -> None:
        """Multiply two matrices: the best of all cases' rates is the machine's."""
        self.rates.append(multiply_adds_per_second(repeats=3))

    def as_dict(self) -> dict[str, Any]:
        machine = {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "processor": _processor(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "multiply_adds_per_second": max(self.rates),
        }
        return {"quick": self.quick, "machine": machine, "cases": self.cases}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Results:
    found = Results(quick=request.config.getoption("--quick"))
    request.config.stash[_KEY] = found
    return found


_KEY = pytest.StashKey[Results]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the results; a quick run, or one of some cases, leaves those of the last whole run alone."""
    found = config.stash.get(_KEY, None)
    if found is None or not found.cases:
        return
    whole = not found.quick and len(found.cases) == len(CASES)
    path = config.getoption("--results")
    if path is None:
        path = RESULTS if whole else Path(tempfile.gettempdir()) / "mcdrop-benchmarks.json"
    path.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
    terminalreporter.write_line(f"results in {path}")

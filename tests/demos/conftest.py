"""Figures that nobody looks at."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def unrendered(monkeypatch):
    """Write figures empty: most of the time of a small demo goes into drawing their text."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, place, **options: Path(place).touch())

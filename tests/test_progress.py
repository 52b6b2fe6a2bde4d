"""Progress bars: silent unless asked; points, their speed, and what was done before."""

import re
import sys

import pytest

from mcdrop.progress import track


class Clock:
    """A time that passes when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for all that a bar says
    clock = Clock()
    monkeypatch.setattr("rich.console.monotonic", clock)
    return clock


def run(clock, capsys, steps, *, each=1, seconds=1.0, **options):
    """Walk so many steps, and return what the bar said in the end."""
    with track(enabled=True, description="Predicting", **options) as advance:
        for _ in range(steps):
            clock.now += seconds
            advance(each)
    out, err = capsys.readouterr()
    assert out == ""
    return " ".join(err.split())


def test_it_is_silent_unless_asked(capsys):
    for unit in (None, "points"):
        with track(10, "Predicting", enabled=False, unit=unit, done=3, parts=2) as advance:
            assert advance(4) is None
    assert capsys.readouterr() == ("", "")


def test_nothing_is_imported_unless_asked(monkeypatch):
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    with track(10, "Predicting", enabled=False, unit="points") as advance:
        advance(1)
    with pytest.raises(ImportError), track(10, "Predicting", enabled=True):
        pass


def test_steps_without_a_unit_are_counted(clock, capsys):
    said = run(clock, capsys, 3, total=5)
    assert said.startswith("Predicting") and " 3/5 " in f"{said} "
    assert "/s" not in said


def test_steps_with_a_unit_have_a_speed(clock, capsys):
    said = run(clock, capsys, 4, total=100_000, each=500, seconds=2, unit="points")
    assert "2,000/100,000 points, 250 points/s" in said


def test_the_speed_of_a_bar_that_is_full_stays(clock, capsys):
    said = run(clock, capsys, 4, total=2000, each=500, seconds=2, unit="points")
    assert "2,000/2,000 points, 250 points/s" in said


def test_few_steps_a_second_are_told_with_decimals(clock, capsys):
    assert "4/10 points, 0.25 points/s" in run(clock, capsys, 4, total=10, seconds=4, unit="points")


def test_what_was_done_before_is_counted_but_was_not_fast(clock, capsys):
    said = run(clock, capsys, 4, total=100_000, each=500, seconds=2, unit="points", done=90_000)
    assert "92,000/100,000 points, 250 points/s" in said
    left = re.search(r"(\d+):(\d+):(\d+)", said)
    assert [int(part) for part in left.groups()] == [0, 0, 32]  # 8,000 points at 250 a second


def test_steps_may_be_told_part_by_part(clock, capsys):
    said = run(clock, capsys, 10, total=1000, each=400, unit="points", parts=100)  # of 100 passes of 8 rows 50
    assert "40/1,000 points, 4 points/s" in said


def test_a_total_that_is_not_known_is_not_told(clock, capsys):
    assert "2,000 points, 250 points/s" in run(clock, capsys, 4, total=None, each=500, seconds=2, unit="points")


def test_a_text_takes_the_place_of_the_description(clock, capsys):
    with track(2, "Predicting", enabled="my run", unit="points") as advance:
        advance(2)
    said = capsys.readouterr().err
    assert "my run" in said and "Predicting" not in said


def test_an_error_passes_through(clock):
    with pytest.raises(ValueError, match="mine"), track(2, "Predicting", enabled=True):
        raise ValueError("mine")

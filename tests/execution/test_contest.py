"""A contest: everyone gets two turns, then the quickest does the rest; without a clock the first one does it all."""

from dataclasses import dataclass

from mcdrop.execution import contest as module
from mcdrop.execution.contest import Contest


@dataclass(frozen=True)
class Way:
    name: str
    seconds: float  # for one piece of work


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


def turns(contest, clock, count, work=lambda turn: 1):
    taken = []
    for turn in range(count):
        way = contest.next()
        with contest.timed(way, work(turn)):
            clock.now += way.seconds * work(turn)
        taken.append(way.name)
    return taken


def test_the_quickest_does_the_rest(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    ways = [Way("slow", 3.0), Way("quick", 1.0), Way("middling", 2.0)]
    taken = turns(Contest(ways, is_timed=True), clock, 10, work=lambda turn: 1 + turn % 4)  # time for each piece counts
    assert sorted(taken[:5]) == ["middling", "middling", "quick", "quick", "slow"]  # hopeless after its first turn
    assert taken[5:] == ["quick"] * 5


def test_without_a_clock_the_first_does_it_all(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    assert turns(Contest([Way("first", 9.0), Way("second", 1.0)], is_timed=False), clock, 5) == ["first"] * 5


def test_who_fails_retires():
    contest = Contest([Way("a", 1.0), Way("b", 1.0), Way("a", 2.0)], is_timed=False)
    assert contest.drop("a")
    assert contest.next().name == "b"
    assert not contest.drop("b")

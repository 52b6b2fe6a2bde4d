"""Values in containers within containers: each once, in order, with where it is, and no container without end."""

from collections import OrderedDict, deque

import pytest
from torch import nn

from mcdrop.containers import within


@pytest.mark.parametrize(
    ("container", "found"),
    [
        ([], []),
        ([1, "two", None], [("", 0, 1), ("", 1, "two"), ("", 2, None)]),
        ({"a": 1, 2: (3.0,)}, [("", "a", 1), ("[2]", 0, 3.0)]),
        ({"a": [{"b": (4, 5)}, 6]}, [("['a'][0]['b']", 0, 4), ("['a'][0]['b']", 1, 5), ("['a']", 1, 6)]),
        (deque([OrderedDict(x=[7])]), [("[0]['x']", 0, 7)]),
        ([{8}, range(3)], [("", 0, {8}), ("", 1, range(3))]),  # no containers here
    ],
)
def test_every_value_comes_with_where_it_is(container, found):
    assert list(within(container)) == found


def test_a_path_leads_to_the_value():
    held = {"nets": [[1, 2], {"late": (3, [4])}], 0: deque([5])}
    for path, key, value in within(held):
        assert eval(f"held{path}[{key!r}]") == value
    assert [value for *_, value in within(held)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("container", [deque([1, 2]), [1, 2], {"a": 1, "b": 2}])
def test_another_thread_may_change_what_is_gone_through(container):
    found = []
    for *_, value in within([container]):
        found.append(value)
        container.clear()
    assert found == [1, 2]


class Lazy(dict):
    def items(self):
        raise AssertionError("asked for all it could hold")


class Layers(nn.Module, list):
    """A net that is a list, too."""


def test_only_what_is_held_itself_is_asked_for():
    assert list(within([Lazy(a=1)])) == [("[0]", "a", 1)]
    net = Layers()
    assert list(within([net])) == [("", 0, net)]


def test_what_holds_itself_or_is_held_twice_is_gone_through_once():
    twice = [1]
    ring = [twice, twice, 2]
    ring.append({"self": ring})
    assert list(within(ring)) == [("[0]", 0, 1), ("", 2, 2)]

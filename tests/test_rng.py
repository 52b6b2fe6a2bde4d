"""Private streams: the same draws for a seed, and the global generators as they were."""

import pytest
import torch

from mcdrop import InputError
from mcdrop.rng import check_seed, seeded


def test_a_seed_fixes_the_draws_and_moves_nothing():
    state = torch.get_rng_state()
    with seeded(3):
        a = torch.rand(5)
    with seeded(3):
        b = torch.rand(5)
    with seeded(4):
        c = torch.rand(5)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_generators_come_back_after_an_exception():
    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), seeded(0):
        torch.rand(5)
        raise KeyboardInterrupt
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_seeds_of_the_whole_range_are_taken(seed):
    assert check_seed(seed) == seed
    with seeded(seed):
        pass


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InputError, match=r"seed must be an integer from 0 to 2\*\*63 - 1, got .*; pass for example"):
        check_seed(seed)

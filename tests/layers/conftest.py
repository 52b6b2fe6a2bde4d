"""The layers draw from torch's global generator, as torch's own do: every test starts it anew and puts it back."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield

"""How many passes go side by side: rules on shapes alone, within a memory budget."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcdrop.execution.strategy import default_batch_size, default_chunk_size

MEBIBYTE = 2**20
sizes = st.floats(0, 1e12)


@given(sizes, sizes, sizes, st.integers(1, 10**7))
def test_sizes_are_at_least_one_and_within_memory(prefix, suffix, widest, rows):
    plan = SimpleNamespace(prefix_bytes=prefix, suffix_bytes=suffix, widest_noisy_bytes=widest, widest_bytes=widest)
    chunk, batch = default_chunk_size(plan, rows), default_batch_size(plan)
    assert chunk >= 1
    assert batch >= 1
    assert chunk == 1 or chunk * widest * rows <= 256 * MEBIBYTE
    assert batch == 1 or batch * widest <= 256 * MEBIBYTE


@pytest.mark.parametrize("rows", [1, 10])
def test_a_long_prefix_is_shared_by_more_passes(rows):
    def chunk(prefix):
        return default_chunk_size(
            SimpleNamespace(prefix_bytes=prefix, suffix_bytes=MEBIBYTE, widest_noisy_bytes=MEBIBYTE), rows
        )

    assert chunk(0) <= 6
    assert chunk(100 * MEBIBYTE) > chunk(0)

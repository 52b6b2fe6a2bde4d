"""Options are checked in one place; a limit of memory may be a text."""

import pytest
import torch
from laws import mlp, randn

from mcdrop import InputError, MCDropout
from mcdrop.execution import Options, read_options


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, None),
        (10**9, 10**9),
        (1.5e6, 1_500_000),
        ("500 MB", 500_000_000),
        ("500MB", 500_000_000),
        ("2 GiB", 2 * 2**30),
        ("1.5 kib", 1536),
        ("64 M", 64_000_000),
        ("4096", 4096),
        ("4096 B", 4096),
    ],
)
def test_a_limit_of_memory_is_a_number_or_a_text(limit, expected):
    assert Options(memory_limit=limit).memory_bytes == expected


@pytest.mark.parametrize("limit", [0, -1, "", "much", "2 GX", "-3 MB", True, float("nan"), float("inf"), [1], "0 GB"])
def test_other_limits_are_refused(limit):
    with pytest.raises(
        InputError, match=r"memory_limit must be a number of bytes, or a text such as '500 MB' .*, got "
    ):
        Options(memory_limit=limit)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "passes must be an integer of at least 1"),
        ({"seed": -1}, "seed must"),
        ({"masks": "none"}, "masks must be one of 'shared', 'independent', got 'none'"),
        ({"sampling": "antithetic"}, "sampling must be one of 'iid', 'stratified', got 'antithetic'"),
        ({"dtype": torch.float64}, r"dtype must be torch.bfloat16, torch.float16 or None, got torch.float64; .*double"),
        ({"dtype": "bfloat16"}, r"dtype must be torch.bfloat16, torch.float16 or None, got 'bfloat16'"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        read_options(options)


def test_unknown_names_are_refused_with_the_known_ones():
    model, x = MCDropout(mlp()), randn(4, 3)
    for run in (model.sample, lambda x, **options: model.log_likelihood(x, x[:, :2], tau=1.0, **options)):
        with pytest.raises(
            TypeError, match=r"unexpected option 'pases'; the options are passes, seed, masks, .*, progress"
        ):
            run(x, pases=3)

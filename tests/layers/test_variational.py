"""Locked dropout: the mask is the same at every time step, and another one for every sequence."""

import pytest
import torch
from torch import nn

from mcdrop import InputError
from mcdrop.layers import VariationalDropout


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_mask_is_constant_over_time_and_differs_between_sequences(batch_first):
    mask = VariationalDropout(0.5, batch_first=batch_first)(torch.ones(6, 8, 50))
    mask = mask if batch_first else mask.transpose(0, 1)
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert len(mask[:, 0].unique(dim=0)) == len(mask)


def test_both_layouts_draw_alike():
    x = torch.randn(4, 5, 3)
    torch.manual_seed(2)
    first = VariationalDropout(0.5)(x)
    torch.manual_seed(2)
    assert torch.equal(VariationalDropout(0.5, batch_first=False)(x.transpose(0, 1)).transpose(0, 1), first)


def test_an_empty_sequence_stays_empty():
    assert VariationalDropout(0.5)(torch.ones(2, 0, 3)).shape == (2, 0, 3)


def test_inputs_that_are_no_padded_batch_are_refused():
    layer = VariationalDropout(0.5)
    with pytest.raises(InputError, match=r"shape \(N, time, features\), got shape \(4, 3\); .*unsqueeze\(0\)"):
        layer(torch.ones(4, 3))
    with pytest.raises(InputError, match=r"\(time, N, features\), got shape \(4,\); .*unsqueeze\(1\)"):
        VariationalDropout(0.5, batch_first=False)(torch.ones(4))
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    with pytest.raises(InputError, match=r"got a PackedSequence; unpack it with .*pad_packed_sequence"):
        layer(packed)

"""Draws of calls that the survey did not meet: layers left out, experts chosen by content, parts of a batch."""

import pytest
import torch
import torch.nn.functional as F
from laws import Call, randn, with_weights
from torch import nn

from mcdrop import MCDropout, RowMaskWarning

X = randn(1, 8).expand(6, 8).clone()  # equal rows, so that rows with one mask stay equal


def layer():
    return with_weights(nn.Linear(8, 8))


def leaves_layers_out(self, x):
    for linear in self.layers:
        if self.training and torch.rand([]) < self.layerdrop:
            continue
        x = F.dropout(linear(x).tanh(), 0.2, self.training)
    return x


def left_out():
    return Call(leaves_layers_out, layers=nn.ModuleList([layer() for _ in range(4)]), layerdrop=0.5).eval()


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_rows_share_masks_in_nets_that_leave_layers_out_whatever_the_batch_size(batch_size):
    model = MCDropout(left_out())
    whole = model.sample(X, passes=40)
    assert (whole == whole[:, :1]).all()
    assert whole.std(0).min() > 0
    torch.testing.assert_close(model.sample(X, passes=40, batch_size=batch_size), whole)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_rows_have_masks_of_their_own_there_if_they_are_to(batch_size):
    model = MCDropout(left_out())
    whole = model.sample(X, passes=40, masks="independent")
    torch.testing.assert_close(model.sample(X, passes=40, masks="independent", batch_size=batch_size), whole)
    drawn = (whole != X).any(dim=(1, 2))  # some passes leave all layers out
    assert (whole[drawn, 0] != whole[drawn, 2]).any(dim=1).float().mean() > 0.7  # two masks of 8 may be equal


def test_parts_of_a_batch_are_warned_of_where_they_are_dropped():
    net = Call(lambda self, x: torch.cat([F.dropout(part, 0.5) for part in x.split(4)]))
    with pytest.warns(RowMaskWarning, match=r"dropout on shape \(4, 8\) is like none") as caught:
        MCDropout(net).sample(X, passes=3, execution="loop")
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_experts_that_the_first_rows_do_not_meet_are_said_not_to_fire_on_these():
    def forward(self, x):
        out = torch.zeros_like(x)
        chosen = (x[:, 0] > 0).long()
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero()[:, 0]
            if len(rows):
                out[rows] = expert(x[rows])
        return out

    experts = nn.ModuleList([nn.Sequential(layer(), nn.Dropout(0.3)) for _ in range(2)])
    x = randn(6, 8)
    x[:3, 0], x[3:, 0] = 1, -1
    net = Call(forward, experts=experts).eval()
    with pytest.warns() as caught:
        MCDropout(net).predict(x, passes=3)
    messages = [str(warning.message) for warning in caught]
    assert any("on the first rows of x, and adds no spread: experts.0.1" in message for message in messages)
    assert any("is like none" in message for message in messages)


def test_padding_to_another_length_needs_no_warning():
    net = Call(lambda self, x: F.dropout(x, 0.5).sum((1, 2), keepdim=True)[:, 0])
    batches = [torch.ones(2, 3, 4), torch.ones(2, 5, 4)]
    assert MCDropout(net).sample(batches, passes=3).shape == (3, 4, 1)

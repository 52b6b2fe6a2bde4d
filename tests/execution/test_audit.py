"""What the audit says of rows: time steps taken for rows, entries that cannot be told apart."""

import pytest
import torch
import torch.nn.functional as F
from laws import Call, randn, with_weights
from torch import nn

from mcdrop import MCDropout, RowMaskWarning

X = randn(6, 3, 8)


class Recurrent(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.rnn, self.head = nn.LSTM(8, 8, 2, dropout=0.5, batch_first=batch_first), nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Attending(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.attend, self.drop = nn.MultiheadAttention(8, 2, batch_first=batch_first), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.attend(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize(("net", "place"), [(Recurrent, "rnn"), (Attending, "attend")])
def test_rows_that_are_time_steps_are_named(net, place):
    model = MCDropout(with_weights(net(False)).eval())
    with pytest.warns(RowMaskWarning, match=f"the rows of x are time steps to {place}.*put rows first") as caught:
        model.predict(X, passes=2)
    assert caught[0].filename == __file__
    assert model.sites(X).notes == (f"rows are time steps to {place}: they share a mask where rows do",)
    model.predict(X, passes=2, masks="independent")  # then each step has its own


@pytest.mark.parametrize("net", [Recurrent, Attending])
def test_rows_first_is_as_it_should_be(net):
    assert MCDropout(net(True).eval()).predict(X, passes=2).std.shape[:2] == (6, 3)

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net(False)

        def forward(self, x):
            return self.inner(x.transpose(0, 1)).transpose(0, 1)

    assert MCDropout(Turned().eval()).sites(X).notes == ()
    MCDropout(Turned().eval()).predict(X, passes=2)


def test_entries_of_rows_that_lie_in_two_ways_at_once_are_named():
    def forward(self, x):
        views = torch.cat([x.reshape(-1, 4), x.flip(1).reshape(-1, 4)])
        return F.dropout(views, 0.5).reshape(2, len(x), 8).sum(0)

    with pytest.warns(RowMaskWarning, match=r"cannot be told which part of a mask belongs to which row in \(net\)"):
        MCDropout(Call(forward)).predict(randn(6, 8), passes=2)


def test_attention_at_rate_0_runs_side_by_side_without_complaint():
    def forward(self, x):
        q = self.drop(x).view(len(x), 2, 4, 3).transpose(1, 2)
        return F.scaled_dot_product_attention(q, q, q).flatten(1)

    model, x = MCDropout(Call(forward, drop=nn.Dropout(0.3))), randn(5, 24)
    side_by_side = model.sample(x, passes=6, execution="vectorized")
    torch.testing.assert_close(side_by_side, model.sample(x, passes=6, execution="loop"))

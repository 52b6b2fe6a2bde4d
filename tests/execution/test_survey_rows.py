"""Rows keep their masks wherever they lie in the net: the draws of a row do not depend on its batch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mcdrop import InputError, MCDropout, RowMaskWarning


class TimeFirst(nn.Module):
    """Folds the rows behind the time steps."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(20, 6), nn.Linear(6, 1)

    def forward(self, x):
        hidden = self.table(x.long()).transpose(0, 1)
        steps, rows, width = hidden.shape
        return self.out(F.dropout(hidden.reshape(steps * rows, width), 0.3)).reshape(steps, rows).T


class Queries(nn.Module):
    """Drops units of learned queries, the same for every row, laid out behind them."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        folded = self.queries.repeat_interleave(len(x), dim=0)  # (4 * rows, 6), rows innermost
        return F.dropout(folded, 0.5).reshape(4, len(x), 6).sum(dim=0) + x


class FourRowsOnly(nn.Module):
    """Takes one batch size only, and drops weights: the noise belongs to no row."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 6))

    def forward(self, x):
        if len(x) != 4:
            raise ValueError("made for four rows")
        return F.linear(x, F.dropout(self.weight, 0.5)).sum(dim=1, keepdim=True)


class FourRows(nn.Module):
    """Takes one batch size only, and drops activations."""

    def forward(self, x):
        if len(x) != 4:
            raise ValueError("made for four rows")
        return F.dropout(x, 0.5)


IDS = torch.tensor([[1, 2, 3, 4]] * 2 + [[5, 6, 7, 8]] * 3)


@pytest.mark.parametrize("x", [IDS, IDS.float(), torch.zeros(5, 4), IDS[:, [0, 0, 0, 0]]])
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_rows_folded_behind_time_keep_their_masks(x, masks):
    model = MCDropout(TimeFirst())
    together = model.sample(x, passes=5, masks=masks)
    torch.testing.assert_close(together, model.sample(x, passes=5, masks=masks, batch_size=2))
    assert torch.equal(together[:, 0], together[:, 1]) == (masks == "shared")


def test_noise_on_learned_queries_is_shared_by_all_rows():
    x = torch.zeros(5, 6)
    draws = MCDropout(Queries()).sample(x, passes=5)
    torch.testing.assert_close(draws, draws[:, :1].expand_as(draws))
    torch.testing.assert_close(draws, MCDropout(Queries()).sample(x, passes=5, batch_size=2))


def test_dropped_weights_of_a_net_for_one_batch_size_are_no_rows():
    pred = MCDropout(FourRowsOnly()).predict(torch.ones(4, 6), passes=4000)
    # 48 units, each 0 or 2: variance 1 each. 6 standard errors of the std at T = 4000: 6.7%.
    assert pred.std[0].item() == pytest.approx(48**0.5, rel=0.07)
    assert MCDropout(FourRowsOnly()).sites(torch.ones(4, 6))[0].layout is None


def test_rows_of_a_net_for_one_batch_size_share_their_mask():
    draws = MCDropout(FourRows()).sample(torch.ones(8, 6), passes=6, batch_size=4)
    torch.testing.assert_close(draws, draws[:, :1].expand_as(draws))


def test_dropout_called_once_per_row_warns():
    class PerRow(nn.Module):
        def forward(self, x):
            return torch.stack([F.dropout(row, 0.5) for row in x])

    with pytest.warns(RowMaskWarning, match="call dropout once on the whole batch"):
        pred = MCDropout(PerRow()).predict(torch.ones(3, 6), passes=2000)
    assert pred.std.mean().item() == pytest.approx(1.0, abs=0.05)


def test_a_loader_that_shuffles_is_refused_and_the_generator_stays():
    before = torch.get_rng_state()
    loader = DataLoader(TensorDataset(torch.ones(6, 2)), batch_size=2, shuffle=True)
    with pytest.raises(InputError, match="shuffle=False"):
        MCDropout(nn.Sequential(nn.Dropout(0.5))).predict(loader, passes=2)
    assert torch.equal(before, torch.get_rng_state())


def test_hooks_of_the_user_meet_plain_tensors():
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    seen = []
    net[1].register_forward_hook(lambda module, inputs, output: seen.append(output.sum().item()))
    MCDropout(net).predict(torch.ones(3, 2), passes=4)
    assert len(seen) >= 4


def test_writing_through_data_leaves_the_users_input_alone():
    class Doubles(nn.Module):
        def forward(self, x):
            x.data.mul_(2)
            return F.dropout(x, 0.5)

    x = torch.ones(3, 2)
    draws = MCDropout(Doubles()).sample(x, passes=8)
    assert torch.equal(x, torch.ones(3, 2)) and draws.max() == 4


def test_an_activation_kept_in_a_container_does_not_stop_the_copy():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = nn.Linear(2, 2), {}

        def forward(self, x):
            self.seen["z"] = self.layer(x)
            return F.dropout(self.seen["z"], 0.5)

    net = Keeps()
    net(torch.ones(1, 2))
    assert MCDropout(net).predict(torch.ones(3, 2), passes=5).mean.shape == (3, 2)


def test_masked_classes_have_no_spread_and_no_nan():
    class Masked(nn.Module):
        def forward(self, x):
            return torch.cat([F.dropout(x, 0.5), torch.full((len(x), 1), -torch.inf)], dim=1)

    pred = MCDropout(Masked(), task="classification").predict(torch.ones(2, 2), passes=7, chunk_size=3)
    assert (pred.logit_mean[:, 2] == -torch.inf).all() and (pred.logit_std[:, 2] == 0).all()
    assert (pred.probs[:, 2] == 0).all()

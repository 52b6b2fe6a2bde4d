"""The audit: its rows, its text, and what it means for a prediction."""

import pytest
import torch
import torch.nn.functional as F
from laws import Call, mlp
from torch import nn

from mcdrop import MCDropout, NoDropoutError, SilentDropoutWarning
from mcdrop.sites import Site, SiteTable


def test_audit_lists_sites_in_call_order_with_their_modules():
    table = MCDropout(mlp()).sites(torch.ones(4, 3))
    assert [(site.index, site.module, site.kind, site.rate) for site in table] == [
        (0, "2", "dropout", 0.2),
        (1, "5", "dropout", 0.5),
    ]
    assert [site.mask_shape for site in table] == [(1, 16), (1, 16)]
    assert len(table) == 2
    assert table[1].live
    assert table.live == tuple(table)
    assert table.silent == ()


def test_audit_prints_as_a_table():
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.25))
    net.spare = nn.Dropout(0.1)
    net.forward = None  # replaced below: Sequential would call the spare one too
    lines = str(MCDropout(Call(lambda s, x: s.net[1](s.net[0](x)), net=net)).sites(torch.ones(2, 3))).split("\n")
    assert lines[0].split() == ["site", "module", "kind", "rate", "mask", "fired", "state"]
    assert lines[1].split() == ["0", "net.1", "dropout", "0.25", "1", "x", "4", "1", "live"]
    assert lines[2].split() == ["-", "net.spare", "Dropout", "0.1", "-", "0", "silent"]
    assert not any(line.endswith(" ") for line in lines)


def test_module_called_twice_is_two_sites():
    net = Call(lambda self, x: self.drop(self.drop(x) + 1), drop=nn.Dropout(0.5))
    table = MCDropout(net).sites(torch.ones(2, 8))
    assert [site.module for site in table] == ["drop", "drop"]
    samples = MCDropout(net).sample(torch.ones(1, 64), passes=1)
    assert set(samples.unique().tolist()) == {0.0, 2.0, 6.0}  # a shared mask could not give 2


def test_rate_0_and_unused_modules_are_silent():
    net = Call(
        lambda self, x: F.dropout(self.zero(x), 0.5), zero=nn.Dropout(0.0), spare=nn.Dropout2d(0.1), off=nn.Dropout(0)
    )
    table = MCDropout(net).sites(torch.ones(2, 8))
    assert [(site.module, site.live) for site in table] == [("zero", False), ("", True), ("spare", False)]
    with pytest.warns(SilentDropoutWarning, match=r"spare \(Dropout2d, p=0.1\)"):
        MCDropout(net).predict(torch.ones(2, 8))


def test_unbatched_mask_is_reported_whole():
    net = Call(lambda self, x: F.linear(x, F.dropout(self.layer.weight, 0.5)), layer=nn.Linear(3, 2))
    site = MCDropout(net).sites(torch.ones(4, 3))[0]
    assert site.mask_shape == (2, 3)
    assert site.layout is None


def test_net_without_dropout_is_refused():
    with pytest.raises(NoDropoutError, match="expected a net with dropout, got Linear"):
        MCDropout(nn.Linear(3, 2)).predict(torch.ones(2, 3))
    assert len(MCDropout(nn.Linear(3, 2)).sites(torch.ones(2, 3))) == 0


def test_net_whose_dropout_is_never_called_is_refused_by_name():
    net = Call(lambda self, x: self.layer(x), layer=nn.Linear(3, 2), spare=nn.Dropout(0.3))
    with pytest.raises(NoDropoutError, match=r"never fires in its forward: spare \(Dropout, p=0.3\)"):
        MCDropout(net).predict(torch.ones(2, 3))
    assert [site.module for site in MCDropout(net).sites(torch.ones(2, 3)).silent] == ["spare"]


class Hiding(nn.Module):
    def forward(self, x):
        return F.dropout(F.dropout(x, 0.3 if self.training else 0.0), 0.5)


def test_rate_that_stays_hidden_warns_where_the_user_calls():
    net = torch.fx.symbolic_trace(Hiding().eval())  # which leaves a plain 0 in the program
    assert "traced by torch.fx" in MCDropout(net).sites(torch.ones(2, 3)).notes[0]
    for method in (MCDropout(net).predict, MCDropout(net).sample):
        with pytest.warns(SilentDropoutWarning, match="hidden in eval mode") as caught:
            method(torch.ones(2, 3))
        assert [warning.filename for warning in caught] == [__file__]


def test_uncounted_and_explained_rows_say_so():
    rows = (
        Site(index=None, module="a", kind="dropout", rate=0.3, counted=False),
        Site(index=None, module="b", kind="dropout", rate=0.3, reason="tired"),
        Site(index=0, module="", kind="randn", rate=None, mask_shape=()),
    )
    table = SiteTable(rows, notes=("something was taken off",))
    lines = [line.split() for line in str(table).split("\n")]
    assert lines[1] == ["-", "a", "dropout", "0.3", "-", "1+", "live,", "uncounted"]
    assert lines[2] == ["-", "b", "dropout", "0.3", "-", "0", "silent:", "tired"]
    assert lines[3] == ["0", "(net)", "randn", "-", "1", "1", "live"]
    assert str(table).endswith("\nnote: something was taken off")
    assert table.live == (rows[0], rows[2])
    assert table.silent == (rows[1],)

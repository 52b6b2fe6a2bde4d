"""Normalization with running statistics uses them, whoever calls it and however."""

import pytest
import torch
import torch.nn.functional as F
from laws import Call, randn
from torch import nn

from mcdrop import MCDropout
from mcdrop.sites import Interception

aten = torch.ops.aten
MEAN, VARIANCE = torch.tensor([1.0, -1.0]), torch.tensor([4.0, 0.25])


def own(call):
    """Run a call on statistics of its own, and return what it gave and what became of them."""
    mean, variance = MEAN.clone(), VARIANCE.clone()
    with Interception(lambda site: site.identity()):
        out = call(mean, variance)
    return out, mean, variance


@pytest.mark.parametrize(
    "call",
    [
        lambda m, v: F.batch_norm(X, m, v, training=True, eps=0.0),
        lambda m, v: F.batch_norm(X, m, v, None, None, True, 0.1, 0.0),
        lambda m, v: torch.batch_norm(X, None, None, m, v, True, 0.1, 0.0, False),
        lambda m, v: aten.batch_norm.default(X, None, None, m, v, True, 0.1, 0.0, False),
        lambda m, v: F.instance_norm(X, m, v, eps=0.0),
        lambda m, v: F.instance_norm(X, m, v, use_input_stats=True, eps=0.0),
    ],
)
def test_running_statistics_are_used_and_kept(call):
    out, mean, variance = own(call)
    torch.testing.assert_close(out, (X - MEAN[:, None]) / VARIANCE.sqrt()[:, None])
    assert torch.equal(mean, MEAN)
    assert torch.equal(variance, VARIANCE)


X = randn(3, 2, 5)


def test_without_running_statistics_nothing_changes():
    for call in (lambda: F.batch_norm(X, None, None, training=True), lambda: F.instance_norm(X)):
        expected = call()
        with Interception(lambda site: site.identity()):
            assert torch.equal(call(), expected)
    net = nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), nn.Dropout(0.5))
    assert MCDropout(net).predict(X, passes=4).std.max() > 0


def test_a_norm_of_ones_own_beside_hidden_dropout_is_frozen_too():
    def forward(self, x):
        x = F.batch_norm(x, self.mean, self.variance, training=self.training)
        return F.dropout(x, 0.5) if self.training else x

    net = Call(forward)
    net.register_buffer("mean", MEAN.clone())
    net.register_buffer("variance", VARIANCE.clone())
    samples = MCDropout(net.eval()).sample(X, passes=30)
    kept = samples != 0
    expected = (2 * net(X)).expand_as(samples)
    torch.testing.assert_close(samples[kept], expected[kept])
    assert 0.3 < kept.float().mean() < 0.7
    assert torch.equal(net.mean, MEAN)

"""Several sites in one net, and sites at unusual places."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.case import Case, P, rows
from zoo.references import by_hand, dropped, in_training

__all__ = ["CASES"]


class Several(nn.Module):
    """Four kinds in one net."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop2d, self.alpha = nn.Conv1d(1, 4, 3), nn.Dropout1d(0.2), nn.AlphaDropout(0.2)
        self.mid, self.drop, self.last = nn.Linear(12, 6), nn.Dropout(0.5), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop2d(self.conv(x)).flatten(1)
        h = F.selu(self.mid(self.alpha(F.selu(h))))
        return self.last(torch.dropout(self.drop(h), 0.2, self.training))


class Branch(nn.Module):
    """A branch that p = 1 switches off altogether."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.off, self.drop = nn.Linear(3, 4), nn.Linear(3, 4), nn.Dropout(1.0), nn.Dropout(P)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.a(x)).tanh() + self.off(self.b(x)))


class Twice(nn.Module):
    """One dropout module at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.drop = nn.Linear(3, 4), nn.Linear(4, 2), nn.Dropout(P)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.drop(self.first(x)).tanh()))


CASES = {
    "several kinds": Case(Several, in_training, (rows(1, 5),)),
    "p=1 on a branch": Case(Branch, by_hand(lambda n, g, x: n.last(dropped(g, n.a(x)).tanh())), (rows(3),)),
    "called twice": Case(Twice, by_hand(lambda n, g, x: n.last(dropped(g, dropped(g, n.first(x)).tanh()))), (rows(3),)),
    "on the inputs": Case(
        lambda: nn.Sequential(nn.Dropout(P), nn.Linear(5, 2)),
        by_hand(lambda net, g, x: net[1](dropped(g, x))),
        (rows(5),),
    ),
    "on the inputs, in place": Case(
        lambda: nn.Sequential(nn.Dropout(P, inplace=True), nn.Linear(5, 2)),
        by_hand(lambda net, g, x: net[1](dropped(g, x))),
        (rows(5),),
    ),
    "on the outputs": Case(
        lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)),
        by_hand(lambda net, g, x: dropped(g, net[0](x), 0.5)),
        (rows(3),),
    ),
    "dropout1d without a batch": Case(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout1d(P), nn.Linear(4, 2)),
        by_hand(lambda net, g, x: net[2](dropped(g, net[0](x), channels=1))),
        (rows(3),),
    ),
    "dropout3d without a batch": Case(
        lambda: nn.Sequential(nn.Dropout3d(P), nn.Flatten(), nn.Linear(8, 2)),
        by_hand(lambda net, g, x: net[2](dropped(g, x, channels=1).flatten(1))),
        (rows(2, 2, 2),),
    ),
}

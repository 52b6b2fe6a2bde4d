"""What people do without mcdrop: the loop over `net.train()`, and the batch that is replicated.

Both get what they can be given: `torch.inference_mode`, moments of all passes at once, and for the replicated batch the
number of copies that is fastest on the net and fits into memory. They compute no more than a mean and a standard
deviation, of the probabilities where the net is a classifier; `predict` gives votes, logits and entropies besides.
"""

import time
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Moments", "choose_copies", "eval_forward", "replicated_batch", "train_loop"]

_MEMORY_BYTES = 2**30  # what the widest tensor of a replicated batch may take


class Moments(NamedTuple):
    """Mean and standard deviation over the passes, each of shape (N, D)."""

    mean: NDArray[np.floating[Any]]
    std: NDArray[np.floating[Any]]


Task = Literal["regression", "classification"]


def train_loop(net: nn.Module, x: Tensor, passes: int, *, task: Task) -> Moments:
    """Switch the whole net to train mode and call it T times."""
    net.train()
    with torch.inference_mode():
        samples = torch.stack([net(x) for _ in range(passes)])
        result = _moments(samples, task)
    net.eval()
    return result


def replicated_batch(net: nn.Module, x: Tensor, passes: int, *, task: Task, copies: int) -> Moments:
    """Repeat the rows, as public packages do, so that one call in train mode gives several passes."""
    net.train()
    with torch.inference_mode():
        tall = x.repeat(min(copies, passes), *[1] * (x.dim() - 1))
        samples = []
        for first in range(0, passes, copies):
            count = min(copies, passes - first)
            output = net(tall[: count * len(x)])
            samples.append(output.view(count, len(x), *output.shape[1:]))
        result = _moments(torch.cat(samples), task)
    net.eval()
    return result


def eval_forward(net: nn.Module, x: Tensor) -> Tensor:
    """Run one forward without dropout: what a prediction without uncertainty costs."""
    with torch.inference_mode():
        output: Tensor = net(x)
    return output


def choose_copies(net: nn.Module, x: Tensor, passes: int, *, task: Task) -> int:
    """Time a few numbers of copies that fit into memory, all passes at once among them, and return the fastest."""
    most = max(1, _MEMORY_BYTES // _widest_bytes(net, x))
    candidates = {copies for copies in (2, 8, 32, 128, 512) if copies <= min(most, passes)} | {min(most, passes)}

    def seconds(copies: int) -> float:
        took = []
        for _ in range(3 if copies * len(x) < 4096 else 2):
            start = time.perf_counter()
            replicated_batch(net, x, copies, task=task, copies=copies)
            took.append((time.perf_counter() - start) / copies)
        return min(took)

    return min(sorted(candidates), key=seconds)


def _moments(samples: Tensor, task: Task) -> Moments:
    std, mean = torch.std_mean(samples.softmax(-1) if task == "classification" else samples, dim=0)
    return Moments(mean.numpy(), std.numpy())


def _widest_bytes(net: nn.Module, x: Tensor) -> int:
    """Return the bytes of the largest tensor that a module of the net returns."""
    found = [x.nbytes]

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            found.append(output.nbytes)

    hooks = [module.register_forward_hook(note) for module in net.modules()]
    eval_forward(net, x)
    for hook in hooks:
        hook.remove()
    return max(found)

"""Which floating types a net computes in: one as a rule, several where parts of it are in half precision."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["float_types_of"]


def float_types_of(net: Any) -> tuple[torch.dtype, frozenset[torch.dtype]]:
    """Return the floating type that most numbers in a net have, and all that it has.

    Args:
        net: The module, or an exported program; it is only looked at.

    Returns:
        The commonest floating type among the elements of its parameters (of its buffers where no parameter has one,
        torch's default where no buffer has either), and the types of all parameters and buffers.

    Example:
        >>> import torch
        >>> float_types_of(torch.nn.Sequential(torch.nn.Linear(9, 9).half(), torch.nn.Linear(9, 1)))[0]
        torch.float16
    """
    parameters, buffers = _counted(net.parameters()), _counted(net.buffers())
    usual = (parameters or buffers or Counter([torch.get_default_dtype()])).most_common(1)
    return usual[0][0], frozenset(parameters) | frozenset(buffers)


def _counted(tensors: Iterable[Tensor]) -> Counter[torch.dtype]:
    count: Counter[torch.dtype] = Counter()
    for tensor in tensors:
        if tensor.is_floating_point():
            count[tensor.dtype] += tensor.numel()
    return count

r"""Fused calls that hide dropout inside, written out so that their dropout is a call of its own.

- Attention: $\mathrm{drop}_p(\mathrm{softmax}(s\,Q K^\top + B))\,V$ with scale s and mask B, in
  `scaled_dot_product_attention` and in `multi_head_attention_forward`, which also reads its training flag.
- The Gumbel-softmax draws exponential variables inside.
- Stacked recurrent nets: $h^{(l)} = \mathrm{RNN}_l(\mathrm{drop}_p(h^{(l-1)}))$ for every layer l but the first, in
  `lstm`, `gru`, `rnn_tanh` and `rnn_relu`.

What is written out here calls `torch.nn.functional.dropout` wherever the kernel would drop in training,
whatever training flag it was given.

References:
    Vaswani, A. et al. (2017). Attention Is All You Need. NeurIPS. https://arxiv.org/abs/1706.03762 (eq. 1).
    Zaremba, W., Sutskever, I. and Vinyals, O. (2014). Recurrent Neural Network Regularization.
    https://arxiv.org/abs/1409.2329 (eq. 7-8: dropout between layers, not between time steps).
"""

import inspect
import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["time_steps", "unfold"]

_MULTI_HEAD = tuple(inspect.signature(F.multi_head_attention_forward).parameters)
_ATTENTION = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
_LAYERS = ("hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional")
_PADDED = ("input", *_LAYERS, "batch_first")
_PACKED = ("data", "batch_sizes", *_LAYERS)


def unfold(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, always: bool = False
) -> Callable[[], Any] | None:
    """Write out a fused call that drops at a rate above 0.

    Args:
        func: Any function of torch.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        always: Whether to write attention out at rate 0, too.

    Returns:
        The same call with its dropout in calls of `torch.nn.functional.dropout`, not made yet; None where the call
        hides no dropout.

    Example:
        >>> x = torch.zeros(1, 3, 2)
        >>> unfold(F.scaled_dot_product_attention, (x, x, x), {"dropout_p": 0.1})().shape
        torch.Size([1, 3, 2])
        >>> unfold(F.scaled_dot_product_attention, (x, x, x), {}) is None
        True
    """
    read = _FUSED.get(func)
    if read is None:
        return None
    if always and read is _read_attention:
        return _read_attention(func, args, kwargs, least=-1.0)
    return read(func, args, kwargs)


def time_steps(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """Return how many time steps a recurrent or multi-head attention call is given; None for any other call.

    Args:
        func: Any function of torch.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    if func is F.multi_head_attention_forward:
        return len(args[0] if args else kwargs["query"])
    if _FUSED.get(func) is not _read_recurrent or _is_packed(args, kwargs):
        return None
    given = dict(zip(_PADDED, args, strict=False)) | kwargs
    return int(given["input"].shape[1 if given.get("batch_first", False) else 0])


def _read_attention(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, least: float = 0.0
) -> Callable[[], Any] | None:
    names, run = (_MULTI_HEAD, _multi_head) if func is F.multi_head_attention_forward else (_ATTENTION, _attention)
    given = dict(zip(names, args, strict=False)) | kwargs
    return partial(run, **given) if given.get("dropout_p", 0.0) > least else None


def _read_recurrent(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any] | None:
    packed = _is_packed(args, kwargs)
    given = dict(zip(_PACKED if packed else _PADDED, args, strict=False)) | kwargs
    return partial(_stacked, func, given) if given["dropout"] > 0 and given["num_layers"] > 1 else None


def _is_packed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return "batch_sizes" in kwargs or (len(args) > 3 and not isinstance(args[3], bool))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute attention step by step; half precision is widened on the way, as in torch's own plain kernel."""
    wide = torch.promote_types(query.dtype, torch.float32)
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = query.to(wide) @ key.to(wide).transpose(-2, -1)
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("scaled_dot_product_attention takes attn_mask or is_causal=True, not both")
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and hasattr(attn_mask, "_materialize"):  # a CausalBias: its own entries mean nothing
        attn_mask = attn_mask._materialize(scores.device)
    if attn_mask is not None:
        closed = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(attn_mask.logical_not(), -math.inf) if closed else scores + attn_mask
    weights = scores.softmax(-1)
    if attn_mask is not None:  # a query that may look at nothing gets zeros, not NaN
        weights = weights.masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)
    dropped = F.dropout(weights, dropout_p) if dropout_p > 0 else weights
    return (dropped @ value.to(wide)).to(query.dtype)


def _without_dispatch(function: Any) -> Callable[..., Any]:
    """Copy a function of `torch.nn.functional` so that it runs under an active mode instead of asking it first.

    The original's first step is to hand itself to the mode, which would call it again, and so on without end. In the
    copy that first step finds nobody to ask, and only what it calls is seen by the mode.
    """
    asked = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    space = {**function.__globals__, **dict.fromkeys(asked, lambda *_: False)}
    copy = FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_multi_head_eager = _without_dispatch(F.multi_head_attention_forward)


_gumbel_softmax_eager = _without_dispatch(F.gumbel_softmax)


def _read_gumbel(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
    return partial(_gumbel_softmax_eager, *args, **kwargs)


def _multi_head(**given: Any) -> Any:
    return _multi_head_eager(**given | {"training": True})


def _stacked(func: Any, given: dict[str, Any]) -> tuple[Tensor, ...]:
    """Run a stacked recurrent net layer by layer with the one-layer kernel, dropping between the layers."""
    packed = "batch_sizes" in given
    names = _PACKED if packed else _PADDED
    layers, directions = given["num_layers"], 2 if given["bidirectional"] else 1
    several = isinstance(given["hx"], tuple | list)
    states = given["hx"] if several else (given["hx"],)
    per_layer = len(given["params"]) // layers
    output, ends = given[names[0]], []
    for layer in range(layers):
        if layer > 0:
            drop = partial(F.dropout, p=given["dropout"])
            output = _on_padded(drop, output, given["batch_sizes"]) if packed else drop(output)
        start = [state[layer * directions : (layer + 1) * directions] for state in states]
        params = given["params"][layer * per_layer : (layer + 1) * per_layer]
        one = {
            names[0]: output,
            "hx": start if several else start[0],
            "params": params,
            "num_layers": 1,
            "dropout": 0.0,
        }
        output, *end = func(*((given | one)[name] for name in names))
        ends.append(end)
    return (output, *(torch.cat(parts) for parts in zip(*ends, strict=True)))


def _on_padded(change: Callable[[Tensor], Tensor], data: Tensor, batch_sizes: Tensor) -> Tensor:
    """Change a packed sequence in its padded form, shape (rows, time, units), where rows lie along one axis.

    A packed tensor lists the rows of step 0, then the rows that go on to step 1, and so on. Its rows are sorted by
    length, and the kernel is not told how they were sorted: row r here is the r-th longest of the batch. So a mask
    that all rows share does not depend on the batch, while a row's own mask depends on the rows it came with.
    """
    sizes = batch_sizes.to(data.device)
    row = torch.arange(int(batch_sizes[0]), device=data.device)[:, None]
    start = sizes.cumsum(0) - sizes
    index = (start + row).clamp(max=len(data) - 1)  # past a row's end this finds another row's units, left out below
    return change(data[index]).transpose(0, 1)[(row < sizes).T]


def _fused() -> dict[Any, Callable[..., Callable[[], Any] | None]]:
    """Map every fused function, under all of its names in torch, to what reads its arguments."""
    aten = torch.ops.aten
    found: dict[Any, Callable[..., Callable[[], Any] | None]] = {
        F.gumbel_softmax: _read_gumbel,
        F.multi_head_attention_forward: _read_attention,
        F.scaled_dot_product_attention: _read_attention,
        aten.scaled_dot_product_attention: _read_attention,
        aten.scaled_dot_product_attention.default: _read_attention,
    }
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        packet = getattr(aten, name)
        for func in (getattr(torch, name), packet, packet.input, packet.data):
            found[func] = _read_recurrent
    return found


_FUSED = _fused()

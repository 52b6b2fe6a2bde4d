"""Dropout for a trained net that has none: a copy of the net, with dropout on the inputs of chosen layers.

Dropout comes as a hook of the layer it stands before, so that module paths and the keys of the state dict stay what
they were. A state dict does not carry the hooks: save the net itself, or call `add_dropout` again after loading.
A net that was trained without dropout is no approximate posterior; what its passes spread is how much it depends on
single units, and its mean shifts, too. Fine-tune the copy with dropout on where that is possible.

References:
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian Approximation: Representing Model Uncertainty in
    Deep Learning. ICML. https://arxiv.org/abs/1506.02142 (section 3: dropout before every weight layer).
"""

import copy
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mcdrop.arguments import check_choice
from mcdrop.containers import within
from mcdrop.errors import InputError
from mcdrop.layers.rate import check_rate

__all__ = ["InputDropout", "Kind", "Where", "add_dropout"]

Kind = Literal["units", "channels"]
"""What is dropped: single entries of a layer's input, or whole channels of a convolution's."""

Where = type[nn.Module] | tuple[type[nn.Module], ...] | str | Sequence[str] | Callable[[str, nn.Module], bool] | None
"""How layers are chosen: by type, by patterns over module paths, or by a function of path and module."""

_Conv = nn.modules.conv._ConvNd
_INDEXED = (nn.Embedding, nn.EmbeddingBag)


def add_dropout(net: nn.Module, p: float, *, where: Where = None, kind: Kind = "units") -> nn.Module:
    """Return a copy of a net with dropout on the inputs of chosen layers; `net` itself stays as it is.

    The dropout obeys the training flag of the layer it stands before, like `torch.nn.Dropout`; `MCDropout` lets it
    sample whatever the flag says. Dropout that the net has already stays too.

    Args:
        net: Any net of plain modules.
        p: Probability to drop a unit or channel, in [0, 1].
        where: Which layers get it. Default: every `nn.Linear` and every other leaf with a matrix as its `weight`, as
            transformers' `Conv1D`, that is no embedding, norm or recurrent layer (every convolution for
            `kind="channels"`), but for the first layer with weights. The first is the one that was registered first,
            whenever it is called. A type or a tuple of types; a pattern or several for the paths of layers that hold a
            weight matrix or kernel, such as "encoder.*.fc1" (a star stands for dots too), or the exact path of any
            module; or a function of path and module that says yes or no. The output projection of
            `nn.MultiheadAttention`, which is never called, is passed over unless it is named exactly.
        kind: "units", or "channels" for whole channels of a convolution's input.

    Returns:
        The copy, with the training flags of the original. Print its hooks with
        `copy.get_submodule(path)._forward_pre_hooks`.

    Raises:
        InputError: If the net is scripted or lazy, no layer is chosen, or one that dropout before it does not reach:
            a container, an embedding, the output projection of `nn.MultiheadAttention` by its exact path.

    Example:
        >>> import torch
        >>> from mcdrop.layers import add_dropout
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).eval()
        >>> dropped = add_dropout(net, 0.1)
        >>> list(dropped[2]._forward_pre_hooks.values())
        [InputDropout(p=0.1, kind='units')]
    """
    rate = check_rate("p", p)
    check_choice("kind", kind, Kind)
    original = _plain(net)
    chosen = _chosen(original, where, kind)
    try:
        dropped = copy.deepcopy(original, _detached(original))
    except Exception as error:  # whatever a user's __deepcopy__ may raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"net must be copyable, but copy.deepcopy of {type(original).__name__} failed with: {reason}; move what "
            "cannot be copied out of the modules' attributes"
        ) from error
    for path in chosen:
        InputDropout(rate, kind=kind).attach(dropped.get_submodule(path))
    return dropped


class InputDropout:
    """A forward pre-hook that drops a module's first input while the module is in training mode.

    Attributes:
        p: Probability to drop a unit or channel.
        kind: Which of the two.
    """

    def __init__(self, p: float, *, kind: Kind = "units") -> None:
        """Set the rate and what is dropped."""
        self.p = p
        self.kind = kind
        # Kept for what it does when it is unpickled: hooks that are registered later get numbers of their own. Without
        # it, a fresh process would count from 0 and overwrite this hook.
        self._handle: RemovableHandle | None = None

    def __repr__(self) -> str:
        """Return what the hook does, for who looks at a module's hooks."""
        return f"InputDropout(p={self.p:g}, kind={self.kind!r})"

    def attach(self, module: nn.Module) -> None:
        """Register the hook."""
        self._handle = module.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Drop the first positional argument, or the first one by keyword where there is none."""
        if args:
            return (self._dropped(module, args[0]), *args[1:]), kwargs
        name = next(iter(kwargs), None)
        if name is None:
            raise InputError(f"dropout before {type(module).__name__} needs an input to drop, got a call without any")
        return args, kwargs | {name: self._dropped(module, kwargs[name])}

    def _dropped(self, module: nn.Module, x: object) -> Tensor:
        if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
            got = f"one of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
            raise InputError(
                f"dropout before {type(module).__name__} needs a tensor of real numbers as its first input, got {got}; "
                "choose another layer"
            )
        if self.p == 0:
            return x
        if self.kind == "units":
            return F.dropout(x, self.p, module.training)
        spatial = len(cast(tuple[int, ...], module.kernel_size))
        ones = x.new_ones(*x.shape[:-spatial], *(1,) * spatial)
        return x * F.dropout(ones, self.p, module.training)


def _plain(net: object) -> nn.Module:
    """Return the net, or what a compiled one was compiled from."""
    if not isinstance(net, nn.Module):
        raise InputError(f"net must be a torch.nn.Module, got {type(net).__name__}; pass the trained network")
    plain = getattr(net, "_orig_mod", net)
    if any(isinstance(module, torch.jit.ScriptModule) for module in plain.modules()):
        raise InputError(
            f"net must be made of plain modules, got TorchScript in {type(net).__name__}, which takes no dropout; "
            "pass the module that was scripted or traced"
        )
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in plain.parameters()):
        raise InputError("net must have its weights, got lazy layers without; run it on one batch first")
    return plain


def _detached(net: nn.Module) -> dict[int, Any]:
    """Return what a deep copy needs to know of tensors that carry a graph, as weight norm keeps them after a forward.

    Whoever keeps such a tensor computes it again in the next forward.
    """
    held = within([vars(module) for module in net.modules()])
    return {
        id(value): value.detach().clone() for _, _, value in held if isinstance(value, Tensor) and not value.is_leaf
    }


def _chosen(net: nn.Module, where: Where, kind: Kind) -> list[str]:
    """Return the paths of the layers to put dropout before, one for each layer."""
    modules = dict(net.named_modules(remove_duplicate=False))  # a layer may be asked for by any of its names
    wanted = _selector(net, where, kind)
    chosen = [path for path, module in modules.items() if wanted(path, module)]
    exact = [where] if isinstance(where, str) else where if isinstance(where, Sequence) else ()
    free = [path for path in chosen if path in exact or not _is_read(modules, path)]
    if where is None:
        chosen = free = [path for path in free if not _obstacle(modules, path)]
    if not chosen:
        raise InputError(_nothing_chosen(net, where))
    first: dict[int, str] = {}
    for path in free or chosen:  # where all stand before what is never called, the first says why not
        first.setdefault(id(modules[path]), path)
    paths = list(first.values())
    for path in paths:
        obstacle = _obstacle(modules, path)
        if obstacle:
            raise InputError(f"dropout cannot stand before {path or '(net)'}: {obstacle}; choose other layers")
        if kind == "channels" and not isinstance(modules[path], _Conv):
            raise InputError(
                f"kind='channels' is for convolutions, got {path or '(net)'} ({type(modules[path]).__name__}); "
                "use kind='units' there"
            )
    return paths


def _selector(net: nn.Module, where: Where, kind: Kind) -> Callable[[str, nn.Module], bool]:
    if where is None:
        first = next((module for module in net.modules() if _is_layer(module)), None)
        fits = _is_linear if kind == "units" else lambda module: isinstance(module, _Conv)
        return lambda path, module: fits(module) and module is not first
    types = where if isinstance(where, tuple) else (where,)
    if types and all(isinstance(item, type) and issubclass(item, nn.Module) for item in types):
        classes = cast(tuple[type[nn.Module], ...], types)
        return lambda path, module: isinstance(module, classes)
    patterns = [where] if isinstance(where, str) else where
    if isinstance(patterns, Sequence) and all(isinstance(pattern, str) for pattern in patterns):
        texts = cast(Sequence[str], patterns)
        return lambda path, module: (
            path in texts
            or (
                _is_layer(module)
                and not isinstance(module, _INDEXED)
                and any(fnmatchcase(path, text) for text in texts)
            )
        )
    if callable(where) and not isinstance(where, type | nn.Module):
        return lambda path, module: bool(where(path, module))
    raise InputError(
        f"where must be a module type or a tuple of them, patterns of module paths, or a function of path and module, "
        f"got {where!r}; pass for example torch.nn.Linear or 'encoder.*.fc1'"
    )


def _own_parameters(module: nn.Module) -> Any:
    """Iterate over the parameters of a module that are not a child's, those behind a parametrization included."""
    yield from module.parameters(recurse=False)
    if nn.utils.parametrize.is_parametrized(module):
        yield from cast(nn.Module, module.parametrizations).parameters()


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is a leaf that holds a weight matrix or kernel for what comes in."""
    children = [name for name, _ in module.named_children() if name != "parametrizations"]
    matrix = any(parameter.dim() >= 2 for parameter in _own_parameters(module))
    return matrix and not children


def _is_linear(module: nn.Module) -> bool:
    """Whether a module multiplies what comes in by a matrix, whatever its class: some have a linear layer of their own.

    Embeddings and norms may have a matrix too; those of torch are known by their class, others by its name.
    """
    if isinstance(module, nn.Linear):
        return True
    apart = isinstance(module, (*_INDEXED, nn.RNNBase, nn.RNNCellBase, nn.LayerNorm))
    if apart or type(module).__name__.endswith(("Embedding", "Norm")) or not _is_layer(module):
        return False
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2


def _is_read(modules: dict[str, nn.Module], path: str) -> bool:
    """Whether the module around it reads its weights and never calls it."""
    return isinstance(modules.get(path.rpartition(".")[0]) if path else None, nn.MultiheadAttention)


def _obstacle(modules: dict[str, nn.Module], path: str) -> str:
    """Return why dropout before a module would never fire or makes no sense; empty where it does."""
    module = modules[path]
    if "parametrizations" in path.split("."):
        return "it computes a weight"
    if isinstance(module, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
        return f"a {type(module).__name__} is never called"
    if isinstance(module, _INDEXED):
        return "its inputs are indices; put dropout before the layer after it"
    if _is_read(modules, path):
        return "nn.MultiheadAttention reads its weights without calling it; set the `dropout` of the attention instead"
    return ""


def _nothing_chosen(net: nn.Module, where: Where) -> str:
    layers = [
        f"{path or '(net)'} ({type(module).__name__})" for path, module in net.named_modules() if _is_layer(module)
    ]
    shown = ", ".join(layers[:20]) + (f" and {len(layers) - 20} more" if len(layers) > 20 else "")
    patterns = [where] if isinstance(where, str) else where if isinstance(where, Sequence) else ()
    names = [name for name, _ in net.named_parameters()]
    if any(fnmatchcase(name, pattern) for pattern in patterns for name in names if isinstance(pattern, str)):
        hint = "patterns are for modules, not for parameters: drop weights with DropConnect, states with VariationalRNN"
    else:
        hint = "name some of them by where=, a type, a pattern or a function"
    chosen = "beyond the first" if where is None else f"for where={where!r}"
    return f"expected a layer to put dropout before, found none {chosen} in {type(net).__name__}; it has: " + (
        f"{shown or 'no layers with weights'}; {hint}"
    )

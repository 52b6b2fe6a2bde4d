"""From a net to a graph of its calls, with `torch.fx`, its dropout calls matched with the sites that fired."""

import inspect
import operator
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from mcdrop.errors import ExecutionError
from mcdrop.execution.plan import Plan
from mcdrop.inputs import Batch
from mcdrop.rng import ONE_AT_A_TIME, spared
from mcdrop.sites import DropoutCall, Site
from mcdrop.sites.dropouts import read_dropout
from mcdrop.sites.norms import frozen

__all__ = ["Form", "match_sites", "refusal", "trace", "writes_over"]


def refusal(reason: str) -> ExecutionError:
    """Return the error to raise where a net cannot run thinned."""
    return ExecutionError(
        f"thinned execution cannot run this net: {' '.join(reason.split())[:300]}; "
        "use execution='vectorized' or 'loop', or 'auto' to fall back to them"
    )


class Form:
    """The inputs of a batch taken apart: its tensors, and all that has to be the same for a trace to hold."""

    def __init__(self, batch: Batch) -> None:
        """Take a batch apart."""
        leaves, self.spec = _leaves(batch)
        self.tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        self.rest = [tuple(leaf.shape[1:]) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self._places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def matches(self, other: "Form") -> bool:
        """Whether a trace over one holds for the other."""
        types = [tensor.dtype for tensor in self.tensors] == [tensor.dtype for tensor in other.tensors]
        try:
            return bool(types and self.spec == other.spec and self.rest == other.rest)
        except Exception:  # whatever a comparison of a user's objects may raise
            return False

    def assembled(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments of the net with other values in place of its tensors."""
        leaves = list(self.rest)
        for place, value in zip(self._places, values, strict=True):
            leaves[place] = value
        args, kwargs = tree_unflatten(leaves, self.spec)
        return args, kwargs


def _leaves(batch: Batch) -> tuple[list[Any], TreeSpec]:
    return tree_flatten((batch.args, batch.kwargs))


class _Tracer(fx.Tracer):
    """Traces for the inputs of one form, whatever the signature, and leaves other threads alone."""

    proxy_buffer_attributes = True

    def __init__(self, form: Form) -> None:
        super().__init__(param_shapes_constant=True)
        self._form, self._thread = form, threading.get_ident()

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        root, form = self.root, self._form
        if hasattr(fx._symbolic_trace, "_is_fx_tracing_flag"):  # it would stop compiled nets in other threads, too
            fx._symbolic_trace._is_fx_tracing_flag = False
        inputs = [self.create_proxy("placeholder", f"input_{n}", (), {}) for n in range(len(form.tensors))]

        def call(*values: Any) -> Any:
            args, kwargs = form.assembled(values)
            return root_fn(root, *args, **kwargs)

        return call, inputs

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        forward = getattr(type(m).forward, "__module__", "")
        return isinstance(m, torch.jit.ScriptModule) or (
            forward.startswith("torch.nn") and not isinstance(m, nn.Sequential)
        )

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:  # tracing patches every module of the process
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def trace(net: nn.Module, form: Form) -> fx.Graph:
    """Trace a net.

    Args:
        net: The structural twin.
        form: Form of its inputs.

    The forward runs once with stand-ins for tensors; what it puts into lists or globals of its own stays there.

    Returns:
        The graph; its placeholders stand for the tensors of the inputs, in order.

    Raises:
        ExecutionError: If its calls depend on its data, or on what is no tensor, or someone looks at them.
    """
    watched = _has_any_global_hook()  # type: ignore[no-untyped-call]
    for path, module in net.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or watched:
            raise refusal(f"hooks watch its module {path or '(net)'}, and must see whole tensors")
        if isinstance(module, torch.jit.ScriptModule):
            raise refusal(f"its module {path or '(net)'} is TorchScript")
        if "forward" in vars(module):
            raise refusal(f"the forward of its module {path or '(net)'} was replaced")
    alone = threading.active_count() == 1  # draws of another thread must not be turned back
    before = _state(net)
    try:
        with spared() if alone else ONE_AT_A_TIME, torch.no_grad():
            graph = _Tracer(form).trace(net)
    except Exception as error:  # whatever a user's forward may raise where it meets no tensor
        raise refusal(f"torch.fx cannot trace it ({type(error).__name__}: {error})") from error
    finally:
        changed = _restore(before)
    if changed:
        raise refusal(f"its module {type(changed[0]).__name__} writes to its own attributes")
    modules = dict(net.named_modules())
    for node in graph.nodes:
        _check(node, modules.get(str(node.target)) if node.op == "call_module" else None)
    return graph


def _state(net: nn.Module) -> list[tuple[nn.Module, list[tuple[dict[str, Any], dict[str, Any]]]]]:
    """Take down what every module holds."""
    plain = (module for module in net.modules() if not isinstance(module, torch.jit.ScriptModule))
    held = ((m, (vars(m), m._buffers, m._parameters, m._modules)) for m in plain)
    return [(module, [(holder, dict(holder)) for holder in holders]) for module, holders in held]


def _restore(state: list[tuple[nn.Module, list[tuple[dict[str, Any], dict[str, Any]]]]]) -> list[nn.Module]:
    """Put back what tracing has changed, and return the modules where it did; constants it adds stay."""
    changed = []
    for module, holders in state:
        for holder, before in holders:
            now = {name: value for name, value in holder.items() if not name.startswith("_tensor_constant")}
            if now.keys() != before.keys() or any(before[name] is not value for name, value in now.items()):
                changed.append(module)
                for name in now.keys() - before.keys():
                    del holder[name]
                holder.update(before)
    return changed


def _check(node: fx.Node, module: nn.Module | None) -> None:
    if module is not None and module.training and not isinstance(module, nn.modules.dropout._DropoutNd):
        raise refusal(f"its module {node.target} is in training mode")
    if node.op == "call_function" and frozen(node.target, node.args, node.kwargs) != (node.args, node.kwargs):
        raise refusal("it calls normalization in training mode")


def match_sites(graph: fx.Graph, net: nn.Module, plan: Plan) -> dict[fx.Node, tuple[Site, DropoutCall]]:
    """Find the node of every site.

    Args:
        graph: What was traced.
        net: What it was traced from.
        plan: What the survey found.

    Returns:
        Site and call (its input a node) by node.

    Raises:
        ExecutionError: If calls and sites do not match one to one and in order.
    """
    if plan.uncounted or any(site.law is not None for site in plan.fired):
        raise refusal("it draws random numbers that are no dropout masks")
    modules = dict(net.named_modules())
    try:
        found = [(node, _read(node, modules)) for node in graph.nodes]
    except (TypeError, ValueError, KeyError) as error:
        raise refusal("the rate of a dropout call depends on its data") from error
    calls = [(node, call) for node, call in found if call is not None]
    traced = [(call.kind, call.rate) for _, call in calls]
    fired = [(site.kind, site.rate) for site in plan.fired]
    if traced != fired:
        raise refusal(f"its graph shows {len(traced)} dropout calls where {len(fired)} fired, or others than those")
    matched = {}
    for (node, call), site in zip(calls, plan.fired, strict=True):
        if call.kind == "native_dropout" or (node.op == "call_module" and node.target != site.module):
            raise refusal(f"its dropout call {node.name} is not read here")
        matched[node] = site, call
    return matched


def _read(node: fx.Node, modules: dict[str, nn.Module]) -> DropoutCall | None:
    if node.op == "call_function":
        return read_dropout(node.target, node.args, node.kwargs)
    if node.op != "call_module":
        return None
    module = modules[str(node.target)]
    function = _MODULES.get(getattr(type(module), "forward", None))
    if function is None:
        return None
    call = read_dropout(function, (*node.args, *node.kwargs.values()), {"p": module.p})
    return None if call is None else replace(call, inplace=bool(module.inplace))


_MODULES: dict[Any, Any] = {
    nn.Dropout.forward: F.dropout,
    nn.Dropout1d.forward: F.dropout1d,
    nn.Dropout2d.forward: F.dropout2d,
    nn.Dropout3d.forward: F.dropout3d,
    nn.AlphaDropout.forward: F.alpha_dropout,
    nn.FeatureAlphaDropout.forward: F.feature_alpha_dropout,
}

_WRITING = frozenset({operator.setitem, operator.delitem, setattr}) | {
    getattr(operator, name) for name in dir(operator) if name.startswith("i") and hasattr(operator, f"__{name}__")
}


def writes_over(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node may write over its input, as far as its name, its settings and its arguments tell."""
    if bool(getattr(module, "inplace", False)) or node.kwargs.get("out") is not None:
        return True
    if node.op == "call_method":
        name = str(node.target)
        return (name.endswith("_") and not name.endswith("__")) or name == "__setitem__" or name.startswith("__i")
    if node.op != "call_function":
        return False
    if node.target in _WRITING or _name(node.target).endswith("_"):
        return True
    try:
        bound = inspect.signature(node.target).bind(*node.args, **node.kwargs)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return bool(node.kwargs.get("inplace", False))
    return bound.arguments.get("inplace", False) is not False


def _name(function: Any) -> str:
    schema = getattr(function, "_schema", None)
    return str(getattr(schema, "name", getattr(function, "__name__", "")))

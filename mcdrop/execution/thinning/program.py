"""A traced net as steps, each of which knows how to run on live units: what is dropped is followed both ways.

Forward, dropped units stay away through what takes 0 to 0, up to the layers that read them. Backward, the layer that
makes them leaves them out, if all that lies between it and the site acts on each unit alone and nothing else reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from mcdrop.execution.plan import Plan
from mcdrop.execution.thinning.layers import Layer, read_layer
from mcdrop.execution.thinning.tracing import Form, match_sites, refusal, trace, writes_over
from mcdrop.execution.thinning.units import Flatten, Norm, Unit, read_units
from mcdrop.sites import DropoutCall, Site

__all__ = ["Drop", "Program", "Step", "make_program", "run_step"]


@dataclass(frozen=True, slots=True, eq=False)
class Drop:
    """A live site.

    Attributes:
        site: The site.
        call: The call, its input still a node.
        by_unit: Whether its mask has one entry for each unit on axis 1, which is 0 for a dropped one.
    """

    site: Site
    call: DropoutCall
    by_unit: bool

    @property
    def number(self) -> int:
        """Number of the site."""
        assert self.site.index is not None
        return self.site.index

    @property
    def scale(self) -> float:
        """What the kept units are multiplied by."""
        rate = self.site.rate or 0.0
        return 1 / (1 - rate) if rate < 1 else 1.0


@dataclass(slots=True, eq=False)
class Step:
    """A node and how it runs.

    Attributes:
        node: The node.
        plain: Runs the node on plain values, without noise.
        action: What it is, where that is known.
        noisy: Whether its value differs from pass to pass.
        alone: Whether it alone reads what a layer makes.
        done: The nodes that no later step reads.
    """

    node: fx.Node
    plain: Callable[..., Any]
    action: Drop | Layer | Unit | Norm | Flatten | None = None
    noisy: bool = False
    alone: bool = False
    done: list[fx.Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of a net.

    Attributes:
        form: Form of the inputs that it was traced for.
        inputs: The placeholders, in the order of the inputs' tensors.
        steps: All that has to be run, in order; the last one returns the output.
    """

    form: Form
    inputs: tuple[fx.Node, ...]
    steps: tuple[Step, ...]

    @property
    def sliced(self) -> tuple[str, ...]:
        """Names of the layers that can run on slices of their weights."""
        return tuple(s.node.name for s in self.steps if isinstance(s.action, Layer) and s.action.is_sliced)

    def costs(self, rows: int, passes: int) -> tuple[float, float]:
        """Return what a pass takes in here and with `torch.func.vmap`, in multiplications.

        Args:
            rows: Rows n.
            passes: Passes side by side, C of them.
        """
        drops = [step.action for step in self.steps if isinstance(step.action, Drop) and step.action.by_unit]
        shares = {drop.number: 1 - (drop.site.rate or 0.0) for drop in drops}
        here = there = 0.0
        for action in (step.action for step in self.steps if step.noisy):
            if isinstance(action, Layer):
                inner, outer = (None if number is None else shares[number] for number in (action.inner, action.outer))
                thin, stacked = action.costs(rows, passes, inner, outer)
                here, there = here + min(thin, stacked), there + stacked
            elif isinstance(action, Unit):
                there += action.saves * rows
        return here, there


def make_program(net: nn.Module, plan: Plan, form: Form) -> Program:
    """Trace a net and read its steps.

    Args:
        net: The structural twin.
        plan: What the survey found.
        form: Form of the inputs; its tensors hold rows to try the net on.

    Returns:
        The program.

    Raises:
        ExecutionError: If the net cannot be traced, or writes over tensors.
    """
    graph = trace(net, form)
    sites = match_sites(graph, net, plan)
    modules = dict(net.named_modules())
    inputs = tuple(node for node in graph.nodes if node.op == "placeholder")
    live = [
        node for node in graph.nodes if node.users or node.op in ("output", "placeholder") or _writes(node, modules)
    ]
    steps = {node: Step(node, _plain(net, node, modules)) for node in live if node.op != "placeholder"}
    values: dict[fx.Node, Any] = dict(zip(inputs, form.tensors, strict=True))
    for node, step in steps.items():
        step.action = _action(node, modules, sites, values)
        step.noisy = (isinstance(step.action, Drop)) or any(
            source in steps and steps[source].noisy for source in node.all_input_nodes
        )
        values[node] = _tried(step, values)
        if isinstance(step.action, Layer):
            step.action.places = values[node].shape[2:].numel() if step.action.convolve is not None else 1
    for node, step in steps.items():
        if isinstance(step.action, Drop) and step.action.by_unit:
            _follow_back(node, step.action, steps)
            _follow_on(node, step.action, steps)
        if isinstance(step.action, Unit):
            (source,) = node.all_input_nodes
            step.alone = source in steps and isinstance(steps[source].action, Layer) and len(source.users) == 1
    _mark_last_uses(steps)
    return Program(form, inputs, tuple(steps.values()))


def run_step(step: Step, values: dict[fx.Node, Any]) -> Any:
    """Run a step on plain values, without noise."""
    if isinstance(step.action, Unit):
        return step.action.function(values[step.node.all_input_nodes[0]])
    args, kwargs = fx.node.map_arg((step.node.args, step.node.kwargs), lambda node: values[node])
    return step.plain(*args, **kwargs)


def _tried(step: Step, values: dict[fx.Node, Any]) -> Any:
    """Run a step on the rows to try the net on; dropout passes on what it gets."""
    try:
        if isinstance(step.action, Drop):
            given = values[step.action.call.input]  # type: ignore[index]
            return given if step.action.call.inplace else given.clone()  # which memory is whose is looked at
        return run_step(step, values)
    except Exception as error:  # whatever a user's net may raise
        raise refusal(f"its traced call {step.node.name} fails ({type(error).__name__}: {error})") from error


def _writes(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return node.op not in ("placeholder", "get_attr", "output") and writes_over(node, module)


def _plain(net: nn.Module, node: fx.Node, modules: dict[str, nn.Module]) -> Callable[..., Any]:
    target: Any = node.target
    if node.op == "get_attr":
        value: Any = net
        for name in str(target).split("."):
            value = getattr(value, name)
        return lambda: value
    if node.op == "call_module":
        return modules[str(target)].forward
    if node.op == "call_method":
        return lambda first, *args, **kwargs: getattr(first, str(target))(*args, **kwargs)
    if node.op == "output":
        return lambda value: value
    function: Callable[..., Any] = target
    return function


def _action(
    node: fx.Node,
    modules: dict[str, nn.Module],
    sites: dict[fx.Node, tuple[Site, DropoutCall]],
    values: dict[fx.Node, Any],
) -> Drop | Layer | Unit | Norm | Flatten | None:
    if node in sites:
        site, call = sites[node]
        if not isinstance(call.input, fx.Node):
            raise refusal("it drops entries of a constant")
        if call.inplace and not _is_private(call.input, values):
            raise refusal(f"its call {node.name} drops in place what other calls may read")
        if not site.live:
            return Unit(lambda tensor: tensor, homogeneous=True)
        return Drop(site, call, _is_by_unit(site, values[call.input]))
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    given = values.get(node.args[0]) if node.args and isinstance(node.args[0], fx.Node) else None
    if isinstance(given, Tensor):
        known = read_units(node, module, given)
        if known is not None:
            if known[1] and not _is_private(node.args[0], values):  # type: ignore[arg-type]
                raise refusal(f"its call {node.name} writes over what other calls may read")
            return known[0]
        layer = read_layer(node, module, values)
        if layer is not None:
            return layer
    if _writes(node, modules):
        raise refusal(f"its call {node.name} writes over a tensor")
    return None


def _is_private(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Whether one call alone reads a value, under this name or any other."""
    if len(node.users) != 1 or node.op == "get_attr":
        return False
    sources = [source for source in node.all_input_nodes if isinstance(values.get(source), Tensor)]
    shared = [source for source in sources if _share_memory(values[source], values.get(node))]
    return all(_is_private(source, values) for source in shared)


def _share_memory(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return True
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _is_by_unit(site: Site, given: Any) -> bool:
    """Whether a site drops entries of axis 1, the same for all rows and places, to 0."""
    shape = site.mask_shape or ()
    return site.by_unit and isinstance(given, Tensor) and given.dim() == len(shape) and given.shape[1] == shape[1]


def _follow_back(node: fx.Node, drop: Drop, steps: dict[fx.Node, Step]) -> None:
    """Tell the layer that makes a site's units which site it is, if nothing else reads them."""
    source: Any = drop.call.input
    while source in steps and steps[source].noisy and len(source.users) == 1:
        action = steps[source].action
        if isinstance(action, Layer):
            action.outer = drop.number
            return
        if not isinstance(action, Unit | Norm):
            return
        source = source.all_input_nodes[0]


def _follow_on(node: fx.Node, drop: Drop, steps: dict[fx.Node, Step]) -> None:
    """Tell the layers that read a site's units which site it is."""
    for user in node.users:
        action = steps[user].action if user in steps else None
        if isinstance(action, Layer):
            action.inner = drop.number
        elif isinstance(action, Flatten) or (isinstance(action, Unit) and action.keeps_zero):
            _follow_on(user, drop, steps)


def _mark_last_uses(steps: dict[fx.Node, Step]) -> None:
    """Let every noisy step drop what no later one reads; what is not noisy is kept or dropped at once."""
    last: dict[fx.Node, Step] = {}
    for node, step in steps.items():
        for source in node.all_input_nodes:
            last[source] = step
    for source, step in last.items():
        step.done.append(source)

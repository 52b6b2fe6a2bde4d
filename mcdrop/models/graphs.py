"""The text of an exported program, checked before anything is made of it, so that it runs no code of its own.

`torch.export.load` makes more than tensors of the text of a program. It evaluates the expressions of its sizes, looks
up any attribute of torch as a function to be called (`torch.os.system` is one), imports modules that the description
of the inputs names, and writes node names into source code that it executes. So the text is taken apart here and put
together again from what is known to be data:

- Operators are those of aten and prims that torch has, but for the few that read or write files; arithmetic of sizes;
  and blocks without gradients, with autocast, or under a condition.
- Names are plain identifiers; expressions and guards are arithmetic of symbols, sizes and numbers.
- Inputs and outputs are tensors and plain numbers in tuples, lists and dicts.
- Stack traces and notes are left out; no pass needs them.
- Devices are the CPU; a program is moved after it was loaded.

References:
    The PyTorch developers (2025). torch.export IR specification and PT2 archive format. https://docs.pytorch.org/docs/
    stable/export.html (section Serialization; "never load data from an untrusted source").
"""

import json
import re
from typing import Any

import torch

from mcdrop.models.expressions import check_expression, checked_guard
from mcdrop.models.refusal import Refused

__all__ = ["check_path", "checked_program", "fixed_rows", "missing_operators", "plain_tree", "row_bounds"]

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PATH = re.compile(r"[\w .:/+-]*", re.ASCII)
_WORD = re.compile(r"[\w.+-]*", re.ASCII)
_CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_ATEN = re.compile(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)", re.ASCII)
_SIZES = re.compile(r"torch\.sym_(float|int|ite|max|min|not|sqrt)|math\.trunc")
_FILES = ("save", "from_file")  # of aten
_BLOCKS = [f"torch.ops.higher_order.{name}" for name in ("cond", "wrap_with_autocast", "wrap_with_set_grad_enabled")]
_SIGNS = "add and_ eq floordiv ge gt le lshift lt mod mul ne neg or_ pos pow rshift sub truediv".split()
_ARITHMETIC = [f"_operator.{name}" for name in _SIGNS]
_SYMBOL = re.compile(r"Symbol\('(\w+)'[^()]*\)\Z", re.ASCII)
_SPECIAL = 2  # what torch writes as the least of any size; 0 and 1 are taken all the same
_LEFT_OUT = ("metadata", "treespec_namedtuple_fields")
_OBJECTS = ("as_custom_obj", "custom_obj")
_IDENTIFIERS = ("name", "as_name", "forward_arg_names")
_PATHS = ("parameter_name", "buffer_name", "tensor_constant_name", "fqn")
_SPECS = ("in_spec", "out_spec")


def checked_program(program: Any) -> dict[str, Any]:
    """Return the text of a program as plain data of which every part was checked.

    Args:
        program: What JSON made of the record.

    Raises:
        Refused: If it holds anything that is not known to be data.
    """
    if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
        raise Refused("its program has no graph")
    return dict(plain_tree(program))


def plain_tree(value: Any, key: str = "", *, inside: bool = False) -> Any:
    """Return a tree of JSON values after a look at each of its texts.

    Args:
        value: The tree.
        key: Under which key it stands; says what its texts may be.
        inside: Whether it stands in a node, whose arguments may be any text.

    Raises:
        Refused: If a text is not what its place asks for.
    """
    if key in _LEFT_OUT:
        return {}
    if key in _OBJECTS or (key == "custom_obj_values" and value):
        raise Refused("it holds objects of classes, which only code can make")
    if isinstance(value, dict):
        if value.keys() == {"type", "index"}:
            return {"type": "cpu", "index": None}
        for name in value:
            (check_expression if key == "range_constraints" else _check_name)(name)
        return {name: plain_tree(held, name, inside=inside or key == "nodes") for name, held in value.items()}
    if isinstance(value, list):
        return [plain_tree(item, key, inside=inside or key == "nodes") for item in value]
    if isinstance(value, str) and key == "guards_code":
        return checked_guard(value)
    if isinstance(value, str):
        _check_text(value, key, inside=inside)
    return value


def _check_text(text: str, key: str, *, inside: bool) -> None:
    if key in ("target", "as_operator"):
        _check_operator(text)
    elif key == "expr_str":
        check_expression(text)
    elif key in _SPECS:
        _check_spec(text)
    elif key in _IDENTIFIERS:
        if text:
            _check_name(text)
    elif key in _PATHS:
        check_path(text)
    elif not (inside and key in ("as_string", "as_strings")) and not _WORD.fullmatch(text):
        raise Refused(f"it holds the text {text[:60]!r} where a plain word belongs")


def _check_name(name: str) -> str:
    """Return a name that may stand in source code, and refuse another."""
    if not _IDENTIFIER.fullmatch(name):
        raise Refused(f"it holds the name {name[:60]!r}, which is no plain identifier")
    return name


def check_path(path: str) -> str:
    """Return the path of a tensor, such as "0.weight".

    Raises:
        Refused: If it could mean more than a place in a net.
    """
    if not _PATH.fullmatch(path) or any(part.startswith("__") for part in path.split(".")):
        raise Refused(f"it holds a tensor named {path[:60]!r}, which is no path of plain names")
    return path


def _check_spec(text: str) -> None:
    """Refuse inputs or outputs in anything else than tuples, lists and dicts."""
    try:
        _, tree = json.loads(text)
        _check_nested(tree)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Refused("what it says of its inputs and outputs cannot be read") from error


def _check_nested(tree: Any) -> None:
    held, children = tree["type"], tree["children_spec"]
    if held is not None and held not in _CONTAINERS:
        raise Refused(
            f"its inputs or outputs are in an object ({str(held)[:60]}), where tuples, lists and dicts can be read"
        )
    context = None if tree["context"] is None else json.loads(tree["context"])
    keys = context if isinstance(context, list) else [] if context is None else [None]
    if not all(isinstance(key, int) or (isinstance(key, str) and _PATH.fullmatch(key)) for key in keys):
        raise Refused("the keys of its inputs or outputs are no plain words")
    for child in children:
        _check_nested(child)


def _check_operator(target: str) -> None:
    found = _ATEN.fullmatch(target)
    known = found is not None and found[2] not in _FILES
    known = known or _SIZES.fullmatch(target) is not None or target in _ARITHMETIC or target in _BLOCKS
    if not known:
        raise Refused(f"it calls {target[:80]!r}, which is none of torch's own operators on tensors")


def missing_operators(program: Any) -> list[str]:
    """Return the operators of a checked program that this torch does not have, in alphabetical order."""
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(target := value.get("target"), str) and (match := _ATEN.fullmatch(target)):
                packet = getattr(getattr(torch.ops, match[1]), match[2], None)
                if not isinstance(getattr(packet, match[3], None), torch._ops.OpOverload):
                    found.add(".".join(match.groups()))
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                visit(item)

    visit(program)
    return sorted(found)


def fixed_rows(program: dict[str, Any]) -> int | None:
    """Return the number of rows that a checked program was made for; None if it takes several, or has no one number."""
    rows = {size.get("as_int") for size in _row_sizes(program)}
    return rows.pop() if len(rows) == 1 else None


def row_bounds(program: dict[str, Any]) -> tuple[int, int | None]:
    """Return the least and the most rows that a checked program takes at once; 0 and None where it takes any."""
    ranges = program.get("range_constraints") or {}
    texts = [size["as_expr"]["expr_str"] for size in _row_sizes(program) if "as_expr" in size]
    symbols = [found[1] for text in texts if (found := _SYMBOL.match(text))]
    bounds = [ranges[name] for name in symbols if name in ranges]
    least = max((bound["min_val"] or 0 for bound in bounds), default=0)
    most = [bound["max_val"] for bound in bounds if bound["max_val"] is not None]
    return (0 if least <= _SPECIAL else least), min(most, default=None)


def _row_sizes(program: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the first size of each input, as the program writes it."""
    graph = program["graph_module"]
    specs = [spec.get("user_input") for spec in graph["signature"]["input_specs"]]
    names = [spec["arg"]["as_tensor"]["name"] for spec in specs if spec and "as_tensor" in spec["arg"]]
    sizes = [graph["graph"]["tensor_values"][name]["sizes"] for name in names]
    return [size[0] for size in sizes if size]

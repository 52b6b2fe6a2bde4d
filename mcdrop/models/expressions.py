"""Expressions in an exported program, of sizes and of guards: arithmetic of symbols and numbers, or refused.

What makes something of such texts evaluates them as Python, so a text is parsed here first, and every part of it must
be one of a few. Powers and shifts have small constants behind them, and none of their own kind before them: else a
short text is a number that no memory holds. A guard is a condition on the inputs under which the program holds, such
as "L['x'].size()[0] % 2 == 0"; passes check it.
"""

import ast
import math
import re
from collections.abc import Callable

from mcdrop.models.refusal import Refused

__all__ = ["check_expression", "checked_guard"]

_SYMBOL = re.compile(r"[a-z]+\d+|true|false|oo|int_oo", re.ASCII)
_NUMBER = re.compile(r"-?[\d.]+(e[+-]?\d{1,3})?", re.ASCII)
_KEY = re.compile(r"[\w .:/+-]*", re.ASCII)
_LONGEST = 10_000
_PARTS = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Load,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
    ast.Mod,
    ast.BitAnd,
    ast.BitOr,
    ast.unaryop,
    ast.cmpop,
)
_OF_TEXT = ("Symbol", "Float", "Integer")
_GROWING = ("FloatPow", "LShift", "Pow", "PowByNatural", "RShift", "RoundDecimal")
_MOST = 64  # bits of a shift, or times that something is multiplied by itself
_PRECISION = 1000  # bits
_FUNCTIONS = frozenset(
    "Abs Add And CeilDiv CeilToInt CleanDiv Equality Eq FloatPow FloatTrueDiv FloorDiv FloorToInt Ge GreaterThan Gt "
    "Identity IntTrueDiv IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt Max Min Mod ModularIndexing Mul Ne "
    "Not Or Pow PowByNatural PythonMod RShift Rational RoundDecimal RoundToInt StrictGreaterThan StrictLessThan "
    "ToFloat TruncToFloat TruncToInt Unequality Where".split()
) | set(_OF_TEXT)


def check_expression(text: str) -> None:
    """Refuse a text that is more than arithmetic.

    Args:
        text: Such as "Mul(Integer(2), Symbol('s0', integer=True))" or "2*s0".

    Raises:
        Refused: If it holds attributes, subscripts, other functions, or texts other than names and numbers.
    """
    if not _parsed(text, _is_arithmetic):
        raise Refused(f"it holds the size {text[:60]!r}, which is no arithmetic of symbols and numbers")


def checked_guard(text: str) -> str:
    """Return a condition on the sizes of inputs, written anew.

    Args:
        text: Such as "L['x'].size()[0] == L['y'].size()[0]".

    Raises:
        Refused: If it holds more than comparisons and arithmetic of sizes.
    """
    tree = _parsed(text, _is_guard)
    if tree is None:
        raise Refused(f"it holds the condition {text[:60]!r}, which is no comparison of sizes")
    return ast.unparse(tree)


def _parsed(text: str, is_known: Callable[[ast.AST], bool]) -> ast.Expression | None:
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= _LONGEST else None
        return tree if tree is not None and is_known(tree) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            return False
        if any(word.arg is None or not _is_number(word.value, most=_PRECISION) for word in node.keywords):
            return False
        if node.func.id in _GROWING and not _is_bounded(node):
            return False
        words = node.func.id in _OF_TEXT
        return all((words and _is_word(part)) or _is_arithmetic(part) for part in node.args)
    if isinstance(node, ast.Name):
        return _SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant):
        return _is_number(node)
    return isinstance(node, _PARTS) and all(_is_arithmetic(part) for part in ast.iter_child_nodes(node))


def _is_bounded(call: ast.Call) -> bool:
    """Tell powers and shifts by small constants, of what holds neither itself."""
    if len(call.args) != 2 or not _is_small(call.args[1]):
        return False
    return not any(isinstance(part, ast.Name) and part.id in _GROWING for part in ast.walk(call.args[0]))


def _is_small(node: ast.AST) -> bool:
    """Tell a small constant, such as 2, -2, Integer(2), Rational(1, 2) or Float('0.5', precision=53)."""
    if isinstance(node, ast.UnaryOp):
        return _is_small(node.operand)
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in ("Float", "Integer", "Rational")
        return known and all(_is_small(part) for part in node.args)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _NUMBER.fullmatch(node.value) is not None and abs(float(node.value)) <= _MOST
    return _is_number(node, most=_MOST)


def _is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):  # one number of a size
        call = node.value
        return isinstance(call, ast.Call) and _is_size(call) and _is_number(node.slice)
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in ("max", "min", "abs")
        return known and not node.keywords and all(_is_guard(part) for part in node.args)
    if isinstance(node, ast.Constant):
        return _is_number(node)
    known_parts = (*_PARTS, ast.BoolOp, ast.boolop)
    return isinstance(node, known_parts) and all(_is_guard(part) for part in ast.iter_child_nodes(node))


def _is_size(call: ast.Call) -> bool:
    """Tell what reads as `L['x'].size()` or `L['x'][0].stride()`."""
    if call.args or call.keywords or not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr not in ("size", "stride"):
        return False
    held = call.func.value
    while isinstance(held, ast.Subscript):
        key = held.slice.value if isinstance(held.slice, ast.Constant) else None
        if not isinstance(key, int) and not (isinstance(key, str) and _KEY.fullmatch(key)):
            return False
        held = held.value
    return isinstance(held, ast.Name) and held.id == "L"


def _is_number(node: ast.AST, *, most: float = math.inf) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and abs(node.value) <= most


def _is_word(node: ast.AST) -> bool:
    """Tell the name of a symbol, or a number that is written as a text."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return any(pattern.fullmatch(node.value) for pattern in (_SYMBOL, _NUMBER))

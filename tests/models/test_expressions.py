"""Texts of sizes and guards: arithmetic is let through, and nothing that runs code or never ends."""

import pytest

from mcdrop.models.expressions import check_expression, checked_guard
from mcdrop.models.refusal import Refused

SIZE = "L['x'].size()[0]"


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "2*s0 + 1",
        "-s77 // 2",
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s0', integer=True))",
        "Add(Mod(Pow(Symbol('s77', positive=True, integer=True), Integer(3)), Integer(7)), Integer(1))",
        "FloatPow(ToFloat(Symbol('s77', positive=True, integer=True)), Float('0.5', precision=53))",
        "Mul(Pow(Symbol('s0'), Integer(2)), Pow(Symbol('s1'), Rational(-1, 2)))",
        "Pow(Integer(2), Integer(-1))",
        "Mul(Float('1e-300', precision=53), LShift(s0, 3))",
        "Max(Integer(1), FloorDiv(Symbol('s77'), Integer(2)))",
    ],
)
def test_sizes(text):
    check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{SIZE} % 2 == 0",
        f"({SIZE} * {SIZE}) % 4 == 0 and {SIZE} <= 64",
        "L['x'].size()[0] == L['y'][0]['mask'].stride()[1]",
        f"max({SIZE}, 3) > -1",
    ],
)
def test_guards(text):
    assert eval(checked_guard(text), {"L": Inputs()}) is not None


class Inputs:
    """Anything that a guard may ask of the inputs is 4."""

    def __getitem__(self, key):
        return self

    def size(self):
        return (4, 4)

    stride = size


ENDLESS = [
    "9**9**9**9",
    "9**9",
    "1 << 10000000000",
    "2 << s0",
    "1 >> s0",
    "Pow(Integer(10), Integer(10000000000))",
    "Pow(Integer(10), Float('1e99', precision=53))",
    "Pow(Pow(Integer(10), Integer(64)), Integer(64))",
    "Pow(Mul(Integer(3), PowByNatural(Integer(10), Integer(64))), Integer(64))",
    "Pow(Integer(2), Add(Integer(64), Integer(64)))",
    "Pow(Integer(2), s0)",
    "Pow(Integer(2), Integer(3), Integer(4))",
    "FloatPow(Integer(10), Integer(65))",
    "PowByNatural(Integer(10), Rational(9999, 2))",
    "LShift(Integer(1), Integer(10000000000))",
    "RShift(Integer(1), Symbol('s0'))",
    "RoundDecimal(Integer(5), Integer(-10000000000))",
    "Float('1e10000000000', precision=53)",
    "Float('0.1', precision=10000000000)",
]
CODE = [
    "__import__('os')",
    "().__class__",
    "Symbol",
    "Symbol('s0', integer=open('x'))",
    "Symbol('s0', **{'integer': True})",
    "Symbol('s0', integer=s0)",
    "Symbol('exit()')",
    "Mul('s0', 's0')",
    "s0[0]",
    "[s0 for s0 in s1]",
    "lambda: s0",
    "(s0 := 2)",
    "s0 if s0 else s1",
    "f'{s0}'",
    "b's0'",
    "s0 +",
    "1" * 10_001,
    "(" * 5_000 + ")" * 5_000,
]


@pytest.mark.parametrize("text", [*ENDLESS, *CODE], ids=lambda text: text[:40])
def test_what_is_no_size(text):
    with pytest.raises(Refused, match="no arithmetic of symbols and numbers"):
        check_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in ENDLESS if "(" not in text),
        f"{SIZE} ** 2 == 4",
        "__import__('os')",
        "exec('1')",
        "max(*[1])",
        "max(1, key=print)",
        "L['x'].size(1)[0] == 1",
        "L['x'].size(open('x'))[0] == 1",
        "L['x'].size(dim=exec('1'))[0] == 1",
        "L['x'].size().__class__",
        "L['x'].size()[exit()]",
        "L['x'].dim() == 1",
        "L['x'].delete()[0] == 1",
        "L['\\n'].size()[0] == 1",
        "L[exit()].size()[0] == 1",
        "M['x'].size()[0] == 1",
        "L.size()[0]()",
        "s0 == 1",
        "'a' * 10 == 1",
    ],
)
def test_what_is_no_guard(text):
    with pytest.raises(Refused, match="no comparison of sizes"):
        checked_guard(text)

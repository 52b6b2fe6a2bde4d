"""What readers copy runs: the examples with tiny settings, and the README's code."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("quickstart", {"steps": 20, "passes": 10}),
        ("co2", {"out": "bands.png", "steps": 10, "passes": 10}),
        ("digits", {"epochs": 1, "passes": 3}),
        ("compare", {"steps": 20, "passes": 10}),
    ],
)
def test_example_runs(name, options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"](**options)
    assert capsys.readouterr().out or (tmp_path / "bands.png").stat().st_size > 0


def test_readme_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "dropout" in capsys.readouterr().out

"""What readers copy runs: the examples with tiny settings, and the README's code."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTRAS = {"hugging_face": "transformers", "lightning_trainer": "lightning"}
LIGHTNING_SAYS = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),  # of torch, in Lightning's own code
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("quickstart", {"steps": 20, "passes": 10}),
        ("co2", {"out": "bands.png", "steps": 10, "passes": 10}),
        ("digits", {"epochs": 1, "passes": 3}),
        ("compare", {"steps": 20, "passes": 10}),
        ("two_uncertainties", {"out": "bands.png", "steps": 20, "passes": 10}),
        ("regularization", {"out": "curves.png", "epochs": 2, "digits": 100}),
        ("hugging_face", {"passes": 4}),
        ("scikit_learn", {"out": "bands.png", "steps": 20, "passes": 10}),
        pytest.param("lightning_trainer", {"epochs": 1, "passes": 4}, marks=LIGHTNING_SAYS),
    ],
)
def test_example_runs(name, options, tmp_path, monkeypatch, capsys):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"{EXTRAS[name]} comes with the test extra")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"](**options)
    assert capsys.readouterr().out or "out" in options
    assert "out" not in options or (tmp_path / options["out"]).stat().st_size > 0


@pytest.mark.parametrize("page", ["README.md", "docs/regularization.md"])
def test_code_in_pages_runs_and_prints_what_it_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pattern = r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    blocks = re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert any(shown for _, shown in blocks)
    for code, shown in blocks:
        exec(compile(code, page, "exec"), {})
        printed = capsys.readouterr().out
        assert printed == shown or not shown

"""What readers copy runs: the examples with tiny settings, and the README's code."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import mcdrop

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


@pytest.mark.parametrize("page", ["README.md", "docs/predict.md", "docs/regularization.md"])
def test_code_in_pages_runs_and_prints_what_it_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pattern = r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    blocks = re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for code, shown in blocks:
        exec(compile(code, page, "exec"), {})
        printed = capsys.readouterr().out
        assert printed == shown or not shown


def test_the_commands_of_the_readme_run_on_what_its_code_saves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, _, after = text.partition("<!-- command line -->\n```sh\n")
    code = before.rpartition("```python\n")[2].partition("```")[0]
    commands = after.partition("```")[0]
    assert 3 <= len(commands.splitlines()) <= 10 and len(code.splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(shell, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Written to predictions.h5" in done.stdout and "complete already" in done.stdout and "RMSE" in done.stdout
    assert {"predictions.csv", "predictions_measures.png"} <= {path.name for path in tmp_path.iterdir()}
    assert len(mcdrop.load("predictions.h5")) == 1000

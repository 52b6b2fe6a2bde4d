"""The pages under docs: their pictures are there, and their numbers are those that were kept of a run."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_pages", DOCS / "make_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "README.md"], ids=lambda page: page.stem)
def test_pictures_and_pages_that_are_linked_exist(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_picture_is_shown_somewhere():
    shown = "".join(page.read_text(encoding="utf-8") for page in [*PAGES, DOCS.parent / "README.md"])
    assert [picture.name for picture in DOCS.glob("*.png") if picture.name not in shown] == []


@pytest.mark.parametrize("demo", ["co2", "digits", "regularization"])
def test_what_was_measured_is_what_the_pages_say(script, demo):
    page = (DOCS / f"{demo}.md").read_text(encoding="utf-8")
    run = script.read()[demo]
    assert script.fill(page, run) == page
    table = run["tables"][0]
    assert all(cell.strip() in page for row in table["rows"] for cell in row)
    assert run["settings"]["preset"] == "default"


def test_a_run_is_kept_and_its_page_filled(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "HERE", tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    for name in script.FIGURES["co2"]:
        (run / f"{name}.png").write_bytes(name.encode())
    table = {"title": "Errors", "columns": ["net", "errors"], "rows": [["MLP", "3 "]]}
    check = {"name": "ratio", "value": 2.0, "bound": 3.0, "at_least": True, "met": False}
    settings = {"preset": "default", "seed": 4, "device": "cpu", "versions": {"torch": "2"}}
    summary = {"settings": settings, "tables": [table], "verdict": ["A wins."], "checks": [check], "results": {}}
    (run / "summary.json").write_text(json.dumps(summary))
    script.keep("co2", run)
    assert (tmp_path / "co2_panels.png").read_bytes() == b"panels"
    page = script.fill("before\n<!-- measured -->\nold\n<!-- end -->\nafter\n", script.read()["co2"])
    assert page.startswith("before\n") and page.endswith("<!-- end -->\nafter\n") and "old" not in page
    assert "| MLP | 3 |" in page and "- A wins." in page and "seed 4" in page
    assert "- ratio: 2 (expected at least 3): **missed**." in page
    assert script.fill(page, script.read()["co2"]) == page

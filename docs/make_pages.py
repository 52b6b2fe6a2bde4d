"""Run the demos and put their figures and numbers into the pages here.

    python docs/make_pages.py [co2] [digits] [regularization] [--runs FOLDER] [--reuse]

A page's text is written by hand; what stands between its lines `<!-- measured -->` and `<!-- end -->` is written by
this script from `measured.json`, which it keeps beside the pages, so that each number in them can be followed to a run.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURES = {
    "co2": ("panels", "ppm", "coverage", "crps"),
    "digits": ("strip", "softmax_lenet", "uncertainty", "shift", "auroc", "reliability", "refusal", "right_wrong"),
    "regularization": ("errors", "averaging", "rates", "variance", "decay", "connect"),
}
NAMED = {"digits_uncertainty": "uncertainty_lenet"}
"""Figures that have another name in the demo's folder."""

START, END = "<!-- measured -->\n", "<!-- end -->\n"


def main() -> None:
    """Run what was asked for, and write figures, numbers and pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demos", nargs="*", metavar="DEMO", help=f"of {', '.join(FIGURES)}; default: all")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs", help="folder of the demos' folders")
    parser.add_argument("--reuse", action="store_true", help="take the runs that are there instead of running again")
    args = parser.parse_args()
    if unknown := set(args.demos) - set(FIGURES):
        parser.error(f"DEMO must be of {', '.join(FIGURES)}, got {', '.join(sorted(unknown))}")
    for demo in args.demos or FIGURES:
        folder = args.runs / demo
        if not args.reuse:
            runner(demo)(folder, progress=True)
        keep(demo, folder)
    for demo, run in read().items():
        page = HERE / f"{demo}.md"
        page.write_text(fill(page.read_text(encoding="utf-8"), run), encoding="utf-8")
        print(f"wrote {page}")


def runner(demo: str) -> Callable[..., Any]:
    """Return the function that runs a demo."""
    import matplotlib as mpl

    from mcdrop import demos

    mpl.use("agg")
    run: Callable[..., Any] = getattr(demos, f"run_{demo}")
    return run


def keep(demo: str, folder: Path) -> None:
    """Copy a run's figures, and what its page says of it."""
    for name in FIGURES[demo]:
        own = f"{demo}_{name}"
        shutil.copyfile(folder / f"{NAMED.get(own, name)}.png", HERE / f"{own}.png")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    kept = {key: summary[key] for key in ("settings", "tables", "verdict", "checks")}
    text = json.dumps(read() | {demo: kept}, indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / "measured.json").write_text(text + "\n", encoding="utf-8")


def read() -> dict[str, Any]:
    """Return what is kept of the runs."""
    place = HERE / "measured.json"
    return dict(json.loads(place.read_text(encoding="utf-8"))) if place.exists() else {}


def fill(page: str, run: dict[str, Any]) -> str:
    """Return a page with what was measured in its place."""
    before, rest = page.split(START)
    return before + START + "\n" + "\n".join(measured(run)) + "\n\n" + END + rest.split(END)[1]


def measured(run: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of what a run says."""
    settings = run["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in settings["versions"].items())
    yield f"Preset {settings['preset']}, seed {settings['seed']}, {settings['device']}, {versions}."
    for table in run["tables"]:
        yield f"\n**{table['title']}**\n"
        yield from ("| " + " | ".join(row) + " |" for row in (table["columns"], ["---"] * len(table["columns"])))
        yield from ("| " + " | ".join(cell.strip() for cell in row) + " |" for row in table["rows"])
    yield "\n" + "\n".join(f"- {sentence}" for sentence in run["verdict"])
    for check in run["checks"]:
        relation, mark = "at least" if check["at_least"] else "at most", "met" if check["met"] else "**missed**"
        yield f"- {check['name']}: {check['value']:.3g} (expected {relation} {check['bound']:.3g}): {mark}."


if __name__ == "__main__":
    main()

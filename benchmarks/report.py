"""Write `docs/benchmarks.md` and `docs/benchmarks.png` from the results of a run.

    python -m pytest benchmarks/test_speed.py && python benchmarks/report.py

A whole run leaves `benchmarks/results.json`, which is kept with the code: whoever reads the table can see what it was
made from, and the plot can be drawn again without a quarter of an hour of measuring.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

ROOT = Path(__file__).parents[1]
TRAIN, REPLICATED, EVAL = "train() loop", "replicated batch", "one eval forward"
OURS = ("auto", "vectorized", "thinned")
BOUNDED = (TRAIN, REPLICATED, *OURS)
STYLE = {  # Okabe and Ito's colors, and a marker each for gray prints
    "auto": ("#0072B2", "o"),
    "vectorized": ("#56B4E9", "s"),
    "thinned": ("#E69F00", "^"),
    TRAIN: ("#000000", "X"),
    REPLICATED: ("#CC79A7", "D"),
}
LINES = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."))
AXES = {"passes": "passes T", "rows": "rows N", "rate": "dropout rate p"}


def main() -> None:
    """Read the results, write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path(__file__).with_name("results.json"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder to write to")
    args = parser.parse_args()
    if not args.results.exists():
        parser.error(f"{args.results} does not exist; run python -m pytest benchmarks/test_speed.py first")
    run = json.loads(args.results.read_text(encoding="utf-8"))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "benchmarks.md").write_text("\n".join(page(run)) + "\n", encoding="utf-8")
    draw(run).savefig(args.out / "benchmarks.png", dpi=120)
    print(*suite_table(run), sep="\n")
    print(f"wrote {args.out / 'benchmarks.md'} and {args.out / 'benchmarks.png'}")


def page(run: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    machine = run["machine"]
    rate = machine["multiply_adds_per_second"] / 1e9
    yield "# Benchmarks\n"
    if run["quick"]:
        yield "**A quick run: few passes and turns. It shows that everything runs, and nothing else.**\n"
    yield "```sh"
    yield 'pip install -c constraints.txt -e ".[bench]"'
    yield "python -m pytest benchmarks/test_speed.py && python benchmarks/report.py  # a quarter of an hour"
    yield "```\n"
    yield (
        f"One run on {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch "
        f"{machine['torch']}, Python {machine['python']}, float32: milliseconds a pass. Contestants take turns, "
        "ratios are taken turn by turn, and medians are shown; the quartiles are in `benchmarks/results.json`. All "
        "contestants of a case run the same number of passes, compute mean and standard deviation, and are checked to "
        "find the same ones.\n"
    )
    yield "- **`train()` loop**: `net.train()`, T calls, `torch.stack`."
    yield "- **replicated batch**: the rows repeated k times and run at once in train mode, as public packages do, with"
    yield "  the fastest of several k."
    yield "- **auto**: `MCDropout(net).predict(x)` as it comes, start-up included. **vectorized** and **thinned** are"
    yield "  asked for by name; a dash where they refuse the net."
    yield "- **all T in eval forwards**: all passes of auto together, over one forward without dropout."
    yield "- **of bound**: the products that thinned networks need on average, at the rate at which this machine"
    yield f"  multiplies matrices of 2,048 x 2,048 ({rate:.0f} G multiply-adds a second), over the time auto takes."
    yield "- **start-up**: the twin, the survey, tracing, and the first mask.\n"
    yield from suite_table(run)
    yield "\n![Ratios to the fastest baseline, shares of the bound, and sweeps over T, N and p](benchmarks.png)\n"
    if any(case["sweep"] for case in run["cases"]):
        yield "## Sweeps\n"
        yield from sweep_table(run)
    refused = {(case["name"], name): why for case in run["cases"] for name, why in case["refused"].items()}
    if refused:
        yield "\n## Refused\n"
        yield from (f"- {case}: {why}" for (case, _), why in refused.items())


def suite_table(run: dict[str, Any]) -> Iterator[str]:
    """Yield the table of the suite, in milliseconds a pass."""
    names = ("`train()` loop", REPLICATED, *OURS)
    heads = ["case", "T", *names, EVAL, "auto to `train()` loop", "auto to fastest baseline", "best by name to it"]
    yield from _head([*heads, "all T in eval forwards", "of bound", "start-up", "turns"])
    for case in suite(run):
        found = case["contestants"]
        cells = [case["name"], _count(case["passes"])]
        cells += [_ms(median(case, name)) for name in (*BOUNDED, EVAL)]
        cells.append(_times(median(case, "auto", "times_train_loop")))
        cells.append(_times(median(case, "auto", "times_fastest_baseline")))
        named = [name for name in OURS[1:] if name in found]
        best = max(named, key=lambda name: median(case, name, "times_fastest_baseline") or 0.0, default=None)
        cells.append("-" if best is None else f"{_times(median(case, best, 'times_fastest_baseline'))} ({best})")
        whole = median(case, "auto", "all_passes_in_eval_forwards")
        cells.append("-" if whole is None else f"{whole:.3g}")
        share, start = of_bound(run, case, "auto"), case["startup_ms"]["median"]
        cells += ["-" if share is None else f"{share:.0%}", f"{start:.0f} ms", str(case["turns"])]
        yield _row(cells)


def sweep_table(run: dict[str, Any]) -> Iterator[str]:
    """Yield the table of the sweeps, in milliseconds a pass."""
    heads = ["net", "point", "T", "`train()` loop", REPLICATED, "auto", "auto to `train()` loop"]
    yield from _head([*heads, "auto to fastest baseline", "of bound", "turns"])
    letter = {"passes": "T", "rows": "N", "rate": "p"}
    for case in run["cases"]:
        if case["sweep"]:
            cells = [case["series"], f"{letter[case['sweep']]} = {case['at']:,g}", _count(case["passes"])]
            cells += [_ms(median(case, name)) for name in (TRAIN, REPLICATED, "auto")]
            cells += [_times(median(case, "auto", of)) for of in ("times_train_loop", "times_fastest_baseline")]
            share = of_bound(run, case, "auto")
            yield _row([*cells, "-" if share is None else f"{share:.0%}", str(case["turns"])])


def draw(run: dict[str, Any]) -> Figure:
    """Draw the suite as bars, its shares of the bound as points, and the sweeps as lines."""
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(1.45, 1))).flat
    left, right = top.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    draw_ratios(left, suite(run))
    draw_shares(right, run)
    sweeps = [sweep for sweep in AXES if any(case["sweep"] == sweep for case in run["cases"])]
    for ax, sweep in zip(bottom.subplots(1, max(1, len(sweeps)), squeeze=False)[0], sweeps, strict=False):
        draw_sweep(ax, [case for case in run["cases"] if case["sweep"] == sweep], sweep)
        if sweep == sweeps[0]:
            ax.set_ylabel("auto: times faster than\nthe fastest baseline")
    return figure


def draw_ratios(ax: Axes, cases: list[dict[str, Any]]) -> None:
    """Draw how many times faster than the fastest baseline each way of running is."""
    height = 0.8 / len(OURS)
    for k, name in enumerate(OURS):
        color, _ = STYLE[name]
        for place, case in enumerate(cases):
            ratio = case["contestants"].get(name, {}).get("times_fastest_baseline")
            y = place + (k - (len(OURS) - 1) / 2) * height
            if ratio is None:
                ax.text(1.02, y, " refused", va="center", fontsize=7, color="0.4")
                continue
            ax.barh(y, ratio["median"] - 1, height, left=1, color=color, label=name if place == 0 else None)
            ax.plot([ratio["low"], ratio["high"]], [y, y], color="0.25", linewidth=1)
            ax.text(max(ratio["high"], 1) * 1.04, y, f"{_two_digits(ratio['median'])}x", va="center", fontsize=8)
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xscale="log", xlabel="times faster than the fastest baseline (1: as fast), with quartiles")
    ax.set_yticks(range(len(cases)), [case["name"] for case in cases])
    ax.invert_yaxis()
    low, high = ax.get_xlim()
    ax.set_xlim(low, high * 1.5)  # room for the numbers
    _ticks_at_1_2_5(ax, lambda value, _: f"{value:g}")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(OURS), frameon=False, fontsize=9)


def draw_shares(ax: Axes, run: dict[str, Any]) -> None:
    """Draw what share of its time each contestant would need at this machine's rate of matrix products."""
    for name in BOUNDED:
        color, marker = STYLE[name]
        points = [(of_bound(run, case, name), place) for place, case in enumerate(suite(run))]
        shown = [(share, place) for share, place in points if share is not None]
        if shown:
            ax.plot(*zip(*shown, strict=True), marker, color=color, label=name, alpha=0.9, markersize=7)
    ax.grid(axis="y", color="0.9")
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xscale="log", xlabel="share of the bound by matrix products of thinned networks")
    _ticks_at_1_2_5(ax, lambda value, _: f"{100 * value:g}%")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9)


def _ticks_at_1_2_5(ax: Axes, write: Callable[[float, int], str]) -> None:
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(write))
    ax.xaxis.set_minor_locator(NullLocator())


def draw_sweep(ax: Axes, cases: list[dict[str, Any]], sweep: str) -> None:
    """Draw auto's ratio to the fastest baseline along a sweep."""
    by_series = {case["series"]: [other for other in cases if other["series"] == case["series"]] for case in cases}
    for (color, marker, dashes), (name, points) in zip(LINES, by_series.items(), strict=False):
        points = sorted(points, key=lambda case: case["at"])
        ratios = [case["contestants"]["auto"]["times_fastest_baseline"] for case in points]
        at = [case["at"] for case in points]
        ax.plot(at, [r["median"] for r in ratios], marker=marker, color=color, linestyle=dashes, label=name)
        ax.fill_between(
            at, [r["low"] for r in ratios], [r["high"] for r in ratios], color=color, alpha=0.15, linewidth=0
        )
    ax.axhline(1, color="black", linewidth=1)
    ax.set(xlabel=AXES[sweep], ylim=(0, None))
    if sweep != "rate":
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.grid(axis="y", color="0.9")
    ax.legend(frameon=False, fontsize=9)


def suite(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cases of no sweep."""
    return [case for case in run["cases"] if not case["sweep"]]


def median(case: dict[str, Any], name: str, what: str = "ms_per_pass") -> float | None:
    """Return a median of a contestant, None where it did not run."""
    found = case["contestants"].get(name, {}).get(what)
    return None if found is None else float(found["median"])


def of_bound(run: dict[str, Any], case: dict[str, Any], name: str) -> float | None:
    """Return the time that the products of a pass take at the machine's best rate, over the time that it took."""
    took = median(case, name)
    bound = 1e3 * case["multiply_adds_per_pass"] / run["machine"]["multiply_adds_per_second"]
    return None if took is None else bound / took


def _head(cells: list[str]) -> Iterator[str]:
    yield _row(cells)
    yield _row(["---"] * len(cells))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _count(value: float) -> str:
    return f"{value:,g}"


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}x" if value >= 10 else f"{value:.2f}x"


if __name__ == "__main__":
    main()

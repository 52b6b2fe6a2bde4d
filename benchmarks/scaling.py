"""What Ray gains and costs: points per second of one process, and of one and two workers, start-up apart.

python benchmarks/scaling.py [--rows N] [--passes T] [--turns R] [--json FILE]

A LeNet with dropout predicts images. Everyone predicts the same blocks of rows and takes a turn in a new order each
time; a ratio is that of two contestants of one turn, and the table shows medians. Each worker has one thread. "Until
all work" is what it takes from the call until as many blocks are there as there are workers: on Ray processes start,
import torch, and survey the net. Points per second are those of the blocks after that. What a cluster takes to start is
timed once.
"""

import argparse
import json
import logging
import os
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcdrop import MCDropout
from mcdrop.distributed import stream
from mcdrop.networks import lenet

IMAGES = 10_000_000  # of the run that is extrapolated to
BASE = "one process, 1 thread"


@dataclass(frozen=True, slots=True)
class Timing:
    """One turn of one contestant.

    Attributes:
        first: Seconds from the call until everybody works.
        rate: Points per second from then on.
        total: Seconds from the call to the end.
    """

    first: float
    rate: float
    total: float


def timed(blocks: Iterator[Any], workers: int) -> Timing:
    """Time blocks as they come.

    Args:
        blocks: Predictions; the work begins with the first one that is asked for.
        workers: How many predict at once; as many blocks belong to the start.
    """
    begun, ends, points = time.perf_counter(), [], []
    for block in blocks:
        ends.append(time.perf_counter() - begun)
        points.append(len(block))
    rate = sum(points[workers:]) / (ends[-1] - ends[workers - 1])
    return Timing(ends[workers - 1], rate, ends[-1])


def in_one_process(model: MCDropout[Any], x: np.ndarray, passes: int, rows: int, threads: int) -> Timing:
    """Predict block by block here."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    def blocks() -> Iterator[Any]:
        prepared = model.prepare(x[:1024], passes=passes)
        for start in range(0, len(x), rows):
            yield prepared.predict(x[start : start + rows], start=start)

    try:
        return timed(blocks(), 1)
    finally:
        torch.set_num_threads(before)


def on_ray(model: MCDropout[Any], dataset: Any, passes: int, rows: int, workers: int, split: Any) -> Timing:
    """Predict on the Ray that is there."""
    found = stream(model, dataset, workers=workers, split=split, passes=passes, batch_size=rows)
    return timed(found, workers if split == "points" else 1)  # blocks whose passes are shared come one by one


def start_ray() -> tuple[Any, float]:
    """Start Ray and return it with the seconds that took."""
    import ray
    import ray.data

    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    return ray, time.perf_counter() - begun


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="images")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--block", type=int, default=100, help="images at once")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="where the results go")
    return parser.parse_args()


def main() -> None:
    """Measure, print a table, and write what was found."""
    args = arguments()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = np.random.default_rng(0).normal(size=(args.rows, 1, 28, 28)).astype(np.float32)
    model = MCDropout(lenet(), task="classification")
    load = os.getloadavg()[0]
    ray, start = start_ray()
    dataset = ray.data.from_numpy(x)
    shared = (args.passes, args.block)
    contestants: dict[str, Callable[[], Timing]] = {
        BASE: lambda: in_one_process(model, x, *shared, 1),
        "one process, 2 threads": lambda: in_one_process(model, x, *shared, 2),
        "Ray, 1 worker": lambda: on_ray(model, dataset, *shared, 1, "points"),
        "Ray, 2 workers, points": lambda: on_ray(model, dataset, *shared, 2, "points"),
        "Ray, 2 workers, passes": lambda: on_ray(model, dataset, *shared, 2, "passes"),
    }
    found: dict[str, list[Timing]] = {name: [] for name in contestants}
    for turn in range(args.turns):
        names = list(contestants)
        random.Random(turn).shuffle(names)
        for name in names:
            found[name].append(contestants[name]())
    ray.shutdown()
    report = summary(found) | {
        "settings": {name: value for name, value in vars(args).items() if name != "json"} | {"net": "lenet()"},
        "ray_starts_in": start,
        "machine": machine() | {"load_before": load, "load_after": os.getloadavg()[0]},
    }
    print(table(report))
    if args.json is not None:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def summary(found: dict[str, list[Timing]]) -> dict[str, Any]:
    """Return medians, and those of the ratios to one process with one thread."""
    rows = {}
    for name, timings in found.items():
        ratios = [mine.rate / base.rate for mine, base in zip(timings, found[BASE], strict=True)]
        rows[name] = {
            "first": statistics.median(each.first for each in timings),
            "rate": statistics.median(each.rate for each in timings),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "turns": [asdict(each) for each in timings],
        }
    return {"contestants": rows}


def machine() -> dict[str, Any]:
    """Return what it ran on."""
    import ray

    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ray": ray.__version__,
    }


def table(report: dict[str, Any]) -> str:
    """Return the results as a table in Markdown, with what follows for a large run."""
    kept, about = report["settings"], report["machine"]
    sizes = f"{kept['rows']:,} images, {kept['passes']} passes, blocks of {kept['block']}"
    lines = [
        f"{sizes}, medians of {kept['turns']} turns; "
        f"{about['cores']} cores, load {about['load_before']:.1f} before, torch {about['torch']}, Ray {about['ray']}.",
        f"A local Ray starts in {report['ray_starts_in']:.1f} s.",
        "",
        "| | until all work | points per second | times one thread (range) |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in report["contestants"].items():
        low, high = row["ratio_range"]
        lines.append(
            f"| {name} | {row['first']:.1f} s | {row['rate']:,.0f} | {row['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
        )
    one, two = (report["contestants"][name] for name in (BASE, "Ray, 2 workers, points"))
    hours = [IMAGES / row["rate"] / 3600 for row in (one, two)]
    lines += [
        "",
        f"Extrapolated, not measured: {IMAGES:,} such images take {hours[0]:.1f} h in one process with one thread, and "
        f"{hours[1]:.1f} h with these two workers.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""The tutorial's first half: dropout as regularization.

Trains the tutorial's five nets with several seeds and draws their errors on held-out digits after every epoch; says
which orderings the data supports; compares the average of T passes with averaged weights on the trained nets; and works
through the exercises on a small perceptron. Every training writes a checkpoint, from which `resume` goes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcdrop.arguments import check_count
from mcdrop.demos.artifacts import Artifacts
from mcdrop.demos.recipe import Recipe
from mcdrop.demos.regularization.averaging import Averaging, average_passes
from mcdrop.demos.regularization.averaging_figures import draw_averaging
from mcdrop.demos.regularization.exercises import plan
from mcdrop.demos.regularization.figures import draw_connect, draw_decay, draw_errors, draw_rates, draw_variance
from mcdrop.demos.regularization.nets import NETS, TITLES, Net
from mcdrop.demos.regularization.presets import PRESETS, Preset
from mcdrop.demos.regularization.questions import answer
from mcdrop.demos.regularization.report import check_errors, number_results, tabulate_results, write_verdict
from mcdrop.demos.regularization.results import Results
from mcdrop.demos.regularization.runs import Job, Run, Source, load_net, train
from mcdrop.demos.report import Report
from mcdrop.demos.setup import Setup, set_up
from mcdrop.demos.workers import Tick, count_cores, run_all
from mcdrop.errors import OutputError
from mcdrop.files import check_folder
from mcdrop.rng import check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["run_regularization"]

AVERAGED = ("mlp_hidden", "mlp", "lenet")
"""The nets with dropout, whose passes are averaged."""


def run_regularization(
    out: str | Path = "runs/regularization",
    *,
    preset: str = "default",
    seed: int = 0,
    repeats: int | None = None,
    passes: int | None = None,
    exercises: bool = True,
    data: str | Path | None = None,
    resume: bool = False,
    jobs: int | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Report:
    """Run the demo and write its files.

    The same numbers come out for every number of processes, since each training runs on one thread.

    Args:
        out: Folder for figures, arrays, weights, checkpoints and the summary.
        preset: "default", "paper" or "tiny" (see `PRESETS`).
        seed: Of the first repeat; the others count up from it. It decides initial weights, batches and dropout noise.
        repeats: Number of seeds R; default: the preset's.
        passes: Greatest number of averaged passes T; default: the preset's.
        exercises: Whether the small perceptrons of the exercises are trained, too.
        data: Folder with the four MNIST files to read instead of the bundled digits.
        resume: Go on from the checkpoints in the folder; what is finished is not trained again. The result is that of
            a run without a break.
        jobs: How many processes train at once; default: one per core on a CPU, else one.
        device: Where to train and predict, for example "cuda".
        progress: Whether to show progress bars.

    Returns:
        The report; its numbers are in `summary.json` too.

    Raises:
        InputError: If the preset or the device is unknown, the folder has no name, a number is too small, or a
            checkpoint that is to be resumed comes from other settings.
        DataError: If the data files are unusable.
        OutputError: If the folder cannot be written to, or a checkpoint cannot be read.
        TrainingError: If training diverges or is interrupted.
    """
    setup = set_up(PRESETS, preset, seed=seed, passes=passes, device=device)
    count = setup.preset.repeats if repeats is None else repeats
    check_count("repeats", count, least=1, why="one seed at least")
    check_seed(setup.seed + count - 1)
    processes = (count_cores() if setup.device.type == "cpu" else 1) if jobs is None else jobs
    check_count("jobs", processes, least=1, why="one process at least")
    artifacts = Artifacts.at(out)
    source = Source(None if data is None else str(data), setup.preset.trained_on, setup.preset.tested_on)
    few = replace(source, trained_on=setup.preset.exercise_on)
    digits = source.load()
    sizes = {"trained_on": len(digits.train_labels), "tested_on": len(digits.test_labels)}
    sizes["exercise_on"] = len(few.load().train_labels) if exercises else 0
    artifacts.check()
    folder = artifacts.folder / "checkpoints"
    check_folder(folder, advice="choose a writable folder with --out")
    nets = [*_nets(setup.preset, source), *(_small_nets(setup.preset, few) if exercises else ())]
    training = [
        Job(name, net, recipe, used, seed + r, folder, resume, str(setup.device))
        for (name, net, recipe, used), r in product(nets, range(count))
    ]
    with _alone(folder):
        _clear(folder, () if resume else training)
        results = _compute(training, setup, sizes["exercise_on"], artifacts, processes=processes, progress=progress)
        return _write(results, setup.settings(data) | {"repeats": count} | sizes, artifacts)


def _compute(
    training: list[Job],
    setup: Setup[Preset],
    exercise_on: int,
    artifacts: Artifacts,
    *,
    processes: int,
    progress: bool,
) -> Results:
    """Train all nets, write the weights of the first seed's five, and average their passes."""
    runs = _train(training, processes, progress)
    first = {job.name: job for job in training if job.seed == setup.seed and job.name in NETS}
    averagings = _average(first, setup, processes, progress)
    for name, job in first.items():
        artifacts.weights(f"net_{name}", load_net(job), job.describe())
    return Results(runs, averagings, setup.preset.decays, exercise_on)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """See that no other run writes to the folder meanwhile; the lock ends with the process, however that ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{folder} must belong to one run at a time, got another one that is writing there; wait for it, or choose "
            "another folder with --out"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"cannot lock {folder}: {error}; choose another folder with --out") from error
    try:
        yield
    finally:
        lock.release()


def _clear(folder: Path, begun_anew: Sequence[Job]) -> None:
    """Remove what would be taken for this run's, were it resumed, and what killed runs left half-written."""
    for path in (*(job.checkpoint for job in begun_anew), *folder.glob(".partial-*")):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror}; choose another folder with --out") from error


def _nets(preset: Preset, source: Source) -> Iterator[tuple[str, Net, Recipe, Source]]:
    """Yield what the five nets are made from, those that take longest first."""
    for name in sorted(NETS, key=lambda name: not name.startswith("lenet")):
        yield name, NETS[name], preset.lenet if name.startswith("lenet") else preset.mlp, source


def _small_nets(preset: Preset, source: Source) -> Iterator[tuple[str, Net, Recipe, Source]]:
    """Yield what the nets of the exercises are made from."""
    for name, variant in plan(preset.exercise, preset.decays).items():
        yield name, variant.net, variant.recipe, source


def _train(training: list[Job], processes: int, progress: bool) -> dict[str, tuple[Run, ...]]:
    epochs = sum(job.recipe.epochs for job in training)
    begun = sum(job.resume and job.checkpoint.exists() for job in training)
    named = progress and f"Training {len(training)} nets{f', {begun} of them resumed' if begun else ''} (epochs)"
    done = run_all(train, training, processes=processes, folder=training[0].folder, total=epochs, progress=named)
    runs: dict[str, tuple[Run, ...]] = {}
    for job, run in zip(training, done, strict=True):
        runs[job.name] = (*runs.get(job.name, ()), run)
    return runs


@dataclass(frozen=True, slots=True)
class _Average:
    """What a process needs to average the passes of a trained net."""

    job: Job
    passes: int
    groups: int

    def run(self, tick: Tick) -> Averaging:
        """Return the averages."""
        digits = self.job.source.load()
        averaging = average_passes(
            load_net(self.job),
            digits.test_images,
            digits.test_labels,
            passes=self.passes,
            groups=self.groups,
            seed=self.job.seed,
        )
        tick()
        return averaging


def _average(first: Mapping[str, Job], setup: Setup[Preset], processes: int, progress: bool) -> dict[str, Averaging]:
    names = sorted(AVERAGED, key=lambda name: not name.startswith("lenet"))
    work = [_Average(first[name], setup.passes, setup.preset.groups) for name in names]
    named = progress and "Averaging passes (nets)"
    folder = work[0].job.folder
    done = run_all(_Average.run, work, processes=processes, folder=folder, total=len(work), progress=named)
    averagings = dict(zip(names, done, strict=True))
    return {name: averagings[name] for name in AVERAGED}


def _write(results: Results, settings: dict[str, Any], artifacts: Artifacts) -> Report:
    answers = answer(results)
    report = Report(
        demo="regularization",
        settings=settings,
        results=number_results(results, answers),
        checks=check_errors(results),
        tables=tabulate_results(results),
        verdict=write_verdict(results, answers),
    )
    artifacts.arrays("arrays", results.arrays(), units=_UNITS, attributes=report.attributes())
    artifacts.summary(report.as_dict())
    for name, draw in _FIGURES.items():
        if results.exercises or name in _ALWAYS:
            artifacts.figure(name, draw(results))
        else:
            artifacts.discard_figure(name)  # of an earlier run into the same folder
    return replace(report, files=tuple(artifacts.written))


def _draw_averages(results: Results) -> "Figure":
    return draw_averaging({TITLES[name]: averaging for name, averaging in results.averagings.items()})


_FIGURES: Mapping[str, Callable[[Results], "Figure"]] = {
    "errors": draw_errors,
    "averaging": _draw_averages,
    "rates": draw_rates,
    "variance": draw_variance,
    "decay": draw_decay,
    "connect": draw_connect,
}
_ALWAYS = ("errors", "averaging")
_UNITS = dict.fromkeys(("nll", "loss", "weight_averaging_nll"), "nat")

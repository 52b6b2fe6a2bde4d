"""`mcdrop compare`: saved predictions against the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from typer.core import TyperCommand

from mcdrop.arguments import check_choice
from mcdrop.cli.arrays import FILE_AND_NAME, read_array
from mcdrop.cli.labels import read_labels
from mcdrop.cli.places import ADVICE, Overwrite, check_free
from mcdrop.cli.predictions import (
    Predicted,
    as_truth,
    check_kinds,
    check_rows,
    common_rows,
    read_predicted,
    unique_names,
)
from mcdrop.errors import InputError

if TYPE_CHECKING:
    from mcdrop.comparison import Comparison

__all__ = ["ManyNames", "compare"]

Format = Literal["table", "csv", "json"]


class ManyNames(TyperCommand):
    """A command whose option `--names` takes all words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat `--names` before each of its words, which the parser knows."""
        return super().parse_args(ctx, _repeated(args, "--names"))


def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Predictions of the same inputs.")],
    truth: Annotated[
        str,
        typer.Option(
            metavar=FILE_AND_NAME,
            help="What is true, one value (or class number) per row of the inputs: y.npy, data.npz::y, "
            "data.h5::test/y, table.csv::price (or .parquet). The name may be left out where there is only one.",
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME...", help="One per file, after the files. Default: the names of the files."),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar=FILE_AND_NAME,
            help="Labels, equal for rows that are no news of one another: one month, one patient. They are resampled "
            "as one. Default: all rows are independent.",
        ),
    ] = None,
    noise_std: Annotated[
        float | None,
        typer.Option(help="Standard deviation of the observation noise, in units of y, where a file knows none."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="[table|csv|json]", help="Default: by the ending of --out, else a table."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there instead of on the screen.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Score predictions against the truth: one table, and which differences are more than noise.

    The files are what `pred.save` or `mcdrop predict` wrote: all regressions,
    or all classifications. Rows that one of them leaves out (--on-nan) are
    left out for all. Standard errors are from a bootstrap over the rows.

    mcdrop compare dropout.h5 gp.h5 --truth y.npy --names "MC dropout" GP
    """
    shape = _format(form, out)
    if out is not None:
        check_free(out, overwrite=overwrite)
    called = _check_names(names, files)
    known = called or unique_names(files)
    table, remarks = _compared(files, known, truth=truth, groups=groups, noise_std=noise_std)
    _write_comparison(table, dict(zip(known, files, strict=True)), remarks, shape=shape, out=out)


def _repeated(args: Sequence[str], option: str) -> list[str]:
    """Return arguments with an option repeated before each of the words that follow it.

    Example:
        >>> _repeated(["a.h5", "--names", "x", "y", "--quiet"], "--names")
        ['a.h5', '--names', 'x', '--names', 'y', '--quiet']
    """
    spread: list[str] = []
    taking = False
    for k, word in enumerate(args):
        if word == option:
            taking = True
            if k + 1 == len(args) or args[k + 1].startswith("-"):
                spread.append(word)  # without a word: for the parser to refuse
        elif word.startswith("-"):
            taking = False
            spread.append(word)
        else:
            spread += [option, word] if taking else [word]
    return spread


def _format(form: str | None, out: Path | None) -> Format:
    if form is None:
        ending = "" if out is None else out.suffix.lower()
        return "csv" if ending == ".csv" else "json" if ending == ".json" else "table"
    check_choice("--format", form, Format)
    return cast("Format", form)


def _check_names(names: Sequence[str] | None, files: Sequence[Path]) -> list[str] | None:
    """Return the names that are given, if there is a different one for each file."""
    if not names:
        return None
    if len(names) != len(files) or len(set(names)) < len(names):
        raise InputError(f"--names must be {len(files)} different names, one per file, got {', '.join(names)}")
    return list(names)


def _compared(
    files: Sequence[Path], names: Sequence[str], *, truth: str, groups: str | None, noise_std: float | None
) -> tuple["Comparison", list[str]]:
    """Return the comparison, and what is to be said of rows that were left out."""
    from mcdrop.comparison import compare as score

    y = read_array(truth, option="--truth")
    labels = None if groups is None else read_labels(groups, option="--groups")
    predicted = [read_predicted(path) for path in files]
    check_kinds(predicted)
    if noise_std is not None and predicted[0].kind == "classification":
        raise InputError("--noise-std is for regressions, got classifications; leave it out")
    check_rows(predicted, len(y), truth)
    if labels is not None:
        check_rows(predicted, len(labels), str(groups))
    y = as_truth(y, truth, labels=predicted[0].kind == "classification")
    rows = common_rows(predicted)
    chosen: Mapping[str, Any] = {name: each.at(rows) for name, each in zip(names, predicted, strict=True)}
    table = score(
        chosen,
        y[rows],
        noise_std=noise_std,
        groups=None if labels is None else labels[rows],
    )
    table.notes = [note.replace("pass noise_std.", "pass --noise-std.") for note in table.notes]
    return table, _left_out(predicted, names, len(rows), len(y))


def _left_out(predicted: Sequence["Predicted"], names: Sequence[str], compared: int, rows: int) -> list[str]:
    if compared == rows:
        return []
    lacking = {name: rows - len(each.rows) for name, each in zip(names, predicted, strict=True)}
    listed = ", ".join(f"{name} {count:,}" for name, count in lacking.items() if count)
    return [f"{rows - compared:,} of {rows:,} rows are left out, since not every file predicts them: {listed}."]


def _write_comparison(
    table: "Comparison", files: dict[str, Path], remarks: list[str], *, shape: Format, out: Path | None
) -> None:
    """Print the comparison, or write it."""
    from io import StringIO

    from rich.console import Console

    from mcdrop.cli.report import print_table, to_csv, to_json
    from mcdrop.files import write_whole

    if shape == "table" and out is None:
        print_table(Console(), table, remarks)
        return
    if shape == "table":
        page = StringIO()
        print_table(Console(file=page, width=160), table, remarks)
        text = page.getvalue()
    else:
        text = to_csv(table) if shape == "csv" else to_json(table, files, remarks)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_whole(out, lambda path: path.write_text(text, encoding="utf-8"), advice=ADVICE)
    typer.echo(f"Written to {out}")
    if shape == "csv":
        for remark in remarks:
            typer.echo(remark)

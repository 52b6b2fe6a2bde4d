"""Where predictions go: a journal while the run goes on, one file in the end."""

import filecmp
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from mcdrop import storage
from mcdrop.arguments import check_choice
from mcdrop.bulk.blocks import Groups, OnNan, with_gaps
from mcdrop.bulk.identity import refusal
from mcdrop.errors import DataError, DependencyError, InputError, OutputError
from mcdrop.files import check_place
from mcdrop.sources import Source
from mcdrop.storage import POINT, Block, Entry, Journal, Labels
from mcdrop.storage.places import as_path

__all__ = ["Format", "Output"]

Format = Literal["hdf5", "csv", "parquet"]
"""How predictions are written."""

_BY_ENDING: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
RUN, ON_NAN, GAPS = "run", "on_nan", "gaps"  # attributes: what made a file, what became of NaN, in how many rows
_REPLACE = "replace"  # beside the run in the journal: whether it was begun to replace an older file
_ADVICE = "choose a writable folder with enough space"


class Output:
    """The file of a run, and the journal beside it.

    Attributes:
        path: The file.
        format: How it is written.
    """

    def __init__(self, path: str | Path, format: Format | None, *, resume: bool, overwrite: bool) -> None:
        """See that a run may write there, before any work.

        Args:
            path: The file.
            format: How it is to be written; default: by its ending.
            resume: Whether the run is to go on with an earlier one.
            overwrite: Whether an earlier one may be given up.

        Raises:
            InputError: If the path or the format is none, or a run should both go on and begin anew.
            DependencyError: If a package that writes it is not installed.
            OutputError: If there is a file or an unfinished run, or none can be written.
        """
        self.path = as_path(path)
        self.format = _BY_ENDING.get(self.path.suffix.lower(), "hdf5") if format is None else format
        check_choice("format", self.format, Format)
        if self.format == "parquet" and find_spec("pyarrow") is None:
            raise DependencyError(
                "format='parquet' needs pyarrow, which is not installed; pip install \"mcdrop[parquet]\", or write CSV"
            )
        if resume and overwrite:
            raise InputError("resume goes on with a run and overwrite gives it up, got both; choose one")
        self._resume, self._overwrite = resume, overwrite
        check_place(self.path, advice=_ADVICE)
        if resume or overwrite:
            return
        if self._is_begun():
            raise OutputError(
                f"{self.path} must be free, got an unfinished run ({self.journal_path.name}); go on with it (resume, "
                "or --resume), or begin anew (overwrite, or --overwrite)"
            )
        if self.path.exists():
            raise OutputError(
                f"{self.path} must be free, got a file that is there already; choose another name, or replace it "
                "(overwrite, or --overwrite)"
            )

    @property
    def journal_path(self) -> Path:
        """Where the blocks lie until all are there."""
        return self.path.with_name(f"{self.path.name}.unfinished")

    def is_done(self, about: Mapping[str, Any], source: Source, *, on_nan: OnNan) -> bool:
        """Tell whether the run that should be resumed has come to its end.

        Args:
            about: What makes the run.
            source: The inputs.
            on_nan: What should have become of rows that hold NaN, if there are any.

        Raises:
            OutputError: If the file that is there is of another run, or is a table, or holds such rows otherwise.
        """
        if not self._resume or self._is_begun() or not self.path.exists():
            return False
        said = _attributes_of(self.path, self.format)
        anew = "choose another name, or replace it (overwrite, or --overwrite)"
        if not isinstance(said.get(RUN), Mapping):
            of_others = "a file of another program, or a damaged one"
            got = of_others if self.format == "hdf5" else "a table, which does not tell its run"
            raise OutputError(f"{self.path} must be an unfinished run to be resumed, got {got}; {anew}")
        if other := refusal(said[RUN], about, source.path):
            raise OutputError(f"{self.path} must be of this run to be left as it is, got another {other}, {anew}")
        if said[GAPS] and said[ON_NAN] != on_nan:
            raise OutputError(
                f"{self.path} must be finished with on_nan={on_nan!r} to be left as it is, got one that was finished "
                f"with {said[ON_NAN]!r}; ask for that, or predict anew (overwrite, or --overwrite)"
            )
        return True

    def journal(self, about: Mapping[str, Any], source: Source) -> Journal:
        """Begin the journal of a run, or go on with it; one in which nothing is counts as none.

        Args:
            about: What makes the run.
            source: The inputs.

        Raises:
            InputError: If it is that of another run.
            OutputError: If a file is there now that was not when the run began.
        """
        if not self._resume or not self.journal_path.exists() or Journal.is_empty(self.journal_path):
            begun = {RUN: about, _REPLACE: self._overwrite}
            return Journal.create(self.journal_path, begun, overwrite=self._overwrite)
        journal = Journal.resume(self.journal_path)
        try:
            if other := refusal(journal.about.get(RUN, {}), about, source.path):
                raise InputError(
                    f"a run must be resumed as it was begun, got another {other}, or begin anew (overwrite, or "
                    "--overwrite)"
                )
            if journal.rows < len(source) and not self._may_replace(journal):
                raise self._has_come()
        except BaseException:
            journal.close()
            raise
        return journal

    def check(self, groups: Groups) -> None:
        """See that what is predicted of some rows can be written so, before there is much of it.

        Raises:
            InputError: If it would make a table with too many columns, or two of one name.
        """
        if self.format != "hdf5":
            storage.check_columns(groups)

    def assemble(
        self,
        journal: Journal,
        kind: str,
        attributes: Mapping[str, Any],
        source: Source,
        *,
        on_nan: OnNan,
        progress: bool | str,
    ) -> int:
        """Make the file of a journal in which all blocks are; a file that may go is replaced once it is whole.

        Args:
            journal: The journal.
            kind: Name of the class of the predictions.
            attributes: Plain data about the run.
            source: The inputs, for the names of their rows.
            on_nan: Whether rows without a prediction keep their places.
            progress: Whether to show a progress bar.

        Returns:
            How many rows of the inputs are without a prediction.

        Raises:
            OutputError: If it cannot be written, or a file is there now that was not; the journal is as it was then.
        """
        may_replace = self._may_replace(journal)
        if not may_replace and self.format == "hdf5":
            raise self._has_come()
        predicted = sum(entry.points for entry in journal.entries)
        is_whole = on_nan == "keep" or predicted == len(source)
        blocks = [_whole(journal, entry) for entry in journal.entries] if is_whole else journal.blocks
        names = cast(Labels, source.names) if is_whole and source.names(0, 1) is not None else None
        partial = f".{self.path.name}.partial"  # the journal's lock is held: what a killed run has left there can go
        gaps = len(source) - predicted
        if self.format == "hdf5":
            labels = {POINT: names} if names else None
            said = {**attributes, ON_NAN: on_nan, GAPS: gaps}
            storage.write_blocks(self.path, kind, blocks, said, coords=labels, progress=progress, partial=partial)
            return gaps
        place = self.path if may_replace else self.path.with_name(f".{self.path.name}.again")
        storage.write_table(place, blocks, format=self.format, labels=names, progress=progress, partial=partial)
        if not may_replace:
            self._compare(place)
        return gaps

    def _may_replace(self, journal: Journal) -> bool:
        """Whether what is there now may go: nothing, what the run was begun to replace, or the run's own HDF5 file.

        That one is there where a run ended between putting it in place and removing the journal.
        """
        if not self.path.exists() or journal.about[_REPLACE]:
            return True
        return bool(_attributes_of(self.path, self.format).get(RUN) == journal.about[RUN])

    def _compare(self, again: Path) -> None:
        """Remove a table once more written, and see that the one that is there is the same: tables tell no run.

        Raises:
            OutputError: If it is another one.
        """
        try:
            same = filecmp.cmp(again, self.path, shallow=False)
        except OSError:  # it may not be read, or is a folder
            same = False
        finally:
            again.unlink()
        if not same:
            raise self._has_come()

    def _has_come(self) -> OutputError:
        return OutputError(
            f"{self.path} must be free, got a file that has come there during the run; move it away, then go on with "
            f"resume (--resume), which puts the predictions in {self.journal_path.name} there"
        )

    def _is_begun(self) -> bool:
        """Whether there is a journal with something in it, or what is not to be taken for one."""
        return self.journal_path.exists() and not Journal.is_empty(self.journal_path)


def _whole(journal: Journal, entry: Entry) -> Block:
    """Return a block with a point for every row."""
    read = partial(journal.read, entry)
    if entry.points == entry.size:
        return Block(entry.size, read)
    return Block(entry.size, lambda: with_gaps(read(), range(entry.start, entry.stop)))


def _attributes_of(path: Path, format: Format) -> dict[str, Any]:
    """Return what a file says of the run that wrote it: tables say nothing."""
    if format != "hdf5":
        return {}
    try:
        return storage.read_attributes(path)
    except DataError:
        return {}

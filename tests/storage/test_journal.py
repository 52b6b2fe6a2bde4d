"""The journal: what comes back is always a part of what was appended, to the bit, whatever happened to the file."""

import errno
import io
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.storage import Journal, Variable, journal, records
from storage.made import assert_same, mean_of

KINDS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def groups_of(start, size=2):
    """Return the block that belongs at a row, so that every number can be told to be right."""
    rng = np.random.default_rng(start)
    return {
        "predictions": {
            "mean": Variable(("point", "output"), rng.normal(size=(size, 2)), "ppm", "é"),
        },
        "constant_data": {"passes": Variable((), np.asarray(9))},
    }


def filled(path, starts=(0, 2, 4)):
    """Write a journal and return its bytes."""
    with Journal.create(path, {"seed": 7}) as made:
        for start in starts:
            assert made.append(start, 2, groups_of(start))
    return path.read_bytes()


def rewrite(path, data):
    """Write a file anew; to empty an old one first makes some disks wait."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def resumed(path):
    """Return the rows at which blocks begin that a journal still has, each of them seen to be right."""
    with Journal.resume(path) as again:
        assert again.about == {"seed": 7}
        for entry in again.entries:
            assert_same(again.read(entry), groups_of(entry.start))
        return [entry.start for entry in again.entries]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # thousands of journals are closed here
    return tmp_path / "run.journal"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (4,), (1, 3, 4, 2), (4, 0), (4, 3)])
def test_every_type_and_shape_comes_back_to_the_bit(path, kind, shape):
    values = np.random.default_rng(0).normal(scale=50, size=shape).astype(kind)
    dims = {0: (), 1: ("point",), 2: ("point", "output"), 4: ("chain", "draw", "point", "output")}[len(shape)]
    given = {"predictions": {"a": Variable(dims, values, "nat", "words")}}
    with Journal.create(path, {}) as made:
        made.append(0, 4, given)
        assert_same(made.read(made.entries[0]), given)
        assert made.entries[0].points == (4 if "point" in dims else 0)
    with Journal.resume(path) as again:
        assert_same(again.read(again.entries[0]), given)


def test_nan_and_zero_keep_their_bits_and_other_layouts_their_numbers(path):
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000, 1], dtype=np.uint64).view(float)
    turned = np.arange(8.0).reshape(2, 4).T
    big = np.arange(4, dtype=">i4")
    names = {"bits": (("point",), bits), "turned": (("point", "o"), turned), "big": (("point",), big)}
    with Journal.create(path, {}) as made:
        made.append(0, 4, {"predictions": {name: Variable(*one) for name, one in names.items()}})
        got = made.read(made.entries[0])["predictions"]
    assert got["bits"].values.tobytes() == bits.tobytes()
    np.testing.assert_array_equal(got["turned"].values, turned)
    np.testing.assert_array_equal(got["big"].values, big)


def test_blocks_are_in_order_of_rows_and_gaps_are_told(path):
    with Journal.create(path, {"seed": 7}) as made:
        assert (made.rows, made.entries, made.gaps(3), made.gaps(0)) == (0, (), [range(3)], [])
        for start in (6, 0, 10, 2):
            made.append(start, 2, groups_of(start))
        assert [entry.start for entry in made.entries] == [0, 2, 6, 10]
        assert made.rows == 8
        assert made.gaps(13) == [range(4, 6), range(8, 10), range(12, 13)]
        assert made.gaps(12) == [range(4, 6), range(8, 10)]
        assert [block.points for block in made.blocks] == [2] * 4
        assert_same(made.blocks[2].read(), groups_of(6))
    assert resumed(path) == [0, 2, 6, 10]


def test_plain_data_about_the_run_comes_back(path):
    with Journal.create(path, {"a": (1, 2.5), "b": {"c": None}, "é": "x\ny"}) as made:
        assert made.about == {"a": [1, 2.5], "b": {"c": None}, "é": "x\ny"}
    with pytest.raises(InputError, match="about must hold texts"):
        Journal.create(path.with_name("b"), {"net": object()})
    assert not path.with_name("b").exists()


def test_a_journal_cut_at_any_length_gives_the_blocks_before_the_cut(path):
    whole = filled(path)
    with Journal.resume(path) as again:
        ends = [entry.end for entry in again.entries]
        head = again.entries[0].place
    assert ends[-1] == len(whole)
    for length in range(len(whole) + 1):
        rewrite(path, whole[:length])
        if length < head:
            with pytest.raises(DataError, match="expected the journal of an unfinished run, got"):
                Journal.resume(path)
            assert path.stat().st_size == length
            continue
        done = sum(end <= length for end in ends)
        assert resumed(path) == [0, 2, 4][:done]
        assert path.read_bytes() == whole[: [head, *ends][done]]


def test_after_a_cut_the_rest_is_appended_as_if_nothing_had_been(path):
    whole = filled(path)
    path.write_bytes(whole[:-1])
    with Journal.resume(path) as again:
        assert again.gaps(6) == [range(4, 6)]
        again.append(4, 2, groups_of(4))
    assert path.read_bytes() == whole


def test_one_wrong_bit_anywhere_costs_one_block_at_most(path):
    whole, rng = filled(path), np.random.default_rng(0)
    with Journal.resume(path) as again:
        head, ends = again.entries[0].place, [entry.end for entry in again.entries]
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        rewrite(path, damaged)
        if place < head:
            with pytest.raises(DataError):
                Journal.resume(path)
            continue
        hit = sum(end <= place for end in ends)
        assert resumed(path) == [start for start in (0, 2, 4) if start != 2 * hit]


def test_a_lost_block_is_done_again_and_everything_else_stays(path):
    whole = bytearray(filled(path))
    with Journal.resume(path) as again:
        whole[again.entries[1].place + 200] ^= 1
    path.write_bytes(whole)
    with Journal.resume(path) as again:
        assert again.gaps(6) == [range(2, 4)]
        assert again.append(2, 2, groups_of(2))
    assert resumed(path) == [0, 2, 4]


def test_whatever_is_torn_out_or_overwritten_no_wrong_number_comes_back(path):
    whole, rng = filled(path), np.random.default_rng(0)
    with Journal.resume(path) as again:
        head = again.entries[0].place
    for _ in range(200):
        first, last = sorted(rng.integers(head, len(whole), 2))
        middle = [b"", rng.bytes(int(last - first)), bytes(int(last - first)), whole[head:]][rng.integers(4)]
        rewrite(path, whole[:first] + middle + whole[last:])
        assert set(resumed(path)) <= {0, 2, 4}


def test_a_record_inside_the_numbers_of_another_is_never_taken(path):
    copied = np.frombuffer(filled(path), np.uint8)
    with Journal.resume(path) as again:
        again.append(100, 2, {"predictions": {"bytes": Variable(("x",), np.tile(copied, 3))}})
        entry = again.entries[-1]
        data = bytearray(path.read_bytes())
        first = again.entries[0]
    data[entry.place] ^= 1  # its mark: what follows is searched for marks
    data[first.end - 1] ^= 1  # and the record that is copied in it is no more
    path.write_bytes(data)
    assert resumed(path) == [2, 4]
    other = path.with_name("other")
    with Journal.create(other, {"seed": 7}):
        pass
    other.write_bytes(other.read_bytes() + bytes(copied))  # records of another journal
    assert resumed(other) == []


def test_marks_are_found_across_pieces_of_the_file(path, monkeypatch):
    whole = bytearray(filled(path))
    whole[len(whole) // 3] ^= 1
    for piece in (16, 17, 23, 31, 64):
        monkeypatch.setattr(records, "_CHUNK", piece)
        path.write_bytes(whole)
        assert len(resumed(path)) == 2


@pytest.mark.parametrize("piece", [1, 5, 16, 31])
def test_a_mark_is_found_wherever_it_lies(monkeypatch, piece):
    monkeypatch.setattr(records, "_CHUNK", piece)
    for before in range(40):
        file = io.BytesIO(bytes(before) + records._MARK + bytes(9))
        assert records._next_mark(file, 0) == records._next_mark(file, before) == before
        assert records._next_mark(file, before + 1) is None


def test_the_same_block_twice_is_ignored_and_an_overlap_refused(path):
    with Journal.create(path, {"seed": 7}) as made:
        assert made.append(4, 2, groups_of(4)) is True
        size = path.stat().st_size
        assert made.append(4, 2, mean_of([0, 0])) is False
        for start, rows in [(4, 1), (5, 1), (5, 2), (3, 2), (0, 9), (4, 3), (3, 3)]:
            with pytest.raises(InputError, match=f"blocks must not overlap, got rows {start} to .*, while 4 to 5 are"):
                made.append(start, rows, mean_of([0.0]))
        assert path.stat().st_size == size
        made.append(6, 2, groups_of(6))
        made.append(2, 2, groups_of(2))
    assert resumed(path) == [2, 4, 6]


@pytest.mark.parametrize(
    ("start", "size", "groups", "message"),
    [
        (-1, 2, mean_of([1, 2]), "start must be an integer of at least 0"),
        (0, 0, {}, "size must be an integer of at least 1"),
        (0, 1, mean_of([1, 2]), r"at most its 1 row\(s\), got \[2\]"),
        (0, 3, mean_of([1]) | {"constant_data": {"b": Variable(("point",), np.ones(2))}}, r"got \[1, 2\]"),
        (0, 2, {"predictions": {"a": Variable(("point",), np.array(["x", "y"]))}}, "got text in 'a'"),
        (0, 2, {"predictions": {"a": Variable(("point",), np.ones(2) * 1j)}}, "got complex128"),
        (0, 2, {"other": {}}, "must be one that ArviZ knows"),
    ],
)
def test_what_is_no_block_is_refused_and_leaves_no_trace(path, start, size, groups, message):
    with Journal.create(path, {"seed": 7}) as made:
        before = path.stat().st_size
        with pytest.raises(InputError, match=message):
            made.append(start, size, groups)
        assert path.stat().st_size == before


def test_a_block_may_hold_fewer_points_than_rows_or_none(path):
    with Journal.create(path, {"seed": 7}) as made:
        made.append(0, 5, mean_of([1.0, 2.0]))
        made.append(5, 3, {})
        assert [(entry.size, entry.points) for entry in made.entries] == [(5, 2), (3, 0)]
        assert made.read(made.entries[1]) == {}
    with Journal.resume(path) as again:
        assert [(entry.size, entry.points) for entry in again.entries] == [(5, 2), (3, 0)]


class Faulty:
    """A file that fails after some bytes of a write."""

    def __init__(self, file, error, after):
        self.file, self.error, self.after = file, error, after

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        if self.after <= 0:
            raise self.error
        done = self.file.write(data[: self.after])
        self.after -= done
        return done


@pytest.mark.parametrize("after", [0, 1, 95, 96, 97, 300])
def test_a_full_disk_keeps_what_is_there_and_says_how_to_go_on(path, after):
    whole = filled(path)
    with Journal.resume(path) as again:
        real = again._file
        again._file = Faulty(real, OSError(errno.ENOSPC, "No space left on device"), after)
        with pytest.raises(OutputError) as caught:
            again.append(6, 2, groups_of(6))
        assert str(caught.value) == (
            f"cannot write {path}: No space left on device; its 3 finished block(s) of 6 row(s) are kept: make space, "
            "then go on with --resume"
        )
        assert path.read_bytes() == whole
        again._file = real
        again.append(6, 2, groups_of(6))
    assert resumed(path) == [0, 2, 4, 6]


def test_an_interrupt_in_the_middle_of_a_record_leaves_none_of_it(path):
    whole = filled(path)
    with pytest.raises(KeyboardInterrupt), Journal.resume(path) as again:
        again._file = Faulty(again._file, KeyboardInterrupt(), 150)
        again.append(6, 2, groups_of(6))
    assert path.read_bytes() == whole


def test_writes_that_take_a_part_at_a_time_are_made_whole(path):
    class Slow(Faulty):
        def write(self, data):
            return self.file.write(data[:7])

        def read(self, size):
            return self.file.read(min(size, 5))

    with Journal.create(path, {"seed": 7}) as made:
        made._file = Slow(made._file, None, 0)
        made.append(0, 2, groups_of(0))
        assert_same(made.read(made.entries[0]), groups_of(0))
    assert resumed(path) == [0]


def test_a_limit_on_the_size_of_files_is_a_full_disk(path):
    whole = filled(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal.resume(path) as again:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 500, limits[1]))
        try:
            with pytest.raises(OutputError, match="File too large; its 3 finished"):
                again.append(6, 2, mean_of([1, 2], more=Variable(("x",), np.ones(10_000))))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole


def test_a_process_killed_at_any_moment_loses_the_block_in_work_alone(tmp_path):
    """The child tells of every block that is in; what it told of is there, and nothing that is wrong."""
    code = """
import os, random, signal, sys, time
import numpy as np
from mcdrop.storage import Journal, Variable

path, rng, rows, torn = sys.argv[1], random.Random(0), 0, 0

def groups(start):
    values = np.random.default_rng(start).integers(2**60, size=(50, 2000))
    return {"predictions": {"a": Variable(("point", "output"), values)}}

Journal.create(path, {"seed": 7}).close()
for turn in range(30):
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        journal = Journal.resume(path)
        start = journal.gaps(10**6)[0].start
        os.write(there, b"%9d" % start)
        while True:
            journal.append(start, 50, groups(start))
            start += 50
            os.write(there, b"%9d" % start)
    os.close(there)
    time.sleep(rng.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    told = b""
    while part := os.read(here, 1 << 16):
        told += part
    os.close(here)
    last = int(told[-9:] or b"%d" % rows)
    before = os.path.getsize(path)
    with Journal.resume(path) as journal:
        torn += os.path.getsize(path) < before
        assert journal.gaps(10**6)[0].start in (last, last + 50), (last, journal.rows)
        assert len(journal.gaps(10**6)) == 1
        for entry in journal.entries[-20:]:
            got = journal.read(entry)["predictions"]["a"].values
            assert (got == groups(entry.start)["predictions"]["a"].values).all()
        rows = journal.rows
    if rows > 20_000:
        Journal.create(path, {"seed": 7}, overwrite=True).close()
        rows = 0
print(rows, torn)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 2


def test_two_runs_cannot_have_one_journal(path):
    with Journal.create(path, {"seed": 7}):
        for begin in (Journal.resume, lambda place: Journal.create(place, {}, overwrite=True)):
            with pytest.raises(OutputError, match="must belong to one run at a time, got another one that is writing"):
                begin(path)
    assert resumed(path) == []
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_which_nothing_can_be_locked_says_so(path, monkeypatch):
    import filelock

    filled(path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(OutputError, match=r"cannot lock .*: Permission denied; choose a writable folder"):
        Journal.resume(path)


def test_a_journal_that_is_there_is_overwritten_only_when_asked_to_be(path):
    whole = filled(path)
    with pytest.raises(InputError, match="go on with it with --resume, or give it up with --overwrite"):
        Journal.create(path, {})
    assert path.read_bytes() == whole
    with Journal.create(path, {"new": 1}, overwrite=True) as made:
        assert (made.about, made.rows) == ({"new": 1}, 0)
    path.write_bytes(whole[:30] + b"x" + whole[31:])  # a journal that cannot be read may go too
    Journal.create(path, {"seed": 7}, overwrite=True).close()
    assert resumed(path) == []


@pytest.mark.parametrize("content", [b"", b"year,ppm\n1958,315\n", b"\x89HDF\r\n\x1a\n" + bytes(99), b"mcdrop journal"])
def test_other_files_are_refused_and_stay(path, content):
    path.write_bytes(content)
    for begin in (Journal.resume, lambda place: Journal.create(place, {}, overwrite=True)):
        with pytest.raises(DataError, match=r"expected the journal of an unfinished run, got .*; "):
            begin(path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_journal_of_another_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(records, "FORMAT", 2)
    filled(path)
    monkeypatch.undo()
    with pytest.raises(
        DataError, match="one of format 2, while this mcdrop knows format 1; give it up with --overwrite"
    ):
        Journal.resume(path)


def test_a_missing_journal_and_a_folder_are_refused(path, tmp_path):
    with pytest.raises(DataError, match="got no such file; check the path, or leave out --resume to begin anew"):
        Journal.resume(path)
    with pytest.raises(DataError, match="got a folder"):
        Journal.resume(tmp_path)
    with pytest.raises(OutputError):
        Journal.create(tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_damage_after_the_journal_was_opened_is_found_when_it_is_read(path):
    filled(path)
    with Journal.resume(path) as again:
        entry = again.entries[1]
        data = bytearray(path.read_bytes())
        data[entry.end - 1] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataError, match="got damage in rows 2 to 3; go on with --resume: they will be done again"):
            again.read(entry)
        assert_same(again.read(again.entries[2]), groups_of(4))


def test_removing_leaves_nothing_and_closing_leaves_the_file_alone(path):
    with Journal.create(path / "new folder" / "j", {"seed": 7}) as made:
        made.close()
        assert list(made.path.parent.iterdir()) == [made.path]
    with Journal.resume(made.path) as again:
        again.remove()
        assert not list(made.path.parent.iterdir())


def test_the_disk_is_waited_for_every_few_seconds_and_at_the_end(path, monkeypatch):
    synced, clock = [], [0.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(journal.time, "monotonic", lambda: clock[0])
    with Journal.create(path, {"seed": 7}) as made:
        for start in range(0, 100, 2):
            clock[0] += 0.5
            made.append(start, 2, groups_of(start))
        assert len(synced) == 50 * 0.5 // 3
    assert len(synced) == 9


def test_a_disk_that_fails_at_the_end_says_so_and_lets_go_of_the_file(path, monkeypatch):
    made = Journal.create(path, {"seed": 7})
    made.append(0, 2, groups_of(0))

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"Input/output error; its 1 finished block\(s\)"):
        made.close()
    monkeypatch.undo()
    assert resumed(path) == [0]


def test_a_journal_without_blocks_is_told_from_all_others_and_given_up(path):
    assert not Journal.is_empty(path)
    whole = filled(path)
    assert not Journal.is_empty(path)
    with Journal.create(path, {"seed": 7}, overwrite=True) as made:
        assert Journal.is_empty(path)
        made.append(0, 2, groups_of(0))
        assert not Journal.is_empty(path)
        head, end = made.entries[0].place, made.entries[0].end
    path.write_bytes(path.read_bytes()[: end - 1])
    assert Journal.is_empty(path)  # what is there of the block is lost anyway
    Journal.create(path, {"seed": 7}).close()
    for other in (b"", b"year,ppm\n", whole[:30] + b"x" + whole[31:], whole[: head - 1]):
        path.write_bytes(other)
        assert not Journal.is_empty(path)


def test_a_damaged_head_says_how_to_begin_anew(path):
    whole = filled(path)
    path.write_bytes(whole[:30] + b"x" + whole[31:])
    with pytest.raises(DataError, match="got one whose beginning is damaged; give it up with --overwrite"):
        Journal.resume(path)
    Journal.create(path, {"seed": 7}, overwrite=True).close()
    path.write_bytes(b"year,ppm\n")
    with pytest.raises(DataError, match=r"got a file that starts with .*; move it away, or choose another output"):
        Journal.resume(path)

"""Runs that are interrupted, at whatever moment, end with the bits of one that was not; other runs are refused."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from bulk import made
from bulk.made import (
    AUTO,
    BLOCK,
    ROWS,
    X,
    assert_bits,
    journal_of,
    nobody,
    shuffled_twice,
    stopping_after,
    write_npy,
)
from mcdrop import InputError, MCDropout, OutputError, storage
from mcdrop.bulk import in_process, predict_file
from mcdrop.bulk.identity import refusal
from mcdrop.errors import DataError
from mcdrop.models import import_named
from mcdrop.storage import Journal

CALL = {"passes": 30, "batch_size": BLOCK}
BLOCKS = -(-ROWS // BLOCK)
RUNS = [
    (made.regression, CALL, range(BLOCKS)),
    (made.heteroscedastic, CALL | {"masks": "independent"}, [2, 5]),
    (made.classification, CALL | {"keep_samples": True}, [1, 6]),
    (made.dense, CALL, [3]),
    (made.classification, CALL | AUTO, [4]),
]


@pytest.fixture
def x(tmp_path):
    return write_npy(tmp_path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "y.h5"


def interrupted(x, out, blocks=3, error=KeyboardInterrupt, model=made.regression, **options):
    """Begin a run and break it off after so many blocks."""
    with pytest.raises(error):
        predict_file(model(), x, out, execute=stopping_after(blocks, error()), **(CALL | options))


def uninterrupted(x, model=made.regression, **options):
    path = x.with_name("whole.h5")
    predict_file(model(), x, path, **(CALL | options))
    return path


@pytest.mark.parametrize(("model", "options", "breaks"), RUNS)
def test_a_run_that_is_interrupted_after_any_block_ends_with_the_same_bits(x, out, model, options, breaks):
    whole = uninterrupted(x, model, **options)
    for blocks in breaks:
        interrupted(x, out, blocks, model=model, **options)
        assert not out.exists()
        done = predict_file(model(), x, out, resume=True, **options)
        assert (done.resumed, done.gaps) == (blocks * BLOCK, 0)
        assert_bits(out, whole)
        assert not journal_of(out).exists()
        out.unlink()


def test_a_run_may_be_interrupted_again_and_again(x, out):
    whole = uninterrupted(x)
    interrupted(x, out, 1)
    for block in range(2, BLOCKS):
        interrupted(x, out, 1, error=RuntimeError if block % 2 else KeyboardInterrupt, resume=True)
    done = predict_file(made.regression(), x, out, resume=True, **CALL)
    assert done.resumed == (BLOCKS - 1) * BLOCK
    assert_bits(out, whole)


def test_tables_are_the_same_byte_for_byte(x, tmp_path):
    whole, out = tmp_path / "whole.csv", tmp_path / "y.csv"
    predict_file(made.classification(), x, whole, **CALL)
    for blocks in (0, 3):
        interrupted(x, out, blocks, model=made.classification)
        predict_file(made.classification(), x, out, resume=True, **CALL)
        assert out.read_bytes() == whole.read_bytes()
        out.unlink()


def test_blocks_may_come_in_any_order_and_twice(x, out):
    whole = uninterrupted(x)
    predict_file(made.regression(), x, out, execute=shuffled_twice, **CALL)
    assert_bits(out, whole)


def test_blocks_out_of_order_are_resumed(x, out):
    def broken(prepared, reader, missing, advance):
        for count, done in enumerate(shuffled_twice(prepared, reader, missing, advance)):
            if count == 7:
                raise RuntimeError("a worker is gone")
            yield done

    with pytest.raises(RuntimeError, match="a worker is gone"):
        predict_file(made.regression(), x, out, execute=broken, **CALL)
    done = predict_file(made.regression(), x, out, resume=True, **CALL)
    assert BLOCK * 3 < done.resumed <= BLOCK * 4  # 7 of 14; the last block is shorter
    assert_bits(out, uninterrupted(x))


@pytest.mark.parametrize(("step", "calls"), [("write_blocks", 0), ("Journal.read", 3), ("Journal.remove", 0)])
def test_a_run_that_is_interrupted_at_its_end_predicts_nothing_again(x, out, monkeypatch, step, calls):
    owner = Journal if "." in step else storage
    count, real = [0], getattr(owner, step.split(".")[-1])

    def interrupt(*args, **kwargs):
        count[0] += 1
        if count[0] > calls:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(f"mcdrop.storage.{step}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict_file(made.regression(), x, out, **CALL)
    assert {path.name for path in x.parent.iterdir()} - {"y.h5"} == {"x.npy", "y.h5.unfinished"}
    done = predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert done.resumed == ROWS
    assert_bits(out, uninterrupted(x))


def test_an_interrupt_while_a_block_is_written_loses_that_block_at_most(x, out, monkeypatch):
    append, count = Journal._write, [0]

    def torn(journal, *parts):
        count[0] += 1
        if count[0] == 4:
            parts[0], journal._file.write(parts[0][:20])
            raise KeyboardInterrupt
        append(journal, *parts)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_write", torn)
        with pytest.raises(KeyboardInterrupt):
            predict_file(made.regression(), x, out, **CALL)
    assert predict_file(made.regression(), x, out, resume=True, **CALL).resumed == 3 * BLOCK
    assert_bits(out, uninterrupted(x))


def test_where_nothing_is_there_a_resumed_run_begins(x, out):
    done = predict_file(made.regression(), x, out, resume=True, **CALL)
    assert done.resumed == 0
    assert_bits(out, uninterrupted(x))


def test_a_run_that_is_finished_is_left_as_it_is(x, out):
    predict_file(made.regression(), x, out, **CALL)
    before = out.stat()
    done = predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert (done.rows, done.resumed, done.gaps) == (ROWS, ROWS, None)
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not journal_of(out).exists()


def test_defaults_may_be_said_when_a_run_is_resumed(x, out):
    interrupted(x, out, masks="shared")
    again = CALL | {"seed": 0, "memory_limit": None, "progress": False, "keep_samples": False}
    assert predict_file(made.regression(), x, out, resume=True, **again).resumed == 3 * BLOCK


def other_weights():
    return MCDropout(made.make_net(seed=2))


def other_structure():
    net = made.make_net()
    net[1] = nn.Tanh()
    return MCDropout(net)


def other_buffer():
    net = made.make_net()
    net.register_buffer("scale", torch.ones(1))
    return MCDropout(net)


def halved(x):
    return x / 2


def doubled(x):
    return x * 2


OTHERS = [
    ({"seed": 1}, r"prediction\.seed \(was 0, is 1\);"),
    ({"passes": 50}, r"options\.passes \(was 30, is 50\);"),
    ({"masks": "independent"}, r"prediction\.masks \(was 'shared', is 'independent'\)"),
    ({"batch_size": 5}, r"options\.batch_size \(was 8, is 5\), rows at once \(was 8, is 5\);"),
    ({"keep_samples": True}, r"options\.keep_samples \(was False, is True\);"),
    ({"last_layer": "exact"}, r"prediction\.last_layer \(was None, is 'exact'\)"),
    ({"execution": "loop"}, r"options\.execution \(was 'auto', is 'loop'\);"),
    ({"dtype": torch.bfloat16}, r"prediction\.dtype \(was None, is 'torch\.bfloat16'\);"),
    ({"transform": halved}, r"transform \(was None"),
    ({"model": other_weights}, r"net\.sha256;"),
    ({"model": other_buffer}, r"net\.sha256;"),
    ({"model": other_structure}, r"net\.code"),
    ({"model": made.heteroscedastic}, r"prediction\.task \(was 'regression', is 'heteroscedastic'\)"),
]


@pytest.mark.parametrize(("change", "message"), OTHERS)
def test_another_run_is_refused_by_what_differs(x, out, change, message):
    interrupted(x, out)
    before = journal_of(out).read_bytes()
    options = CALL | change
    model = options.pop("model", made.regression)
    with pytest.raises(InputError, match=f"must be resumed as it was begun, got another .*{message}"):
        predict_file(model(), x, out, resume=True, **options)
    assert journal_of(out).read_bytes() == before
    assert predict_file(made.regression(), x, out, resume=True, **CALL).resumed == 3 * BLOCK  # the first one still can


@pytest.mark.parametrize("other", [doubled, lambda x: x / 2, lambda x: x / 4, np.sign, nn.Identity(), None])
def test_another_transform_is_refused(x, out, other):
    interrupted(x, out, transform=halved)
    with pytest.raises(InputError, match="got another transform"):
        predict_file(made.regression(), x, out, resume=True, transform=other, **CALL)
    assert predict_file(made.regression(), x, out, resume=True, transform=halved, **CALL).resumed == 3 * BLOCK


def test_inputs_that_have_changed_are_refused(x, out):
    interrupted(x, out)
    before, state = journal_of(out).read_bytes(), x.stat()
    write_npy(x.parent, X + 1)
    os.utime(x, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(InputError, match=r"got another time of change of x\.npy; if"):
        predict_file(made.regression(), x, out, resume=True, **CALL)
    write_npy(x.parent, X[:40])
    with pytest.raises(InputError, match=r"inputs\.rows \(was 53, is 40\)"):
        predict_file(made.regression(), x, out, resume=True, **CALL)
    assert journal_of(out).read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs the touch of GNU")
@pytest.mark.parametrize("time", [1_795_320_556_394_392_596, 1_500_000_001, -1_500_000_001])
def test_inputs_that_were_touched_are_made_good_by_the_command_that_is_told(tmp_path, out, time):
    (tmp_path / "it's a folder").mkdir()
    x = write_npy(tmp_path / "it's a folder")
    os.utime(x, ns=(time, time))
    interrupted(x, out)
    os.utime(x, ns=(time, time + 7))
    told = (
        r"another time of change of x\.npy; if the content is the same, .* `(touch -d @-?\d+\.\d{9} .*)`, or begin anew"
    )
    with pytest.raises(InputError, match=told) as caught:
        predict_file(made.regression(), x, out, resume=True, **CALL)
    subprocess.run(re.search(told, str(caught.value))[1], shell=True, check=True)
    assert x.stat().st_mtime_ns == time
    assert predict_file(made.regression(), x, out, resume=True, **CALL).resumed == 3 * BLOCK


def test_images_that_were_touched_are_told_of_in_words(tmp_path):
    was = {"inputs": {"size": 9, "mtime_ns": 7, "files_sha256": "a"}}
    now = {"inputs": {"size": 9, "mtime_ns": 8, "files_sha256": "b"}}
    told = refusal(was, now, tmp_path / "photos")
    assert told.startswith("names or times of change in photos; if") and "cp -a" in told and "repeat" not in told
    told = refusal(was | {"seed": 1}, now | {"seed": 2}, tmp_path / "photos")
    assert told.startswith("seed (was 1, is 2), names or times of change in photos; repeat the first command, and if")
    assert refusal(was, was, tmp_path) == ""
    now["inputs"]["size"] = 10
    assert refusal(was, now, tmp_path) == "inputs.size (was 9, is 10); repeat the first command"


def test_a_finished_file_of_another_run_is_refused_by_what_differs(x, out):
    predict_file(made.regression(), x, out, **CALL)
    before = out.read_bytes()
    told = r"must be of this run to be left as it is, got another prediction\.seed \(was 0, is 1\); repeat .* choose"
    with pytest.raises(OutputError, match=told):
        predict_file(made.regression(), x, out, resume=True, seed=1, **CALL)
    made.regression().predict(X, passes=2).save(out.with_name("saved.h5"))
    with pytest.raises(OutputError, match="must be an unfinished run to be resumed, got a file of another program"):
        predict_file(made.regression(), x, out.with_name("saved.h5"), resume=True, **CALL)
    assert out.read_bytes() == before
    os.utime(x, ns=(0, 0))
    with pytest.raises(OutputError, match=r"got another time of change of x\.npy; if .*touch -d @"):
        predict_file(made.regression(), x, out, resume=True, **CALL)


def test_a_finished_table_does_not_tell_its_run(x, tmp_path):
    predict_file(made.regression(), x, tmp_path / "y.csv", **CALL)
    with pytest.raises(OutputError, match="got a table, which does not tell its run"):
        predict_file(made.regression(), x, tmp_path / "y.csv", resume=True, **CALL)


def test_an_output_that_exists_is_refused(x, out):
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"must be free, got a file that is there already; .*overwrite"):
        predict_file(made.regression(), x, out, execute=nobody, **CALL)
    assert out.read_text() == "mine"


def test_an_unfinished_run_is_not_given_up_unless_it_is_said(x, out):
    interrupted(x, out)
    before = journal_of(out).read_bytes()
    with pytest.raises(OutputError, match=r"got an unfinished run \(y\.h5\.unfinished\); go on with it \(resume"):
        predict_file(made.regression(), x, out, execute=nobody, **CALL)
    assert journal_of(out).read_bytes() == before


def test_overwrite_drops_an_unfinished_run_and_then_the_file(x, out):
    predict_file(made.regression(), x, out, **(CALL | {"seed": 5}))
    old = out.read_bytes()
    interrupted(x, out, seed=6, overwrite=True)
    assert out.read_bytes() == old  # until the new one is whole
    done = predict_file(made.regression(), x, out, overwrite=True, **CALL)
    assert done.resumed == 0
    assert_bits(out, uninterrupted(x))
    assert not journal_of(out).exists()


def test_an_older_file_is_replaced_by_a_run_that_was_begun_so_and_resumed(x, out):
    out.write_text("old")
    interrupted(x, out, overwrite=True)
    assert out.read_text() == "old"
    predict_file(made.regression(), x, out, resume=True, **CALL)
    assert_bits(out, uninterrupted(x))


def test_to_resume_and_to_overwrite_do_not_go_together(x, out):
    with pytest.raises(InputError, match="resume goes on with a run and overwrite gives it up, got both"):
        predict_file(made.regression(), x, out, resume=True, overwrite=True)


def test_what_is_no_journal_is_left_alone(x, out):
    journal_of(out).write_text("not a journal at all")
    for more in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(DataError, match="expected the journal of an unfinished run"):
            predict_file(made.regression(), x, out, **more, **CALL)
    assert journal_of(out).read_text() == "not a journal at all"


def test_two_runs_into_one_output_at_once_are_refused(x, out):
    refused = []

    def meanwhile(prepared, reader, missing, advance):
        blocks = in_process(prepared, reader, missing, advance)
        for started in (False, True):
            for more in ({}, {"resume": True}, {"overwrite": True}):
                with pytest.raises(OutputError) as caught:
                    predict_file(made.regression(), x, out, execute=nobody, **more, **CALL)
                refused.append(str(caught.value))
            yield from blocks if started else [next(blocks), next(blocks)]

    predict_file(made.regression(), x, out, execute=meanwhile, **CALL)
    assert "got an unfinished run" in refused.pop(3)
    assert all("must belong to one run at a time" in message for message in refused) and len(refused) == 5
    assert_bits(out, uninterrupted(x))
    assert sorted(path.name for path in out.parent.iterdir()) == ["whole.h5", "x.npy", "y.h5"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_before_any_block_leaves_nothing(x, out, error):
    interrupted(x, out, 0, error=error)
    assert not journal_of(out).exists()
    assert predict_file(made.regression(), x, out, seed=1, **CALL).resumed == 0  # the command as it was mended


def left_empty(x, out):
    """Leave the journal of a run that was killed within its first block, of another seed."""
    interrupted(x, out, 1, seed=3)
    with Journal.resume(journal_of(out)) as journal:
        end = journal.entries[0].place
    os.truncate(journal_of(out), end + 10)


@pytest.mark.parametrize("more", [{}, {"resume": True}, {"overwrite": True}])
def test_a_journal_in_which_nothing_is_counts_as_none(x, out, more):
    left_empty(x, out)
    assert predict_file(made.regression(), x, out, **more, **CALL).resumed == 0
    assert_bits(out, uninterrupted(x))
    assert not journal_of(out).exists()


def test_a_finished_run_is_finished_beside_a_journal_in_which_nothing_is(x, out):
    predict_file(made.regression(), x, out, **CALL)
    left_empty(x, out.with_name("other.h5"))
    journal_of(out.with_name("other.h5")).rename(journal_of(out))
    assert predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL).resumed == ROWS


def test_a_file_that_comes_during_the_run_is_not_replaced_unless_it_is_said(x, out):
    def meanwhile(prepared, reader, missing, advance):
        yield from in_process(prepared, reader, missing, advance)
        out.write_text("mine")

    with pytest.raises(
        OutputError, match=r"got a file that has come there during the run; move it .* y\.h5\.unfinished"
    ):
        predict_file(made.regression(), x, out, execute=meanwhile, **CALL)
    assert out.read_text() == "mine"
    with pytest.raises(OutputError, match="a file that has come there during the run"):
        predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert out.read_text() == "mine"
    out.unlink()
    done = predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert done.resumed == ROWS
    predict_file(made.regression(), x, out, overwrite=True, execute=meanwhile, **CALL)
    assert_bits(out, uninterrupted(x))


@pytest.mark.parametrize("name", ["y.h5", "y.csv"])
@pytest.mark.parametrize("theirs", ["precious", "another prediction"])
def test_a_file_that_came_before_a_run_was_resumed_is_not_replaced(x, out, name, theirs):
    out = out.with_name(name)
    if theirs == "precious":
        interrupted(x, out)
        out.write_text(theirs)
    else:
        predict_file(made.regression(), x, out.with_name(f"other.{name}"), seed=1, **CALL)
        interrupted(x, out)
        out.with_name(f"other.{name}").rename(out)
    before, journal = out.read_bytes(), journal_of(out).read_bytes()
    with pytest.raises(OutputError, match=r"must be free, got a file that has come there during the run; move it away"):
        predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert (out.read_bytes(), journal_of(out).read_bytes()) == (before, journal)
    out.unlink()
    assert predict_file(made.regression(), x, out, resume=True, **CALL).resumed == 3 * BLOCK


@pytest.mark.parametrize("name", ["y.csv", "y.parquet"])
def test_a_table_is_known_again_where_only_the_journal_was_left_to_be_removed(x, out, monkeypatch, name):
    def interrupt(journal):
        raise KeyboardInterrupt

    out = out.with_name(name)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "remove", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict_file(made.regression(), x, out, **CALL)
    whole, journal = out.read_bytes(), journal_of(out).read_bytes()
    out.write_bytes(whole[:-1])
    with pytest.raises(OutputError, match="a file that has come there during the run"):
        predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    assert (out.read_bytes(), journal_of(out).read_bytes()) == (whole[:-1], journal)
    out.write_bytes(whole)
    assert predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL).resumed == ROWS
    assert out.read_bytes() == whole
    assert sorted(path.name for path in out.parent.iterdir()) == ["x.npy", name]


@pytest.mark.parametrize(("first", "last"), [("skip", "keep"), ("keep", "skip"), ("skip", "error")])
def test_a_finished_file_with_other_gaps_is_not_what_was_asked_for(tmp_path, out, first, last):
    x = X.copy()
    x[20, 1] = np.nan
    place = write_npy(tmp_path, x)
    predict_file(made.regression(), place, out, on_nan=first, **CALL)
    assert storage.read(out).attributes["on_nan"] == first
    before = out.read_bytes()
    if last == "error":
        with pytest.raises(DataError, match="got it in row 20"):
            predict_file(made.regression(), place, out, on_nan=last, resume=True, **CALL)
    else:
        told = f"finished with on_nan='{last}' .* was finished with '{first}'; ask for that, or .*--overwrite"
        with pytest.raises(OutputError, match=told):
            predict_file(made.regression(), place, out, on_nan=last, resume=True, execute=nobody, **CALL)
    assert out.read_bytes() == before
    predict_file(made.regression(), place, out, on_nan=first, resume=True, execute=nobody, **CALL)


@pytest.mark.parametrize("on_nan", ["skip", "keep"])
def test_a_finished_file_without_gaps_is_what_was_asked_for(x, out, on_nan):
    predict_file(made.regression(), x, out, **CALL)
    before = out.read_bytes()
    done = predict_file(made.regression(), x, out, on_nan=on_nan, resume=True, execute=nobody, **CALL)
    assert done.resumed == ROWS and out.read_bytes() == before


def test_a_finished_file_is_known_without_its_arrays(x, out, monkeypatch):
    predict_file(made.regression(), x, out, **CALL)
    monkeypatch.setattr("mcdrop.storage.read", nobody)
    predict_file(made.regression(), x, out, resume=True, execute=nobody, **CALL)
    with out.open("r+b") as file:
        file.truncate(out.stat().st_size - 100)
    with pytest.raises(OutputError, match="got a file of another program, or a damaged one"):
        predict_file(made.regression(), x, out, resume=True, **CALL)


@pytest.mark.parametrize("name", ["y.h5", "y.csv"])
def test_what_a_killed_run_left_of_the_file_is_replaced(x, out, monkeypatch, name):
    place, seen = out.with_name(name), []
    left = out.with_name(f".{name}.partial")
    left.write_bytes(bytes(100_000))
    read = Journal.read

    def watched(journal, entry):
        seen.append((sorted(path.name for path in out.parent.glob(".*.partial*")), left.stat().st_size))
        return read(journal, entry)

    monkeypatch.setattr(Journal, "read", watched)
    predict_file(made.regression(), x, place, **CALL)
    assert seen[-1][0] == [left.name] and seen[-1][1] < 100_000
    assert sorted(path.name for path in out.parent.iterdir()) == ["x.npy", name]


def test_a_net_whose_code_has_changed_is_another_net(tmp_path, x, out):
    code = "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
    code += "    def __init__(self):\n        super().__init__()\n        torch.manual_seed(0)\n"
    code += "        self.body = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.5))\n"
    code += "    def forward(self, x):\n        return self.body(x)"
    for name, text in (("first", code), ("second", f"{code} * 2")):
        (tmp_path / f"{name}.py").write_text(f"{text}\n")
    interrupted(x, out, model=lambda: MCDropout(import_named(f"{tmp_path}/first.py:Net")()))
    with pytest.raises(InputError, match=r"got another net\.code"):
        predict_file(MCDropout(import_named(f"{tmp_path}/second.py:Net")()), x, out, resume=True, **CALL)

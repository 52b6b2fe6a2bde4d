"""`mcdrop compare` prints what `mcdrop.compare` computes."""

import csv
import io
import json
import math

import numpy as np
import pytest
from comparison.made import gaussian
from typer.testing import CliRunner

import mcdrop
from cli.made import POINTS, saved, with_gaps, with_rows
from mcdrop.cli import app
from mcdrop.errors import InputError, McdropError, OutputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    saved(tmp_path)
    return tmp_path


def compare(*args):
    done = CliRunner().invoke(app, ["compare", *map(str, args)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def expected(*names, truth, **options):
    return mcdrop.compare({name: mcdrop.load(f"{name}.h5") for name in names}, np.load(truth), **options)


@pytest.mark.parametrize(("names", "truth"), [(("sharp", "blurred"), "y.npy"), (("right", "off"), "t.npy")])
def test_csv_and_json_hold_the_numbers_of_compare(folder, names, truth):
    table = expected(*names, truth=truth)
    files = [f"{name}.h5" for name in names]
    told = json.loads(compare(*files, "--truth", truth, "--format", "json").output)
    lines = rows_of(compare(*files, "--truth", truth, "--format", "csv").output)
    assert len(lines) == table.size
    for line in lines:
        model, score = line["model"], line["score"]
        cell = told["scores"][score]["models"][model]
        assert float(line["value"]) == cell["value"] == table.at[model, score]
        assert float(line["error"]) == cell["error"] == table.errors.at[model, score]
        assert line["judgment"] == cell["judgment"]
        assert (line["judgment"] == "best") == table.best.at[model, score]
        assert (line["judgment"] == "within noise") == table.tied.at[model, score]
        assert line["unit"] == told["scores"][score]["unit"] == table.attrs["units"][score]
    assert told["verdict"] == table.verdict()
    assert (told["points"], told["files"]) == (POINTS, {name: f"{name}.h5" for name in names})


def test_the_table_shows_every_cell_the_legend_and_the_verdict(folder):
    table = expected("right", "off", truth="t.npy")
    output = compare("right.h5", "off.h5", "--truth", "t.npy").output
    for score in table.columns:
        line = next(line for line in output.splitlines() if line.strip("│ ").startswith(score))
        assert [cell.strip() for cell in line.strip("│").split("│")][1:] == table.cells().loc[
            :, score
        ].str.strip().tolist()
    assert all(sentence in output for sentence in table.verdict())
    assert output.count(f"value ± standard error ({POINTS} points") == 1
    assert output.count("coverage 50%") == 2  # in the table and in the verdict


def test_names_are_words_after_the_option_or_the_option_repeated(folder):
    table = expected("right", "off", truth="t.npy")
    for names in (["--names", "MC dropout", "GP"], ["--names", "MC dropout", "--names", "GP"]):
        for args in (["--truth", "t.npy", *names], [*names, "--truth", "t.npy"]):
            lines = rows_of(compare("right.h5", "off.h5", *args, "--format", "csv").output)
            assert [line["model"] for line in lines[:: table.shape[1]]] == ["MC dropout", "GP"]
            assert float(lines[0]["value"]) == table.at["right", "RMSE"]
    for names in (["one"], ["one", "one"]):
        with pytest.raises(InputError, match="--names must be 2 different names"):
            compare("right.h5", "off.h5", "--truth", "t.npy", "--names", *names)


def test_names_of_files_in_folders_tell_them_apart(folder):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / "right.h5").rename(folder / name / "pred.h5") if name == "a" else None
    (folder / "off.h5").rename(folder / "b" / "pred.h5")
    lines = rows_of(compare("a/pred.h5", "b/pred.h5", "--truth", "t.npy", "--format", "csv").output)
    assert {line["model"] for line in lines} == {"a/pred", "b/pred"}


def test_groups_and_noise_are_passed_on(folder):
    np.save("g.npy", np.repeat(["a", "b", "c", "d", "e", "f"], POINTS // 6))
    gaussian(1.0, points=POINTS, noise=None).save("silent.h5")
    table = expected("right", "silent", truth="t.npy", groups=np.load("g.npy"), noise_std=0.7)
    args = ("right.h5", "silent.h5", "--truth", "t.npy", "--groups", "g.npy", "--noise-std", "0.7", "--format", "json")
    told = json.loads(compare(*args).output)
    assert told["groups"] == 6
    for model in table.index:
        cell = told["scores"]["NLL"]["models"][model]
        assert (cell["value"], cell["error"]) == (table.at[model, "NLL"], table.errors.at[model, "NLL"])


def test_missing_noise_is_told_in_the_words_of_the_command_line(folder):
    gaussian(1.0, points=POINTS, noise=None).save("silent.h5")
    args = ("right.h5", "silent.h5", "--truth", "t.npy")
    for output in (compare(*args).output, compare(*args, "--format", "json").output):
        assert "scored on its epistemic spread alone; pass --noise-std." in output and "noise_std" not in output


def test_truth_and_groups_are_columns_of_tables(folder):
    import pandas as pd

    t, groups = np.load("t.npy"), np.repeat(["a", "b", "c", "d", "e", "f"], POINTS // 6)
    table = pd.DataFrame({"patient": groups, " y": t.reshape(POINTS)})
    table.to_csv("t.csv", index=False)
    (folder / "t.csv").write_text((folder / "t.csv").read_text() + "\n")
    args = ("right.h5", "off.h5", "--truth", "t.csv::y", "--groups", "t.csv::patient", "--format", "json")
    plain = ("right.h5", "off.h5", "--truth", "t.npy", "--groups", "g.npy", "--format", "json")
    np.save("g.npy", groups)
    assert compare(*args).output == compare(*plain).output


def test_rows_that_a_file_lacks_are_left_out_for_all_and_counted(folder):
    t, rows = np.load("t.npy"), np.arange(0, POINTS, 2)
    with_rows(folder / "skip.h5", gaussian(1.0, points=len(rows), noise=0.5), rows)
    with_gaps(folder / "keep.h5", gaussian(1.0, points=POINTS, noise=0.5), [0, 1, 4])
    args = ("right.h5", "skip.h5", "keep.h5", "--truth", "t.npy", "--format", "json")
    told = json.loads(compare(*args).output)
    common = np.setdiff1d(rows, [0, 4])
    whole = gaussian(1.0, points=len(common), noise=0.5)
    assert told["points"] == len(common)
    value = mcdrop.compare({"right": whole}, t[common]).at["right", "RMSE"]
    assert {cell["value"] for cell in told["scores"]["RMSE"]["models"].values()} == {value}
    remark = (
        f"{POINTS - len(common)} of {POINTS} rows are left out, since not every file predicts them: skip 30, keep 3."
    )
    assert told["notes"][0] == remark
    assert remark in compare(*args[:-2]).output


def test_a_file_is_written_in_the_format_of_its_ending_and_not_over_another(folder):
    args = ("right.h5", "off.h5", "--truth", "t.npy")
    for name in ("out/a.csv", "out/a.json", "out/a.txt"):
        form = {"csv": "csv", "json": "json", "txt": "table"}[name.rpartition(".")[2]]
        assert compare(*args, "--out", name).output == f"Written to {name}\n"
        written = (folder / name).read_text(encoding="utf-8")
        if form != "table":
            assert written == compare(*args, "--format", form).output
        assert "RMSE" in written
        with pytest.raises(OutputError, match=f"cannot write {name}: it is there already; pass --overwrite"):
            compare(*args, "--out", name)
        compare(*args, "--out", name, "--overwrite")
    assert not list((folder / "out").glob(".partial*"))


def test_an_infinite_score_is_a_text_in_json(folder):
    mcdrop.ClassificationPredictive.from_probs(np.tile([1.0, 0.0, 0.0], (POINTS, 1))).save("sure.h5")
    args = ("sure.h5", "sharp.h5", "--truth", "y.npy")
    told = json.loads(compare(*args, "--format", "json").output, parse_constant=pytest.fail)
    cell = told["scores"]["NLL"]["models"]["sure"]
    assert cell == {"value": "inf", "error": None, "judgment": "worse"}
    line = next(line for line in rows_of(compare(*args, "--format", "csv").output) if line["score"] == "NLL")
    assert math.isinf(float(line["value"])) and line["error"] == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("sharp.h5", "right.h5", "--truth", "y.npy"), "compare each kind by itself"),
        (("sharp.h5", "--truth", "t.npy"), "class numbers from 0"),
        (("right.h5", "--truth", "short.npy"), r"got 3 in short.npy, while right.h5 has 60 points"),
        (("right.h5", "--truth", "t.npy", "--groups", "short.npy"), "got 3 in short.npy"),
        (("right.h5", "--truth", "nan.npy"), "in 1 of 60 rows, first in row 7"),
        (("nowhere.h5", "--truth", "t.npy"), "nowhere.h5: expected a result that mcdrop saved, got no such file"),
        (("t.npy", "--truth", "t.npy"), "t.npy: expected a result that mcdrop saved, got a file that is no HDF5"),
        (("right.h5", "right.h5", "--truth", "t.npy"), "twice"),
        (("sharp.h5", "--truth", "y.npy", "--noise-std", "1"), "--noise-std is for regressions, got classifications"),
        (("right.h5", "--truth", "t.npy", "--format", "xml"), "--format must be one of 'table', 'csv', 'json'"),
    ],
)
def test_what_does_not_fit_is_said_plainly(folder, args, message):
    np.save("short.npy", np.zeros(3))
    nan = np.load("t.npy")
    nan[7] = np.nan
    np.save("nan.npy", nan)
    with pytest.raises(McdropError, match=message) as caught:
        compare(*args)
    assert "\n" not in str(caught.value)

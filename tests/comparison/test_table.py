"""The table: what it prints, what it says, and what becomes of it in pandas."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from comparison.made import POINTS, certain, classifier, gaussian, labels, truth
from mcdrop import InputError, compare
from mcdrop.comparison import Comparison
from mcdrop.comparison.table import _format


@pytest.fixture(scope="module")
def table():
    models = {"narrow": gaussian(0.5), "MC dropout": gaussian(1.02), "GP": gaussian(1.0, noise=None)}
    return compare(models, truth(), resamples=200)


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")


def test_it_is_a_data_frame_with_models_as_rows_in_the_order_given(table):
    assert isinstance(table, Comparison)
    assert isinstance(table, pd.DataFrame)
    assert list(table.index) == ["narrow", "MC dropout", "GP"]
    for frame in (table.errors, table.best, table.tied):
        assert type(frame) is pd.DataFrame
        assert frame.index.equals(table.index)
        assert frame.columns.equals(table.columns)
    assert (table.dtypes == np.float64).all()
    assert (table.best.dtypes == np.bool_).all()
    assert table.attrs["units"]["CRPS"] == "units of y"
    assert (table.attrs["points"], table.attrs["resamples"], table.attrs["seed"]) == (POINTS, 200, 0)


def test_directions_say_what_is_better(table):
    assert table.directions["NLL"] == "lower"
    assert table.directions["coverage 90%"] == 0.9
    assert table.directions["width 90%"] is None


@pytest.mark.usefixtures("wide")
def test_it_prints_values_errors_and_marks_with_a_legend_and_the_notes(table):
    lines = str(table).split("\n")
    assert repr(table) == str(table)
    start = lines[0].index("NLL") - 20
    cells = {line.split("  ")[0].strip(): line[start : lines[0].index("NLL") + 3] for line in lines[1:4]}
    best = table["NLL"].idxmin()
    assert f"{table.at[best, 'NLL']:.3f} ± {table.errors.at[best, 'NLL']:.3f}*" in str(table)
    assert "±" in cells["narrow"]
    assert lines[4] == ""
    assert lines[5] == "value ± standard error (400 points, 200 bootstrap resamples)"
    assert lines[6].startswith("* best; ~ within noise")
    assert lines[7].startswith("GP: no observation noise is known")
    assert str(table).count("*") == int(table.best.sum().sum()) + 1
    assert str(table).count("~") == int(table.tied.sum().sum()) + 1
    assert table.tied.any(axis=None)


def test_a_narrow_terminal_breaks_the_table_and_not_its_cells(table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = str(table).split("value ± standard error")[0].split("\n")
    assert max(map(len, rows)) <= 82
    assert str(table).count("MC dropout") > 1


def test_html_is_escaped_and_says_the_same(table):
    html = table._repr_html_()
    assert html.count("<tr") == 4
    assert "within noise of the best" in html
    strange = compare({"<b>": gaussian(), "&": gaussian(0.5, noise=None)}, truth(), resamples=100)._repr_html_()
    assert "<b>" not in strange
    assert "&lt;b&gt;" in strange
    assert "&amp;: no observation noise" in strange


def test_a_verdict_is_one_sentence_per_score(table):
    said = dict(line.split(": ", 1) for line in table.verdict())
    assert list(said) == list(table.columns)
    assert said["RMSE"].startswith("narrow, MC dropout and GP are equally best, ")
    assert "narrow (" in said["NLL"]
    assert said["NLL"].endswith("is worse")
    assert "is within noise" in said["NLL"]
    assert "closest to 0.95, " in said["coverage 95%"]
    assert said["coverage 95%"].endswith("is farther")
    assert said["width 95%"].startswith("narrow 1.96 ± 0, MC dropout ")


def test_a_single_model_is_neither_best_nor_compared():
    table = compare({"GP": gaussian()}, truth(), scores=["NLL", "RMSE"], resamples=100)
    assert not table.best.any(axis=None)
    assert "*" not in str(table)
    assert table.verdict()[0].startswith("NLL: GP 1.")


def test_a_gap_is_a_dash_and_not_a_number():
    y = labels()
    score = "AUROC wrong, mutual information"
    table = compare({"softmax": certain(classifier(y).probs)}, y, scores=[score], resamples=100)
    assert str(table).split("\n")[1].split() == ["softmax", "-"]
    assert table.verdict() == [f"{score}: no model has it"]
    assert table.at["softmax", score] is pd.NA
    assert "nan" not in str(table).lower()


def test_selections_and_copies_are_plain_tables(table):
    for plain in (table[["NLL"]], table.loc[["GP"]], table.sort_values("NLL"), table.T, table.copy(), copy.copy(table)):
        assert type(plain) is pd.DataFrame
    assert table[["NLL"]].attrs["units"]["NLL"] == "nats"
    assert "±" not in str(table[["NLL"]])


def test_it_survives_pickling(table):
    again = pickle.loads(pickle.dumps(table))
    assert isinstance(again, Comparison)
    assert str(again) == str(table)
    assert again.directions == table.directions


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.41234, 0.0312, "0.412 ± 0.031"),
        (1.0, 0.0996, "1.000 ± 0.100"),
        (123.456, 4.2, "123.5 ± 4.2"),
        (1234.5, 42.0, "1234 ± 42"),
        (1234.5, 420.0, "1234 ± 420"),
        (3e7, 4e4, "3e+07 ± 4e+04"),
        (1e-9, 2.5e-11, "1e-09 ± 2.5e-11"),
        (0.95, 0.0, "0.95 ± 0"),
        (float("inf"), None, "inf"),
        (-0.5, 0.25, "-0.50 ± 0.25"),
    ],
)
def test_the_error_has_two_digits_and_the_value_as_many_decimals(value, error, text):
    assert _format(value, error) == text


@pytest.fixture
def own():
    models = {"narrow": gaussian(0.5), "right": gaussian(1.0), "wide": gaussian(2.0)}
    return compare(models, truth(), scores=["NLL", "CRPS"], resamples=100)


def starred(table):
    return {model for model, text in table.cells()["NLL"].items() if text.endswith("*")}


IN_PLACE = pytest.mark.filterwarnings("ignore:The inplace keyword")  # is on its way out of pandas, and still used


@IN_PLACE
@pytest.mark.parametrize(
    "sort",
    [
        lambda t: t.sort_values("NLL", ascending=False, inplace=True),
        lambda t: t.sort_index(inplace=True),
        lambda t: t.sort_index(axis=1, inplace=True),
    ],
)
def test_sorted_in_place_the_marks_go_with_their_models(own, sort):
    expected = {line.split(": ")[0]: line for line in own.verdict()}
    sort(own)
    assert starred(own) == {"right"}
    assert {line.split(": ")[0]: sorted(line) for line in own.verdict()} == {k: sorted(v) for k, v in expected.items()}
    assert [line.split()[0] for line in str(own).split("\n")[1:4]] == list(own.index)


def set_value(table):
    table.iloc[0, 0] = 9


@IN_PLACE
@pytest.mark.parametrize(
    "change",
    [
        set_value,
        lambda t: t.__setitem__("new", 1.0),
        lambda t: t.drop(index="wide", inplace=True),
        lambda t: t.drop(columns="NLL", inplace=True),
        lambda t: t.rename(index={"wide": "broad"}, inplace=True),
        lambda t: t.rename(columns={"NLL": "loss"}, inplace=True),
    ],
)
def test_changed_in_place_it_is_a_plain_table_without_verdict(own, change):
    change(own)
    assert str(own) == str(pd.DataFrame(own))
    assert "±" not in own._repr_html_()
    for ask in (own.verdict, own.cells):
        with pytest.raises(InputError, match=r"values or labels were changed in place; change a copy .* table\.copy"):
            ask()


def test_the_legend_names_the_limit_of_noise(own):
    assert "at most 1.97 standard errors of the difference (95% of Student's t, 399 degrees of freedom)" in str(own)

"""CSV and TSV files: columns, empty cells, texts, and lines that do not fit."""

import gzip
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcdrop.errors import DataError, InputError
from mcdrop.sources import delimited, nan_rows, open_source

NAN = float("nan")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.csv"


def read(path, text, **options):
    path.write_text(text)
    with open_source(path, **options) as source:
        return source.read(0, len(source)).tolist()


def refusal(path, text, kind=DataError, **options):
    with pytest.raises(kind) as caught:
        read(path, text, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_columns_come_in_the_order_they_are_named_in(path):
    text = "a,b,c\n1,2,x\n3,4,y\n"
    assert read(path, text, columns=["b", "a"]) == [[2, 1], [4, 3]]
    assert read(path, text, columns=["b"]) == [[2], [4]]
    with open_source(path, columns=["b", "a"]) as source:
        assert source.describe() == "x.csv, 2 rows of (2,) float64 (b, a)"
        assert source.about["options"] == {"columns": ["b", "a"]}


@given(st.lists(st.floats(), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_every_number_comes_back_to_the_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    rows = read(path, "a,b\n" + "".join(f"{value!r},0\n" for value in values))
    np.testing.assert_array_equal([row[0] for row in rows], values)


def test_empty_cells_and_short_lines_are_nan(path):
    text = "a,b\n1,2\n,3\n4\n5,\nNA,nan\n,\n"
    np.testing.assert_array_equal(read(path, text), [[1, 2], [NAN, 3], [4, NAN], [5, NAN], [NAN, NAN], [NAN, NAN]])
    with open_source(path) as source:
        assert nan_rows(source.read(0, 6)).tolist() == [False, True, True, True, True, True]


def test_lines_without_anything_are_rows_in_a_file_of_one_column_only(path):
    assert read(path, "a,b\n1,2\n\n3,4\n\n\n") == [[1, 2], [3, 4]]
    np.testing.assert_array_equal(read(path, "a\n1\n\n3\n"), [[1], [NAN], [3]])


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_an_empty_line_at_the_end_of_one_column_is_no_row(tmp_path, line_break, compress):
    path = tmp_path / ("x.csv" if compress is bytes else "x.csv.gz")
    texts = {
        "a\n1\n2": [1, 2],
        "a\n1\n2\n": [1, 2],
        "a\n1\n2\n\n": [1, 2],
        'a\n1\n""\n': [1, NAN],
        "a\n\n2\n\n": [NAN, 2],
    }
    for text, rows in texts.items():
        path.write_bytes(compress(text.replace("\n", line_break).encode()))
        with open_source(path) as source:
            np.testing.assert_array_equal(source.read(0, len(source))[:, 0], rows)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4\r\n",
        '"a","b"\n"1",2\n3,4',
        "\n\na,b\n1,2\n3,4",
        " a, b\n 1, 2\n 3, 4\n",
        "a,b\n1,2,\n3,4,\n",
        "a,b\n1e0,+2\n3.,0004\n",
    ],
)
def test_ways_to_write_the_same_table(path, text):
    assert read(path, text) == [[1, 2], [3, 4]]


def test_a_header_is_needed(path):
    message = refusal(path, "1.5,2,3,4\n3,4,5,6\n")
    assert "expected names of columns in the first line, got the numbers 1.5, 2, 3 and 1 more" in message
    assert read(path, "1.5,b\n3,4\n") == [[3, 4]]


@pytest.mark.parametrize("text", ["a;b\n1;2\n", "a;b\n1,5;2,5\n", "a;b;c\n1,5;;x\n"])
@pytest.mark.parametrize("columns", [None, ["a"]])
def test_semicolons_between_cells_are_told(path, text, columns):
    assert "expected commas between its cells, got semicolons; write it with commas" in refusal(
        path, text, columns=columns
    )


def test_a_semicolon_in_a_name_is_nothing_special(path):
    assert read(path, "speed; in knots\n1\n2\n") == [[1], [2]]


def test_a_missing_column_lists_those_there_are_and_the_nearest(path):
    text = "age,weight,height\n1,2,3\n"
    message = refusal(path, text, InputError, columns=["age", "hight"])
    assert "expected a column 'hight', got age, weight, height; did you mean 'height'?" in message
    assert "did you mean" not in refusal(path, text, InputError, columns=["zzz"])
    many = ",".join(f"c{i}" for i in range(100))
    message = refusal(path, f"{many}\n{many.replace('c', '')}\n", InputError, columns=["c100"])
    assert "c18, c19 and 80 more; did you mean 'c10'?" in message or "c18, c19 and 80 more; did you mean" in message


@pytest.mark.parametrize("rows", [0, 1, 70_000])
@pytest.mark.parametrize("text", ["tall", "1_000", "0x10", "1 2", "12,5"])
def test_text_among_numbers_is_told_with_its_row_and_column(path, rows, text):
    before, after = "1,2,foo\n" * rows, "1,2,bar\n" * 3
    message = refusal(path, f'a,b,c\n{before}1,"{text}",foo\n{after}', columns=["b", "a"])
    assert f"expected numbers in column 'b', got {text!r} in row {rows}; leave out the column" in message


def test_without_a_choice_every_column_must_be_numeric(path):
    assert "expected numbers in column 'c', got 'foo' in row 0" in refusal(path, "a,c\n1,foo\n2,bar\n")
    assert read(path, "a,c\n1,foo\n2,bar\n", columns=["a"]) == [[1], [2]]


@pytest.mark.parametrize("text", ["a,b\n1,2\n1,2,3\n", "a,b\n1,2,3\n4,5,6\n", "a,b,c\n1,2,3\n1,5,2,3\n"])
@pytest.mark.parametrize("columns", [None, ["a"]])
def test_lines_with_more_cells_than_the_header(path, text, columns):
    """They shift numbers into other columns, as decimal commas do; pandas lets them pass where columns are chosen."""
    assert "got one that cannot be read (" in refusal(path, text, columns=columns)


def test_names_that_are_missing_or_come_twice(path):
    assert "expected one column 'a', got 2; rename them" in refusal(path, "a,b,a\n1,2,3\n")
    assert read(path, "a,b,a\n1,2,3\n", columns=["b"]) == [[2]]
    assert "expected a name for each column, got an empty one" in refusal(path, ",a\n0,2\n1,3\n")
    assert read(path, ",a\n0,2\n1,3\n", columns=["a"]) == [[2], [3]]


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\n\n\n"])
def test_a_header_alone(path, text):
    assert "expected at least one row, got none" in refusal(path, text)


def test_only_line_breaks(path):
    assert "expected a CSV file, got one that cannot be read" in refusal(path, "\n\n")


def test_other_encodings_are_refused(path):
    path.write_bytes("a,b\n1,é\n".encode("latin-1"))
    with pytest.raises(DataError, match="utf-8"):
        open_source(path, columns=["a"])


def test_a_gzipped_file_that_is_cut_off(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-9])
    with pytest.raises(DataError, match="end-of-stream"):
        open_source(path)


def test_quoted_line_breaks_do_not_make_rows(path):
    rows = [(f'line {i}\n\n,"quoted" and more', float(i)) for i in range(200)]
    pd.DataFrame(rows, columns=["text", "x"]).to_csv(path, index=False)
    with open_source(path, columns=["x"]) as source:
        assert len(source) == 200
        assert source.read(150, 153).tolist() == [[150], [151], [152]]


def test_pieces_are_small_where_texts_are_long(path):
    path.write_text("a,text\n" + f"1,{'x' * 100_000}\n" * 400)
    tracemalloc.start()
    with open_source(path, columns=["a"]) as source:
        source.read(399, 400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source._piece < 400
    assert peak < 400 * 100_000


def test_rows_are_counted_across_pieces(path, monkeypatch):
    monkeypatch.setattr(delimited, "_CELLS", 6)
    assert read(path, "a,b\n" + "".join(f"{i},{i}\n" for i in range(50))) == [[i, i] for i in range(50)]
    message = refusal(path, "a,b\n" + "1,2\n" * 40 + "1,x\n" + "1,2\n" * 5)
    assert "got 'x' in row 40" in message

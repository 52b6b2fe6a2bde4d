"""Labels of groups: texts and numbers from every kind of file, a label for every row."""

import h5py
import numpy as np
import pandas as pd
import pytest

from mcdrop.cli.labels import read_labels
from mcdrop.errors import McdropError

TEXTS = ["may", "june", "may"]


def read(place):
    return read_labels(str(place), option="--groups")


@pytest.mark.parametrize("several", [False, True])
def test_texts_come_back(tmp_path, several):
    columns = {"g": TEXTS} | ({"t": ["a", "b", "c"], "n": [1.0, 2.0, 3.0]} if several else {})
    table = pd.DataFrame(columns)
    table.to_csv(tmp_path / "g.csv", index=False)
    table.to_csv(tmp_path / "g.tsv.gz", index=False, sep="\t")
    table.to_parquet(tmp_path / "g.parquet")
    np.savez(tmp_path / "g.npz", **{name: np.array(values) for name, values in columns.items()})
    with h5py.File(tmp_path / "g.h5", "w") as file:
        for name, values in columns.items():
            file[name] = values
    for name in ("g.csv", "g.tsv.gz", "g.parquet", "g.npz", "g.h5"):
        assert read(f"{tmp_path / name}::g").tolist() == TEXTS, name
        if several and name not in ("g.h5", "g.npz"):  # those have a single array of numbers
            with pytest.raises(McdropError, match=r"^--groups: "):
                read(tmp_path / name)
        elif not several:
            assert read(tmp_path / name).tolist() == TEXTS, name
    np.save(tmp_path / "g.npy", np.array(TEXTS))
    assert read(tmp_path / "g.npy").tolist() == TEXTS


def test_numbers_stay_numbers(tmp_path):
    np.save(tmp_path / "g.npy", np.array([3, 1, 3]))
    assert read(tmp_path / "g.npy").dtype == np.int64
    (tmp_path / "g.csv").write_text("g,t\n3,a\n1,b\n\n")
    assert read(f"{tmp_path / 'g.csv'}::g").tolist() == [3.0, 1.0]


def test_long_numbers_of_a_table_are_told_apart(tmp_path):
    names = ["9007199254740992", "9007199254740993"]
    (tmp_path / "g.csv").write_text("\n".join(["patient,y", *(f"{name},1" for name in names)]))
    assert read(f"{tmp_path / 'g.csv'}::patient").tolist() == names
    pd.DataFrame({"patient": [int(name) for name in names]}).to_parquet(tmp_path / "g.parquet")
    assert read(tmp_path / "g.parquet").tolist() == names


def test_texts_stand_in_the_rows_of_the_inputs(tmp_path):
    (tmp_path / "comma.csv").write_text("g,y\nmay,1,\njune,2,\n")
    assert read(f"{tmp_path / 'comma.csv'}::g").tolist() == ["may", "june"]
    (tmp_path / "g.csv").write_text('x , g\n1,may\n\n2,"june\n1st"\n\n')
    assert read(f"{tmp_path / 'g.csv'}::g").tolist() == ["may", "june\n1st"]


@pytest.mark.parametrize("text", ["g,y\nmay,1\n,2\n", "g\nmay\n\n", "g,y\nmay,1\nNA,2\n"])
def test_a_gap_is_named_by_its_row(tmp_path, text):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(McdropError, match=r"^--groups: .*expected a label in every row, got an empty one in row 1"):
        read(f"{tmp_path / 'g.csv'}::g")


def test_a_gap_of_a_parquet_file_is_named_by_its_row(tmp_path):
    pd.DataFrame({"g": ["may", None]}).to_parquet(tmp_path / "g.parquet")
    with pytest.raises(McdropError, match="an empty one in row 1"):
        read(tmp_path / "g.parquet")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.csv", None, "nothing there"),
        ("g.csv::h", "g,y\nmay,1\n", "expected a column 'h', got g, y"),
        ("g.csv::g", "g,y\nmay,1,2\n", "cannot be read|expected numbers in column"),
        ("g.txt", "may", "got .txt"),
        ("g.h5", "may", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_by_who_reads_numbers(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name.partition("::")[0]).write_text(text)
    with pytest.raises(McdropError, match=f"^--groups: .*({message})"):
        read(tmp_path / name)

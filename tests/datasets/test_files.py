"""The data files as they are stored, and how they are found and opened."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import mcdrop
from mcdrop.datasets import files, load_co2, load_digits
from mcdrop.errors import DataError

from .made import DATA, one_line


@pytest.mark.parametrize("name", ["co2.h5", "digits.h5"])
def test_checksum_is_the_one_in_the_readme(name):
    stated = re.search(rf"`{name}` \| `([0-9a-f]{{64}})`", (DATA / "README.md").read_text()).group(1)
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == stated


@pytest.mark.parametrize("name", ["co2.h5", "digits.h5"])
def test_every_data_set_states_its_units(name):
    def check(_, item):
        if isinstance(item, h5py.Dataset):
            assert item.attrs["units"] and item.attrs["description"]

    with h5py.File(DATA / name, "r") as file:
        assert file.attrs["license"] and file.attrs["source"]
        file.visititems(check)


@pytest.mark.parametrize("load", [load_co2, load_digits])
@pytest.mark.parametrize("kind", ["missing", "not hdf5", "empty", "cut", "cut late"])
def test_unreadable_files_are_refused(tmp_path, load, kind):
    path = tmp_path / "bad.h5"
    whole = (DATA / ("co2.h5" if load is load_co2 else "digits.h5")).read_bytes()
    content = {
        "not hdf5": b"year,ppm\n1958,315\n",
        "empty": b"",
        "cut": whole[:3000],
        "cut late": whole[:-500],
    }
    if kind != "missing":
        path.write_bytes(content[kind])
    with pytest.raises(DataError) as error:
        load(path)
    assert str(path) in one_line(error)


def test_a_damaged_chunk_is_refused(tmp_path):
    raw = bytearray((DATA / "digits.h5").read_bytes())
    raw[400_000:400_400] = bytes(400)
    path = tmp_path / "bad.h5"
    path.write_bytes(raw)
    with pytest.raises(DataError) as error:
        load_digits(path)
    one_line(error)


def test_importing_the_module_is_light():
    code = "import sys, mcdrop.datasets; sys.exit('h5py' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DATA.parent, check=False).returncode == 0


@pytest.mark.parametrize("folder", ["mcdrop/data", "data"])
def test_files_are_found_inside_an_installed_package_and_beside_a_checkout(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "mcdrop" / "datasets" / "files.py"))
    with pytest.raises(DataError) as error:
        load_co2()
    assert "reinstall" in one_line(error)
    (tmp_path / folder).mkdir(parents=True)
    for name in ("co2.h5", "digits.h5"):
        shutil.copy(DATA / name, tmp_path / folder)
    assert files.bundled("digits.h5") == tmp_path / folder / "digits.h5"
    assert load_co2().x.shape == (272, 1)


def test_the_module_that_looks_for_data_lies_in_the_package_it_looks_in():
    assert Path(files.__file__).parents[1] == Path(mcdrop.__file__).parent

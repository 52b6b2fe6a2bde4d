"""Files of results: what comes back, what other readers see, and what happens to files that are not whole."""

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from mcdrop import storage
from mcdrop.errors import DataError, InputError, OutputError
from mcdrop.storage import Variable, writing

DRAWS = np.random.default_rng(0).normal(size=(2, 400, 3))


def variables():
    return {
        "posterior": {
            "lengthscale": Variable(("chain", "draw", "feature"), DRAWS, "years", "length scale"),
            "noise": Variable(("chain", "draw"), DRAWS[..., 0], "ppm"),
        },
        "sample_stats": {"diverging": Variable(("chain", "draw"), DRAWS[..., 0] > 2)},
        "observed_data": {"y": Variable(("point",), np.arange(4.0), "")},
        "constant_data": {
            "size": Variable((), np.asarray(3)),
            "name": Variable(("feature",), np.array(["a", "bé", ""])),
        },
    }


@pytest.fixture
def path(tmp_path):
    return storage.write(tmp_path / "result.nc", "Example", variables(), {"seed": 7, "sites": [{"p": 0.1}]})


def refusal(path):
    with pytest.raises(DataError) as caught:
        storage.read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "expected a result that mcdrop saved, got " in message
    assert "; " in message
    assert "\n" not in message
    return message


def test_what_was_written_comes_back(path):
    archive = storage.read(path)
    assert (archive.kind, archive.path) == ("Example", path)
    assert archive.attributes == {"seed": 7, "sites": [{"p": 0.1}]}
    assert set(archive.groups) == set(variables())
    for group, given in variables().items():
        assert set(archive.groups[group]) == set(given)
        for name, variable in given.items():
            got = archive.variable(group, name)
            assert (got.dims, got.units, got.long_name) == (variable.dims, variable.units, variable.long_name)
            assert got.values.dtype == variable.values.dtype
            np.testing.assert_array_equal(got.values, variable.values)


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (1, 1), (200, 300)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i8", "u1", "u8", "?", "U5"])
def test_every_type_and_shape_comes_back_to_the_bit(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    dims = tuple("pq"[: len(shape)])
    path = storage.write(tmp_path / "a.nc", "Example", {"predictions": {"a": Variable(dims, values)}}, {})
    got = storage.read(path).variable("predictions", "a").values
    assert got.shape == shape
    assert got.tobytes() == values.tobytes()
    if dtype != "U5":
        assert got.dtype == values.dtype


def test_special_numbers_and_other_byte_orders_come_back(tmp_path):
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000, 1], dtype=np.uint64)
    values = np.concatenate([bits.view(np.float64), [np.inf, -np.inf]])
    groups = {"predictions": {"a": Variable(("p",), values), "b": Variable(("p",), np.arange(6, dtype=">f8"))}}
    archive = storage.read(storage.write(tmp_path / "a.nc", "Example", groups, {}))
    assert archive.variable("predictions", "a").values.tobytes() == values.tobytes()
    np.testing.assert_array_equal(archive.variable("predictions", "b").values, np.arange(6.0))


@pytest.mark.parametrize("units", ["days", "seconds", "days since 2000-01-01", "", "µm²"])
def test_no_unit_changes_the_numbers(tmp_path, units):
    """xarray reads some units as spans and dates."""
    groups = {"predictions": {"a": Variable(("p",), np.array([0.5, 1.5]), units)}}
    got = storage.read(storage.write(tmp_path / "a.nc", "Example", groups, {})).variable("predictions", "a")
    assert (got.values.tolist(), got.units) == ([0.5, 1.5], units)


def test_attributes_are_plain_data_of_any_depth(tmp_path):
    given = {
        "int": 3,
        "huge": 2**80,
        "float": 0.1,
        "infinite": float("inf"),
        "text": "é, 'x' and \"y\"",
        "lines": "a\nb\0c",
        "empty": "",
        "looks like JSON": "[1, 2]",
        "none": None,
        "true": True,
        "nested": {"list": [1, [2.5, None]], "long": "x" * 200_000},
        "coordinates": "a",
    }
    archive = storage.read(storage.write(tmp_path / "a.nc", "Example", {}, given))
    assert archive.attributes == given
    assert {name: type(value) for name, value in archive.attributes.items()} == {n: type(v) for n, v in given.items()}


def test_arrays_tuples_and_paths_come_back_as_plain_data(tmp_path):
    given = {"a": np.arange(3), "b": (1, 2), "c": np.float32(0.5), "d": {"path": Path("x"), "n": np.int64(4)}}
    archive = storage.read(storage.write(tmp_path / "a.nc", "Example", {}, given))
    assert archive.attributes == {"a": [0, 1, 2], "b": [1, 2], "c": 0.5, "d": {"path": "x", "n": 4}}


def test_a_file_says_what_it_is_and_which_versions_made_it(path):
    import torch

    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert "_FillValue" not in file["posterior/noise"].attrs  # NaN is a value like any other
    assert attributes["seed"] == 7
    assert attributes["sites"] == '[{"p": 0.1}]'
    assert attributes["creation_library"] == "mcdrop"
    assert attributes["mcdrop_kind"] == "Example"
    assert attributes["mcdrop_numpy_version"] == np.__version__
    assert attributes["mcdrop_torch_version"] == torch.__version__
    assert attributes["mcdrop_python_version"] == ".".join(map(str, sys.version_info[:3]))


def test_arviz_opens_every_group_without_a_warning(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what ArviZ says of itself when it is first imported
        import arviz
    opened = arviz.from_netcdf(path)
    assert {name.strip("/") for name in dict(opened.items())} - {""} == set(variables())
    posterior = opened["posterior"]
    assert posterior["lengthscale"].dims == ("chain", "draw", "feature")
    assert posterior["lengthscale"].attrs == {"units": "years", "long_name": "length scale"}
    np.testing.assert_array_equal(posterior["lengthscale"].sel(chain=1, draw=399), DRAWS[1, 399])
    assert opened.attrs["seed"] == 7
    table = arviz.summary(opened, var_names=["noise", "lengthscale"])
    assert len(table) == 4
    assert float(table["mean"].iloc[0]) == pytest.approx(DRAWS[..., 0].mean(), abs=0.006)


def test_labels_are_for_those_who_open_the_file_elsewhere(tmp_path):
    names = ["x", "y", "z"]
    path = storage.write(tmp_path / "a.nc", "Example", variables(), {}, coords={"feature": names})
    with xarray.open_dataset(path, group="posterior", engine="h5netcdf") as posterior:
        np.testing.assert_array_equal(posterior["lengthscale"].sel(feature="y", chain=0), DRAWS[0, :, 1])
        assert posterior["draw"].values.tolist() == list(range(400))


def test_the_same_contents_are_the_same_bytes(path, tmp_path):
    again = storage.write(tmp_path / "again.nc", "Example", variables(), {"seed": 7, "sites": [{"p": 0.1}]})
    assert path.read_bytes() == again.read_bytes()


def test_large_whole_numbers_are_packed_and_large_arrays_have_checksums_for_all_readers(tmp_path):
    values = {"votes": np.zeros(10**6, int), "mean": np.zeros(10**4), "small": np.zeros(9)}
    groups = {"predictions": {name: Variable((name + "_axis",), array) for name, array in values.items()}}
    path = storage.write(tmp_path / "a.nc", "Example", groups, {})
    with h5py.File(path) as file:
        assert file["predictions/votes"].id.get_storage_size() < 10**5
        assert file["predictions/votes"].fletcher32
        assert file["predictions/mean"].fletcher32
        assert file["predictions/mean"].compression is None
        assert file["predictions/small"].chunks is None


def test_a_file_cut_at_any_length_is_refused(path):
    whole = path.read_bytes()
    for length in [*np.random.default_rng(0).integers(0, len(whole), 150), 0, 7, 8, len(whole) - 1, len(whole) - 48]:
        path.write_bytes(whole[:length])
        assert "empty" in refusal(path) or length
    path.write_bytes(whole)
    storage.read(path)


def test_one_wrong_bit_anywhere_is_refused(path):
    """Some hang HDF5, which therefore must not see them."""
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in [*rng.integers(0, len(whole), 300), *range(len(whole) - 60, len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        refusal(path)


def test_a_file_that_another_program_changed_is_refused(path):
    with h5py.File(path, "a") as file:
        file["posterior/noise"][0, 0] = 99.0
    message = refusal(path)
    assert "checksum" in message


def make_foreign(kind, place):
    if kind == "text":
        place.write_text("year,ppm\n1958,315\n")
    elif kind == "PNG":
        place.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif kind == "HDF5":
        with h5py.File(place, "w") as file:
            file["x"] = np.arange(3)
    elif kind == "NetCDF4":
        xarray.Dataset({"x": ("p", np.arange(3))}).to_netcdf(place, engine="h5netcdf")
    elif kind == "NetCDF3":
        xarray.Dataset({"x": ("p", np.arange(3.0))}).to_netcdf(place, engine="scipy")
    elif kind == "folder":
        place.mkdir()
    elif kind == "empty":
        place.touch()


@pytest.mark.parametrize(
    ("kind", "got"),
    [
        ("text", "no HDF5 and starts with b'year,ppm'; check the path"),
        ("PNG", "no HDF5 and starts with b'\\x89PNG"),
        ("NetCDF3", "no HDF5 and starts with b'CDF"),
        ("HDF5", "an HDF5 file that mcdrop did not write; open it with"),
        ("NetCDF4", "an HDF5 file that mcdrop did not write; open it with"),
        ("folder", "a folder; check the path"),
        ("empty", "an empty file; check the path"),
        ("missing", "no such file; check the path"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path, kind, got):
    place = tmp_path / "a.nc"
    make_foreign(kind, place)
    assert got in refusal(place)


def test_a_file_of_a_later_format_asks_for_a_later_mcdrop(tmp_path, monkeypatch):
    monkeypatch.setattr("mcdrop.storage.attributes.FORMAT", 2)
    path = storage.write(tmp_path / "a.nc", "Example", {}, {})
    message = refusal(path)
    assert "format 2 of mcdrop" in message
    assert "reads up to format 1; install a newer one" in message


def test_a_file_that_may_not_be_read_says_so(path, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mcdrop.storage.reading.inspect", denied)
    assert "check its permissions" in refusal(path)


def test_missing_variables_are_a_data_error(path):
    with pytest.raises(DataError, match=r"expected 'nothing' in group 'posterior' of a saved Example, got none"):
        storage.read(path).variable("posterior", "nothing")
    with pytest.raises(DataError, match="in group 'prior'"):
        storage.read(path).variable("prior", "noise")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("flush failed"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["before", "midway", "after"])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, error, moment):
    old, build = path.read_bytes(), writing._build

    def failing(file, *contents):
        if moment != "before":
            build(file, *contents)
        if moment == "midway":
            os.truncate(file, 1000)
        raise error

    monkeypatch.setattr(writing, "_build", failing)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError
    with pytest.raises(expected) as caught:
        storage.write(path, "Other", {}, {})
    if expected is OutputError:
        assert str(path) in str(caught.value)
        assert "choose a writable folder with enough space" in str(caught.value)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(path):
    old = path.read_bytes()
    code = (
        "import os, sys, numpy, mcdrop.storage as s\n"
        "from mcdrop.storage import writing\n"
        "writing.seal = lambda file: os._exit(9)\n"
        "s.write(sys.argv[1], 'Other', {'predictions': {'a': s.Variable(('p',), numpy.ones(9))}}, {})\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_bytes() == old


def test_a_full_disk_is_found_before_hdf5_meets_it(path):
    old = path.read_bytes()
    code = (
        "import resource, sys, numpy, mcdrop.storage as s\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    s.write(sys.argv[1], 'Other', {'predictions': {'a': s.Variable(('p',), numpy.ones(50_000))}}, {})\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "File too large; choose a writable folder with enough space" in done.stdout
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_that_cannot_reserve_space_is_written_all_the_same(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    assert storage.read(storage.write(tmp_path / "a.nc", "Example", {}, {})).kind == "Example"
    monkeypatch.delattr(os, "posix_fallocate")
    assert storage.read(storage.write(tmp_path / "a.nc", "Other", {}, {})).kind == "Other"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/such/folder.nc", "No such file"), (".", "it is a folder"), ("file/a.nc", "Not a directory")],
)
def test_places_that_cannot_be_written_are_refused(tmp_path, name, reason):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"cannot write .*: {reason}.*; choose a writable folder with enough space"):
        storage.write(tmp_path / name, "Example", {}, {})
    assert [place.name for place in tmp_path.iterdir()] == ["file"]


def test_a_file_is_replaced_while_it_is_open_and_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link.nc"
    link.symlink_to(path)
    with xarray.open_datatree(path, engine="h5netcdf"):
        assert storage.write(link, "Other", {}, {}) == link
        assert storage.read(path).kind == "Other"
    assert link.is_symlink()


def test_relative_paths_and_text_paths_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    assert storage.write("~/a.nc", "Example", {}, {"n": 1}) == Path("~/a.nc")
    assert storage.read("~/a.nc").attributes == {"n": 1}
    assert (tmp_path / "~" / "a.nc").is_file()


ONE = Variable(("p",), np.ones(3))


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ({"other": {"a": ONE}}, {}, "must be one that ArviZ knows, got 'other'"),
        ({"posterior": {"a": Variable(("p",), np.ones((3, 2)))}}, {}, "one name for each axis"),
        ({"posterior": {"a": Variable(("p", "p"), np.ones((3, 3)))}}, {}, "one name for each axis"),
        ({"posterior": {"a": ONE, "b": Variable(("p",), np.ones(4))}}, {}, "axis 'p' .* got 3 and 4"),
        ({"posterior": {"a": Variable(("p",), np.ones(3) * 1j)}}, {}, "real numbers, .*got complex128; convert it"),
        ({"posterior": {"a": Variable(("p",), np.array([None, 1, 2]))}}, {}, "got object; convert it"),
        ({"posterior": {"a": Variable(("p",), np.ones(3, np.longdouble))}}, {}, "got float128; convert it"),
        ({"posterior": {"a/b": ONE}}, {}, "without '/', got 'a/b'"),
        ({"posterior": {"p": ONE}}, {}, "names of their own without '/', got 'p'"),
        ({"posterior": {"a": ONE}}, {"coords": {"p": [1, 2]}}, "as many labels, got 2 and 3"),
        ({"posterior": {"a": ONE}}, {"coords": {"q": [1, 2]}}, "must label axes of the variables, got q"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, groups, options, message):
    with pytest.raises(InputError, match=message):
        storage.write(tmp_path / "a.nc", "Example", groups, {}, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"net": object()}, "attribute 'net' must be plain data .*: object is no plain data"),
        ({"deep": {"net": {1, 2}}}, "attribute 'deep' must be plain data .*: set is no plain data"),
        ({"mcdrop_kind": "x"}, "do not begin with .* got 'mcdrop_kind'; rename it"),
        ({"_hidden": 1}, "got '_hidden'"),
        ({"": 1}, "got ''"),
        ({"two\nlines": 1}, "one-line names"),
        ({3: 1}, "got 3"),
        ({"CLASS": 1}, "which NetCDF4 keeps for itself, got 'CLASS'; rename it"),
        ({"NAME": "x"}, "got 'NAME'; rename it"),
        ({"REFERENCE_LIST": 1}, "got 'REFERENCE_LIST'; rename it"),
        ({"DIMENSION_LIST": 1}, "got 'DIMENSION_LIST'; rename it"),
        ({"DIMENSION_LABELS": 1}, "got 'DIMENSION_LABELS'; rename it"),
        ({"é" * 129: 1}, r"at most 256 bytes, got 258 in 'é+'\.\.\.; shorten it"),
        ({"a" * 70_000: 1}, r"at most 256 bytes, got 70000 in 'a{20}'\.\.\.; shorten it"),
    ],
)
def test_attributes_that_cannot_be_kept_are_refused(tmp_path, attributes, message):
    with pytest.raises(InputError, match=message):
        storage.write(tmp_path / "a.nc", "Example", {}, attributes)
    assert not list(tmp_path.iterdir())


def test_a_seal_changes_nothing_for_other_readers(tmp_path, monkeypatch):
    sealed = storage.write(tmp_path / "sealed.nc", "Example", variables(), {})
    monkeypatch.setattr(writing, "seal", lambda file: None)
    bare = storage.write(tmp_path / "bare.nc", "Example", variables(), {})
    assert sealed.read_bytes().startswith(bare.read_bytes())
    assert "without its checksum" in refusal(bare)
    with xarray.open_datatree(sealed) as one, xarray.open_datatree(bare) as other:
        assert one.identical(other)


def test_names_of_attributes_may_be_as_long_as_netcdf_allows(tmp_path):
    given = {"a" * 256: 1, "class": 2, "Name": 3}
    assert storage.read(storage.write(tmp_path / "a.nc", "Example", {}, given)).attributes == given


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    pipe, folder, link = tmp_path / "pipe", tmp_path / "folder", tmp_path / "link"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(pipe)
    for place in (pipe, link):
        with pytest.raises(OutputError, match=f"cannot write {pipe}: it is a pipe, a socket or a device, and no file"):
            storage.write(place, "Example", {}, {})
    with pytest.raises(OutputError, match="it is a folder"):
        storage.write(folder, "Example", {}, {})
    assert pipe.is_fifo() and folder.is_dir() and link.is_symlink()
    assert {place.name for place in tmp_path.iterdir()} == {"pipe", "folder", "link"}


@pytest.mark.parametrize("path", [3, b"a.nc", None, 1.5, "a\0b.nc", Path("a\0b.nc"), "\ud800.nc"])
def test_what_is_no_path_is_refused(path):
    for use in (storage.read, lambda place: storage.write(place, "Example", {}, {})):
        with pytest.raises(InputError, match=r"path must .*, got .*; "):
            use(path)


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o664])
def test_a_new_file_has_the_permissions_of_the_old_one_and_is_private_until_then(path, monkeypatch, mode):
    seen = []
    monkeypatch.setattr(writing, "seal", lambda file: seen.append(file.stat().st_mode & 0o777))
    path.chmod(mode)
    storage.write(path, "Other", {}, {})
    assert path.stat().st_mode & 0o777 == mode
    assert seen == [0o600]


def test_a_first_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    written = storage.write(tmp_path / "a.nc", "Example", {}, {})
    assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_kind_that_is_no_text_is_refused(tmp_path, monkeypatch):
    own = writing.own
    monkeypatch.setattr(writing, "own", lambda kind: own(kind) | {"mcdrop_kind": np.arange(3)})
    assert "its kind is array" in refusal(storage.write(tmp_path / "a.nc", "Example", {}, {}))

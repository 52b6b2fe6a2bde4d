"""What is sealed comes back, the same contents are the same bytes, and any change is noticed."""

import pytest
import torch

from mcdrop.errors import DataError, InputError
from mcdrop.sealed import checksum, plain, read_sealed, write_sealed

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def write(path, tensors, about=None):
    write_sealed(path, tensors, about or {}, advice="")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 4)], ids=str)
def test_tensors_of_all_types_and_shapes_come_back(tmp_path, dtype, shape):
    value = torch.arange(24).reshape(2, 3, 4).sum(1).flatten()[: torch.Size(shape).numel()].reshape(shape).to(dtype)
    write(tmp_path / "file", {"a": value})
    tensors, about = read_sealed(tmp_path / "file", advice="")
    assert about == {}
    assert tensors["a"].dtype == dtype and tensors["a"].shape == shape
    assert torch.equal(tensors["a"], value)


def test_views_and_shared_memory_come_back(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    given = {"turned": base.T, "strided": base[:, ::2], "spread": base[0, 0].expand(5), "whole": base, "again": base}
    write(tmp_path / "file", given)
    tensors, _ = read_sealed(tmp_path / "file", advice="")
    assert all(torch.equal(tensors[name], value) for name, value in given.items())


def test_equal_contents_are_equal_bytes_in_any_order(tmp_path):
    values = {f"tensor {number}": torch.full((number,), 1.0 * number) for number in range(1, 9)}
    write(tmp_path / "a", values, {"x": 1, "y": 2})
    write(tmp_path / "b", dict(reversed(values.items())), {"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    about = {"seed": 7}
    write(path, {"a": torch.arange(4.0), "b": torch.arange(3)}, about)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            tensors, found = read_sealed(path, advice="make it again")
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:  # a renamed seal is a file of someone else's; blanks of the header's padding mean nothing
            assert found is None or (found == about and torch.equal(tensors["a"], torch.arange(4.0)))


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({"x": torch.ones(2)}, {"y": torch.ones(2)}),
        ({"x": torch.ones(2)}, {"x": torch.ones(2, 1)}),
        ({"x": torch.zeros(2)}, {"x": torch.zeros(2, dtype=torch.int32)}),
        ({"x": torch.zeros(2)}, {"x": torch.tensor([0.0, -0.0])}),
    ],
)
def test_the_checksum_sees_names_shapes_types_and_bytes(values, other):
    assert checksum({}, values) != checksum({}, other)
    assert checksum({}, values) != checksum({"a": 1}, values)
    assert checksum({}, values) == checksum({}, values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, torch.ones(1), b"bytes"])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(InputError, match="about must hold texts, finite numbers"):
        plain({"value": value})


def test_plain_data_is_as_it_comes_back():
    assert plain({"a": (1, 2), "b": None}) == {"a": [1, 2], "b": None}
    with pytest.raises(InputError, match="about must be a mapping"):
        plain([1])


def test_kinds_that_the_format_lacks_are_refused(tmp_path):
    for value in (torch.zeros(2, dtype=torch.complex128), torch.eye(2).to_sparse()):
        with pytest.raises(InputError, match="expected dense tensors"):
            write(tmp_path / "file", {"a": value})
    assert not list(tmp_path.iterdir())

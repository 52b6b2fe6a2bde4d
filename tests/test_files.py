"""A file is written whole or not at all, whatever goes wrong on the way."""

import os
import stat

import pytest

from mcdrop.errors import OutputError
from mcdrop.files import check_folder, check_place, write_whole


def write(target, text="new"):
    write_whole(target, lambda path: path.write_text(text), advice="try elsewhere")


def test_the_folder_is_made_and_only_the_file_is_there(tmp_path):
    target = tmp_path / "a" / "b" / "file.txt"
    write(target)
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_the_writer_gets_a_hidden_place_in_the_same_folder_with_the_same_ending(tmp_path):
    seen = []
    write_whole(tmp_path / "file.h5", lambda path: seen.append((path, path.exists())), advice="")
    (path, exists) = seen[0]
    assert (path.parent, path.suffix, exists) == (tmp_path, ".h5", True)
    assert path.name.startswith(".partial-")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "file")
        (tmp_path / "plain").write_text("")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "plain")]
    assert modes[0] == modes[1] == 0o666 & ~mask


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), OutputError),
        (RuntimeError("two\nlines"), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (ValueError("a mistake of the writer"), ValueError),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, error, raised):
    target = tmp_path / "file.txt"
    target.write_text("old")

    def fail_half_way(path):
        path.write_text("half")
        raise error

    with pytest.raises(raised):
        write_whole(target, fail_half_way, advice="")
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]
    assert target.read_text() == "old"


def test_the_message_is_one_line_with_path_reason_and_advice(tmp_path):
    def fail(path):
        raise RuntimeError("two\nlines")

    with pytest.raises(OutputError) as caught:
        write_whole(tmp_path / "file.txt", fail, advice="try elsewhere")
    assert str(caught.value) == f"cannot write {tmp_path}/file.txt: two lines; try elsewhere"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_folder_in_the_way_is_not_replaced(tmp_path):
    (tmp_path / "file").mkdir()
    for action in (write, lambda target: check_place(target, advice="try elsewhere")):
        with pytest.raises(OutputError, match=r"cannot write \S*file: something is there that is no file; try elsewh"):
            action(tmp_path / "file")
    assert (tmp_path / "file").is_dir()


def test_a_place_that_can_be_written_is_left_empty(tmp_path):
    check_place(tmp_path / "new" / "file", advice="")
    check_folder(tmp_path / "other", advice="")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "other"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for action in (check_folder, check_place):
        with pytest.raises(OutputError, match=r"cannot write \S*file.*; try elsewhere"):
            action(tmp_path / "file" / "folder" / "name", advice="try elsewhere")

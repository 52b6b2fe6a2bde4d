"""Folders of images: which files are rows, in which order, and images that cannot be."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mcdrop.errors import DataError
from mcdrop.sources import ImageOptions, open_source
from mcdrop.sources.image_folder import natural_key


def fill(folder, *names, size=(3, 2)):
    """Write images, each of the gray level that its place in the list is."""
    for gray, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, gray).save(folder / name)


def rows(folder, **options):
    with open_source(folder, **options) as source:
        return source.names(0, len(source)).tolist()


def refusal(folder, **options):
    with pytest.raises(DataError) as caught, open_source(folder, **options) as source:
        for row in range(len(source)):
            source.read(row, row + 1)
    return str(caught.value)


def test_rows_are_in_natural_order_through_all_subfolders(tmp_path):
    names = ["a/img1.png", "a/img2.PNG", "a/img10.jpg", "a/z.bmp", "a2/b/c.gif", "a10/x.tif", "B.webp", "img.tiff"]
    fill(tmp_path, *names[::-1])
    assert rows(tmp_path) == names
    with open_source(tmp_path, image=ImageOptions(mode="L")) as source:
        gray = np.rint(source.read(1, 4)[:, 0, 0, 0] * 255)
        assert gray.tolist() == [6, 5, 4]
        assert source.names(1, 3).tolist() == names[1:3]
        assert source.names(2, 2).shape == (0,)
        assert source.describe() == f"{tmp_path.name}, 8 rows of (1, 2, 3) float32"


def test_hidden_files_and_others_are_no_rows(tmp_path):
    fill(tmp_path, "a.png", ".b.png", ".hidden/c.png", "d/e.png", "d/.f/g.png")
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "d" / "png").write_text("a")
    assert rows(tmp_path) == ["a.png", "d/e.png"]
    with open_source(tmp_path) as source:
        assert source.describe().endswith("2 rows of (3, 2, 3) float32; 2 files left out that are no images")
    (tmp_path / "notes.txt").unlink()
    with open_source(tmp_path) as source:
        assert source.describe().endswith("; 1 file left out that are no images")


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=6), st.sampled_from(["img{}.png", "{}", "a{}/b.png"]))
def test_numbers_in_names_are_in_their_order(numbers, name):
    names = [name.format(number) for number in numbers]
    assert sorted(names, key=natural_key) == [name.format(number) for number in sorted(numbers)]


@pytest.mark.parametrize(
    "names",
    [
        ["img.png", "img1.png", "img02.png", "img3.png", "img010.png"],
        ["a/z.png", "a-1/a.png", "a1/a.png", "ab/a.png"],
        ["1/10/a", "1/10/b", "2/1/a", "10/1/a"],
        ["0", "00", "1", "A", "b", "C"],
    ],
)
def test_order_of_names(names):
    assert sorted(sorted(names), key=natural_key) == names


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_and_circles_are_not(tmp_path):
    fill(tmp_path / "other", "a.png", "b.png")
    fill(tmp_path / "folder", "c.png")
    (tmp_path / "folder" / "more").symlink_to(tmp_path / "other")
    (tmp_path / "folder" / "again").symlink_to(tmp_path / "other")
    (tmp_path / "folder" / "d.png").symlink_to(tmp_path / "other" / "a.png")
    (tmp_path / "folder" / "circle").symlink_to(tmp_path / "folder")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path / "folder" / "loop")
    assert rows(tmp_path / "folder") == ["again/a.png", "again/b.png", "c.png", "d.png"]
    (tmp_path / "folder" / "e.png").symlink_to(tmp_path / "nowhere")
    assert "No such file" in refusal(tmp_path / "folder")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_link_to_each_other_count_once_by_their_own_names(tmp_path):
    fill(tmp_path, "a/1.png", "b/2.png", "b/c/3.png")
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "c" / "up").symlink_to(tmp_path)
    (tmp_path / "0").symlink_to(tmp_path / "b" / "c")
    assert rows(tmp_path) == ["a/1.png", "b/2.png", "b/c/3.png"]


def test_a_folder_without_images_says_so(tmp_path):
    assert "expected images, files that end in .png, .jpg" in refusal(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    assert "got none among 1 files; check the folder" in refusal(tmp_path)


def test_images_of_several_sizes_need_one(tmp_path):
    fill(tmp_path, "img1.png", "img2.png", "img4.png")
    fill(tmp_path, "img3.png", size=(5, 4))
    message = refusal(tmp_path)
    assert "expected images of one size, 2 x 3 pixels as img1.png is, got 4 x 5 in row 2, img3.png; give the" in message
    with open_source(tmp_path, image=ImageOptions(size=(6, 7))) as source:
        assert source.read(0, 4).shape == (4, 3, 6, 7)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_broken_image_is_told_with_its_name_and_row(tmp_path, content):
    fill(tmp_path, "img1.png", "sub/img2.png", "sub/img3.png", size=(50, 50))
    broken = tmp_path / "sub" / "img2.png"
    broken.write_bytes(broken.read_bytes()[:60] if content is None else content)
    message = refusal(tmp_path)
    assert "expected an image in row 1, sub/img2.png, got one that cannot be read (" in message
    assert "mend it or take it out of the folder" in message
    with open_source(tmp_path) as source:
        assert source.read(2, 3).shape == (1, 3, 50, 50)


def test_an_image_that_is_gone_is_told(tmp_path):
    fill(tmp_path, "img1.png", "img2.png")
    with open_source(tmp_path) as source:
        (tmp_path / "img2.png").unlink()
        with pytest.raises(DataError, match=r"row 1, img2\.png, got one that cannot be read \(No such file"):
            source.read(0, 2)


def test_about_notices_each_image_and_each_option(tmp_path):
    fill(tmp_path, "a.png", "b.png", "c.png")
    seen = []

    def look(**options):
        with open_source(tmp_path, **options) as source:
            assert source.about not in seen
            seen.append(source.about)

    look()
    for options in (ImageOptions(mode="L"), ImageOptions(size=(2, 3)), ImageOptions(mean=(0, 0, 0))):
        look(image=options)
    (tmp_path / "c.png").rename(tmp_path / "d.png")
    look()
    os.utime(tmp_path / "a.png", ns=(0, 10**9))  # not the latest
    look()
    (tmp_path / "a.png").rename(tmp_path / "x")
    (tmp_path / "b.png").rename(tmp_path / "a.png")
    (tmp_path / "x").rename(tmp_path / "b.png")
    look()


def test_names_that_count_alike_are_in_one_order_everywhere(tmp_path):
    names = ["000img1.png", "00img1.png", "0img1.png", "0img01.png", "00img01.png"]
    fill(tmp_path, *names)
    assert rows(tmp_path) == sorted(names)

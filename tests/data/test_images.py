"""Images in arrays: what their sides are, and rows that are no images.

H lines of W pixels.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.test_formats import RAGGED, ids, write_lines

from unmask.data import read
from unmask.errors import DataError

IMAGES = np.arange(5 * 3 * 4).reshape(5, 3, 4) % 17
READ_AS = "each is read as an image of 3×4"


def write(folder, kind, array):
    if kind == "npy":
        np.save(folder / "a.npy", array)
    elif kind == "npz":
        np.savez(folder / "a.npz", array)
    else:
        from safetensors.numpy import save_file

        save_file({"images": array}, folder / "a.safetensors")
    return folder / f"a.{kind}"


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_images(tmp_path, kind, order):
    stored = np.asarray(IMAGES, order=order if kind != "safetensors" else "C")
    corpus = read(write(tmp_path, kind, stored))
    assert ids(corpus) == IMAGES.reshape(5, 12).tolist()
    assert (corpus.shape, corpus.longest, corpus.vocabulary.size) == ((3, 4), 12, 17)
    assert corpus.notes == ["5 examples of 12 tokens", READ_AS]
    assert corpus.split(0.2)[0].shape == (3, 4)
    for same in ({"shape": [3, 4]}, {"shape": (3, 4), "length": 12}, {"documents": True}):
        assert read(tmp_path / f"a.{kind}", **same).shape == (3, 4)


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_rows_that_are_images(tmp_path, kind):
    path = write(tmp_path, kind, IMAGES.reshape(5, 12))
    assert read(path).shape is None
    corpus = read(path, shape=[3, 4])
    assert (corpus.shape, corpus.notes[1]) == ((3, 4), READ_AS)
    assert ids(corpus) == IMAGES.reshape(5, 12).tolist()


def test_an_image_stays_on_disk(tmp_path):
    rows = read(write(tmp_path, "npy", IMAGES)).examples.rows
    assert np.shares_memory(rows.tokens(2), rows.parts[0].values)


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (IMAGES, {"shape": [4, 3]}, r"shape=\[4, 3\]: .* has images of \(3, 4\); leave it out"),
        (IMAGES, {"length": 6}, "length=6 and images of 3×4: leave length out"),
        (IMAGES.reshape(5, 12), {"shape": [3, 5]}, "rows of 12 positions are no images of 3×5"),
        (IMAGES.reshape(5, 12), {"shape": [12]}, "pass height and width of an image"),
        (IMAGES.reshape(5, 12), {"shape": [-3, -4]}, "pass height and width of an image"),
        (IMAGES.reshape(60), {"shape": [3, 4]}, r"a\.npy has no rows of one width"),
        (IMAGES[:, None], {}, r"shape \(5, 1, 3, 4\); pass .*images \(rows, height, width\)"),
    ],
)
def test_images_that_are_none(tmp_path, array, options, words):
    with pytest.raises(DataError, match=words):
        read(write(tmp_path, "npy", array), **options)


def test_images_in_files_that_do_not_go_together(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", IMAGES[:, :2])
    with pytest.raises(DataError, match=r"rows of shape \(2, 4\), and of \(3, 4\); images are of"):
        read(tmp_path)
    np.save(tmp_path / "b.npy", IMAGES.reshape(5, 12))
    with pytest.raises(DataError, match=r"rows of shape \(12,\), and of \(3, 4\)"):
        read(tmp_path)


def test_images_have_no_padding(tmp_path):
    mask = np.ones_like(IMAGES)
    np.savez(tmp_path / "a.npz", ids=IMAGES, attention_mask=mask)
    assert read(tmp_path / "a.npz").shape == (3, 4)
    mask[2, 2] = 0
    np.savez(tmp_path / "a.npz", ids=IMAGES, attention_mask=mask)
    with pytest.raises(DataError, match="rows of 8 to 12 positions are no images of 3×4"):
        read(tmp_path / "a.npz")


def test_tables_have_no_images(tmp_path):
    with pytest.raises(DataError, match="has no rows of one width"):
        read(write_lines(tmp_path / "a.jsonl", [{"ids": row} for row in RAGGED]), shape=[1, 4])


def test_rows_that_may_be_images_are_told(tmp_path):
    rows = np.arange(5 * 784).reshape(5, 784) % 256
    note = read(write(tmp_path, "npy", rows)).notes[1]
    assert note.startswith("if these rows of 784 are images of 28×28, pass shape=[28, 28]")
    assert len(read(write(tmp_path, "npy", rows[:, :780])).notes) == 1  # no square
    assert len(read(write(tmp_path, "npy", rows + 1)).notes) == 1  # 257 ids

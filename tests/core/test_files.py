"""Files are replaced whole or not at all, and errors name the path that was passed."""

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unmask.core.files import check_writable, replacing_file, replacing_folder, write_file


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.fixture
def limited(monkeypatch):
    """A disk on which so many bytes are free."""

    def limit(free):
        write = Path.write_bytes

        def until_full(path, data):
            write(path, data[:free])
            if len(data) > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Path, "write_bytes", until_full)

    return limit


@pytest.mark.parametrize("seed", range(5))
def test_a_disk_that_fills_leaves_the_earlier_file(tmp_path, limited, seed):
    target = tmp_path / "a.bin"
    target.write_bytes(b"earlier")
    limited(random.Random(seed).randrange(1000))
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(target, bytes(1000))
    assert caught.value.filename == str(target)
    assert target.read_bytes() == b"earlier"
    assert names(tmp_path) == ["a.bin"]


def test_a_full_disk_is_found_before_the_work(tmp_path, limited):
    limited(0)
    with pytest.raises(OSError, match="No space left") as caught:
        check_writable(tmp_path / "deep" / "a.bin")
    assert caught.value.filename == str(tmp_path / "deep" / "a.bin")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        (disk / "a.bin").write_bytes(b"earlier")
        check_writable(disk / "a.bin")
        for size in (70_000, 200_000):
            with pytest.raises(OSError, match=r"No space left.*a\.bin"):
                write_file(disk / "a.bin", bytes(size))
            assert names(disk) == ["a.bin"]
        (disk / "b.bin").write_bytes(bytes(60 * 1024))
        with pytest.raises(OSError, match=r"No space left.*a\.bin"):
            check_writable(disk / "a.bin")
        assert names(disk) == ["a.bin", "b.bin"]
        assert (disk / "a.bin").read_bytes() == b"earlier"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"earlier")
    for name in ("a.bin", "b.bin", "deep/er/a.bin"):
        check_writable(tmp_path / name)
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("taken/a.bin", "Not a directory"),
        (".", "Is a directory"),
        ("a" * 300, "File name too long"),
        ("kept.bin", "Permission denied"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path, monkeypatch, name, words):
    (tmp_path / "taken").write_text("")
    (tmp_path / "kept.bin").write_text("")
    # Root may write everything, whatever the flags of a file.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "kept.bin")
    with pytest.raises(OSError, match=words) as caught:
        check_writable(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert names(tmp_path) == ["kept.bin", "taken"]


def test_a_long_name_that_is_allowed_can_be_written(tmp_path):
    target = tmp_path / ("ä" * 120)
    check_writable(target)
    write_file(target, b"new")
    assert names(tmp_path) == [target.name]


def test_a_pipe_is_written_and_never_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(link)
        write_file(link, b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert names(tmp_path) == ["link", "pipe"]


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing_file(tmp_path / "a.bin"):
        (tmp_path / "elsewhere").read_bytes()


def test_an_error_within_a_folder_names_the_folder(tmp_path):
    def write():
        with replacing_folder(tmp_path / "model") as temporary:
            (temporary / "missing" / "weights").write_bytes(b"")

    with pytest.raises(FileNotFoundError) as caught:
        write()
    assert caught.value.filename == str(tmp_path / "model")
    assert names(tmp_path) == []


KILLED = """
import os, signal
from unmask.core.files import replacing_file, replacing_folder
with {writer}({target!r}) as temporary:
    (temporary if temporary.is_file() else temporary / "weights").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("again", [replacing_file, replacing_folder])
@pytest.mark.parametrize("writer", ["replacing_file", "replacing_folder"])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path, writer, again
):
    target, other = tmp_path / "[a].bin", tmp_path / ".[a].bin.more.12345678.tmp"
    other.write_bytes(b"of another name")
    line = [sys.executable, "-c", KILLED.format(writer=writer, target=str(target))]
    assert subprocess.run(line, timeout=60, check=False).returncode == -signal.SIGKILL
    (litter,) = set(tmp_path.iterdir()) - {other}
    with replacing_file(tmp_path / "b.bin"), again(tmp_path / "c"):
        assert litter.exists()
    (tmp_path / "c").rmdir() if (tmp_path / "c").is_dir() else (tmp_path / "c").unlink()
    check_writable(target)
    assert litter.exists()  # a process may just have made it, and not have locked it yet
    os.utime(litter, (0, 0))
    with again(target) as living:
        assert not litter.exists()
        litter.touch()
        os.utime(litter, (0, 0))
        check_writable(target)
        assert not litter.exists()
        assert living.exists()
    assert sorted(tmp_path.iterdir()) == [other, target, tmp_path / "b.bin"]


def test_what_another_user_left_is_in_nobody_s_way(tmp_path, monkeypatch):
    litter = tmp_path / ".a.bin.12345678.tmp"
    litter.write_bytes(b"")
    os.utime(litter, (0, 0))
    unlink = Path.unlink

    def refused(path, missing_ok=False):
        if path == litter:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    write_file(tmp_path / "a.bin", b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"

"""No file of the repository names a place that exists only on somebody's machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Spelt without their slashes, so that this file passes its own test.
PLACES = ("work", "tmp", "home", "root", "Users", "mnt", "scratch", "workspace")
# At the start of a path only: not in relative/paths, https://host/paths or $VARIABLE/paths.
MACHINE_PATH = re.compile(rf"(?<![\w.~\-/)}}\]*])/(?:{'|'.join(PLACES)})/")


def listed_by_git(repository: Path) -> list[Path]:
    """Files that are tracked, or would be at the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return [repository / name for name in sorted(set(output.stdout.split("\0"))) if name]


def machine_paths(path: Path) -> list[str]:
    """Lines of a text file that name such a place; none for binary or deleted files."""
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return []
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]


@pytest.mark.skipif(
    not (REPOSITORY / ".git").exists() or shutil.which("git") is None,
    reason="needs git and a clone: it lists the files to read",
)
def test_no_file_names_a_path_of_one_machine():
    files = listed_by_git(REPOSITORY)
    assert Path(__file__) in files
    found = [line for path in files for line in machine_paths(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("before", ["", "see ", '"', "(", "=", "file:", "`", "'"])
def test_checker_catches_a_machine_path(tmp_path, before, place):
    path = tmp_path / "a.md"
    path.write_text(f"first\n{before}/{place}/somewhere\n")
    [line] = machine_paths(path)
    assert line.startswith(f"{path}:2: ")


@pytest.mark.parametrize("before", ["docs", "..", "~", "https://host.example", "$HOME", "${X}"])
def test_checker_accepts_other_paths(tmp_path, before):
    path = tmp_path / "a.md"
    path.write_text(f"{before}/{PLACES[0]}/somewhere and usr/{PLACES[1]}/x\n")
    assert machine_paths(path) == []


def test_checker_passes_over_binary_files(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"\xff\xfe" + f"/{PLACES[0]}/x".encode())
    assert machine_paths(path) == []

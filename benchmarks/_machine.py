"""What every figure is printed with: the machine, versions and commit."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def about(*packages: str) -> str:
    """One line: machine, threads, versions of torch and these packages, commit."""
    torch_build = f"torch {torch.__version__}"  # names the build, which its metadata may leave out
    versions = [f"unmask {_version('unmask')}", torch_build]
    versions += [f"{name} {_version(name)}" for name in packages]
    machine = platform.processor() or platform.machine()
    threads = f"{torch.get_num_threads()} threads"
    return ", ".join([machine, threads, *versions, f"commit {_commit()}"])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    ask = ["git", "describe", "--always", "--dirty"]
    try:
        here = Path(__file__).parent
        return subprocess.run(ask, cwd=here, capture_output=True, text=True, check=True).stdout[:-1]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

"""A generation kept on disk: what became known when, in one .safetensors file.

B rows, N positions, S steps. Nothing is ever unpickled: the file holds tensors and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmask.core.files import write_file
from unmask.core.optional import library
from unmask.errors import CheckpointError, InputError
from unmask.viz.layout import Layout
from unmask.viz.sheet import check_suffix

FORMAT = "unmask.record"
VERSION = 1
SUFFIX = ".safetensors"
NEEDED = "records are .safetensors files, and safetensors is not installed; type"

_DTYPES = {
    "frames": torch.int32,
    "editable": torch.bool,
    "logprob": torch.float32,
    "commit_step": torch.int32,
    "seeds": torch.int64,
}


@dataclass(frozen=True, eq=False)
class Record:
    """One batch as it emerged, with what is needed to show it and to make it again."""

    frames: Tensor  # (S+1,B,N) int32, -1 where unknown: the canvas, then the tokens after each step
    editable: Tensor  # (B,N) bool: True where generation could write
    logprob: Tensor  # (B,N) float32: log-probability of each token when it was committed
    commit_step: Tensor  # (B,N) int32: the step at which it was
    seeds: Tensor  # (B,) int64
    layout: Layout
    info: Mapping[str, str] = field(default_factory=dict)  # such as model, preset and version

    def __post_init__(self) -> None:
        frames = tuple(self.frames.shape)
        if len(frames) != 3 or not len(self.frames):
            raise InputError(f"frames have shape {frames}; pass (S+1, B, N)")
        shapes = {"frames": frames, "seeds": frames[1:2]}
        for name, dtype in _DTYPES.items():
            tensor, shape = getattr(self, name), shapes.get(name, frames[1:])
            if tensor.dtype != dtype:
                raise InputError(
                    f"{name} is {tensor.dtype}, but a record keeps {dtype}; type {name}.to({dtype})"
                )
            if tensor.shape != shape:
                raise InputError(
                    f"{name} has shape {tuple(tensor.shape)}, but frames {frames} ask for {shape}"
                )
        for key, text in self.info.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise InputError(f"info holds strings; {key!r}: {text!r} is not, type str(...)")

    def save(self, path: str | Path) -> Path:
        """Write the record as one .safetensors file and return its path.

        It is written under a temporary name in the same folder, flushed to the disk and renamed:
        an interrupt or a full disk leaves an earlier file as it was. Raises InputError for
        another suffix, MissingExtraError without safetensors.
        """
        check_suffix(path, SUFFIX)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "layout": self.layout.to_dict(),
            "info": dict(self.info),
        }
        tensors = {name: getattr(self, name).cpu().contiguous() for name in _DTYPES}
        safetensors = library("safetensors.torch", "hf", NEEDED)
        return write_file(path, safetensors.save(tensors, {"record": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> Record:
        """Read what `save` wrote.

        Raises CheckpointError where the file is missing, truncated, or something else.
        """
        if not Path(path).is_file():
            what = "is a folder" if Path(path).is_dir() else "does not exist"
            raise CheckpointError(f"{path} {what}; pass a {SUFFIX} file written by Record.save")
        safetensors = library("safetensors", "hf", NEEDED)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                # Cloned, so that nothing points into a file that may be cut short later.
                found = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
                header = _header(path, file.metadata() or {})
        except safetensors.SafetensorError as error:
            raise CheckpointError(
                f"{path} is truncated or no safetensors file ({error}); record it again"
            ) from error
        missing = sorted(_DTYPES.keys() - found.keys())
        if missing:
            raise CheckpointError(f"{path} is not a complete record: it lacks {', '.join(missing)}")
        tensors = {name: found[name] for name in _DTYPES}
        try:
            return cls(layout=Layout.from_dict(header["layout"]), info=header["info"], **tensors)
        except (InputError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is a damaged record: {error}") from error


def _header(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON that says that this is a record. Raises CheckpointError where it does not."""
    try:
        header = json.loads(metadata.get("record", "null"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is a damaged record: its header is not JSON") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} holds tensors, but no record of a generation; if it is a model, pass its "
            "folder to unmask.load"
        )
    if header.get("version") != VERSION:
        raise CheckpointError(
            f"{path} is a record of version {header.get('version')}, this unmask reads {VERSION}; "
            "type: pip install --upgrade unmask"
        )
    return header

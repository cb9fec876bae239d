"""Records: what is saved comes back, and nothing else is taken for one."""

import dataclasses
import json
import pickle
import sys

import pytest
import safetensors.torch
import torch

from unmask.errors import CheckpointError, InputError, MissingExtraError
from unmask.viz import Layout, Record


@pytest.fixture
def record():
    frames = torch.full((4, 2, 16), -1, dtype=torch.int32)
    frames[1:, :, :8] = 2
    frames[2:, :, 8:] = 1
    return Record(
        frames=frames,
        editable=torch.arange(16).expand(2, 16) >= 4,
        logprob=-torch.rand(2, 16, generator=torch.Generator().manual_seed(0)),
        commit_step=torch.arange(32, dtype=torch.int32).view(16, 2).T,  # not contiguous
        seeds=torch.tensor([3, 2**63 - 1]),
        layout=Layout.board(4, 4, "1234", box=(2, 2)),
        info={"model": "shidoku", "preset": "maskgit", "version": "0.1.0 – ü"},
    )


@pytest.fixture
def path(record, tmp_path):
    return record.save(tmp_path / "a.safetensors")


def tensors(record):
    return {
        field.name: value
        for field in dataclasses.fields(record)
        if isinstance(value := getattr(record, field.name), torch.Tensor)
    }


def assert_same(one, other):
    assert one.layout == other.layout
    assert one.info == other.info
    for name, value in tensors(one).items():
        assert getattr(other, name).dtype == value.dtype
        assert torch.equal(getattr(other, name), value)


def test_save_and_load(record, path):
    assert len(tensors(record)) == 5
    assert_same(record, Record.load(path))
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_loaded_tensors_do_not_hang_on_the_file(record, path):
    loaded = Record.load(path)
    path.write_bytes(b"")
    assert_same(record, loaded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": torch.zeros(4, 2, 16).long()}, r"type frames.to\(torch.int32\)"),
        ({"frames": torch.zeros(2, 16, dtype=torch.int32)}, r"pass \(S\+1, B, N\)"),
        ({"logprob": torch.zeros(2, 15)}, r"logprob has shape \(2, 15\).* \(2, 16\)"),
        ({"seeds": torch.zeros(3).long()}, r"seeds has shape \(3,\)"),
        ({"info": {"steps": 3}}, "info holds strings"),
    ],
)
def test_refuses_tensors_that_do_not_fit(record, change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(record, **change)


def test_an_interrupt_leaves_the_earlier_file(record, path, monkeypatch):
    earlier = path.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dataclasses.replace(record, info={}).save(path)
    assert path.read_bytes() == earlier
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_save_refuses_another_suffix(record, tmp_path):
    with pytest.raises(InputError, match=r"type .*a\.safetensors"):
        record.save(tmp_path / "a.pt")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        Record.load(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="is a folder"):
        Record.load(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 100, 600, -1])
def test_truncated_file(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="truncated or no safetensors"):
        Record.load(path)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="truncated or no safetensors"):
        Record.load(path)


def rewrite(path, *, drop=(), metadata=None, **header):
    """Write the record again without some tensors or with another header."""
    values = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["record"]) | header
    kept = {name: value for name, value in values.items() if name not in drop}
    told = {"record": json.dumps(told)} if metadata is None else metadata
    safetensors.torch.save_file(kept, path, told)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"format": "pt"}}, "no record of a generation"),
        ({"metadata": {"record": "{"}}, "not JSON"),
        ({"metadata": {"record": "[1]"}}, "no record of a generation"),
        ({"format": "other"}, "no record of a generation"),
        ({"version": 2}, "version 2, this unmask reads 1"),
        ({"drop": ["seeds", "logprob"]}, "it lacks logprob, seeds"),
        ({"layout": {"kind": "board", "symbls": []}}, "did you mean 'symbols'"),
        ({"layout": 3}, "damaged record"),
        ({"info": [1]}, "damaged record"),
        ({"info": {"model": 1}}, "info holds strings"),
    ],
)
def test_foreign_and_damaged_files(path, change, message):
    rewrite(path, **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        Record.load(path)
    assert path.name in str(caught.value)


def test_without_safetensors_the_error_names_the_extra(record, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unmask\[hf\]'"):
        record.save(tmp_path / "a.safetensors")

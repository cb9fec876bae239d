"""Neither pieces nor processes change what is learnt: gradients equal to 1e-6."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.gradients import (
    GLOBAL_BATCH,
    STEPS,
    denoiser_of,
    examples,
    gradients,
    padding_of,
)

from unmask import objectives
from unmask.core.random import fold
from unmask.data.padding import Excluded
from unmask.objectives.corruption import stratified_times
from unmask.training.stream import Draws, shuffled

NETWORKS = ["BERT", "x-transformers", "talks", "talks, filled"]
HERE = Path(__file__).parent


def differ(one, other):
    """The largest difference between two records of gradients, relative to the largest gradient."""
    assert one.keys() == other.keys()
    scale = max(float(g.abs().max()) for g in one.values())
    return max(float((one[k] - other[k]).abs().max()) for k in one) / scale


@pytest.fixture(scope="module", params=NETWORKS)
def whole(request, tmp_path_factory):
    seen, _ = gradients(request.param, 1, tmp_path_factory.mktemp("whole"))
    return request.param, seen


@pytest.mark.parametrize("pieces", [4, 8])
def test_pieces_of_a_batch_give_its_gradients(whole, pieces, tmp_path):
    name, seen = whole
    cut, _ = gradients(name, pieces, tmp_path)
    assert differ(seen, cut) < 1e-6


def test_two_processes_give_the_gradients_of_one(whole, tmp_path):
    name, seen = whole
    out = tmp_path / "two.safetensors"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--master_port", "0", "--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0"]
    done = subprocess.run(
        [*launch, str(HERE / "gradients.py"), str(out), name, "2"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    two = load_file(out)
    assert int(two.pop("world")) == 2
    # DDP calls the model by another name.
    two = {k.replace(" module.", " "): v for k, v in two.items()}
    assert differ(seen, two) < 1e-6


def test_the_gradients_are_those_of_the_bound_of_the_whole_batch(whole):
    """By hand: one batch, one call of the objective, divided by all its tokens."""
    name, seen = whole
    denoiser = denoiser_of(name)
    draws = Draws(examples(name=name), STEPS * GLOBAL_BATCH, seed=3)
    rows = [draws[n] for n in range(GLOBAL_BATCH)]
    how = padding_of(name)
    padded = how.pop("padding", Excluded())(
        [e.tokens for _, e in rows], [e.maskable for _, e in rows], **how
    )
    seed = fold(3, torch.arange(GLOBAL_BATCH))
    loss = objectives.complementary(
        denoiser,
        padded.tokens,
        padded.maskable,
        seed,
        time=stratified_times(seed, GLOBAL_BATCH),
        valid=padded.valid,
    )
    loss.loss.backward()
    mine = {f"0 denoiser.{k}": p.grad for k, p in denoiser.named_parameters() if p.grad is not None}
    first = {k: v for k, v in seen.items() if k.startswith("0 ")}
    assert differ(first, mine) < 1e-6


def test_the_mean_of_the_pieces_would_be_another_loss(whole, tmp_path, monkeypatch):
    """The negative control: dividing each piece by its own tokens."""
    from unmask.training import trainer

    name, seen = whole
    counted = trainer.MaskedTrainer._get_num_items_in_batch
    monkeypatch.setattr(
        trainer.MaskedTrainer,
        "_get_num_items_in_batch",
        lambda self, batches, device: counted(self, batches[:1], device) * len(batches),
    )
    cut, _ = gradients(name, 4, tmp_path)
    assert differ(seen, cut) > 1e-3


@pytest.mark.parametrize("pairs", [False, True])
def test_block_diffusion_of_packed_documents_too(pairs, tmp_path):
    """Pieces share rows in other ways, and processes would: each has masks of its own documents."""
    objective = partial(objectives.block_diffusion, pairs=pairs)
    one, *others = (
        gradients("packed", pieces, tmp_path, objective=objective)[0] for pieces in (1, 4, 8)
    )
    for other in others:
        assert differ(one, other) < 1e-5


@pytest.mark.parametrize(
    "objective",
    [
        objectives.count,
        partial(objectives.count, schedule="cosine"),
        objectives.masked_mean,
    ],
)
def test_other_objectives_too(objective, tmp_path):
    one, four = (gradients("BERT", pieces, tmp_path, objective=objective)[0] for pieces in (1, 4))
    assert differ(one, four) < 1e-6


def test_every_epoch_goes_through_all_in_another_order():
    draws = Draws(examples(), 3 * 37, seed=5)
    seen = [[int(draws[e * 37 + i][1].tokens.sum()) for i in range(37)] for e in range(3)]
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(seen[2])
    assert seen[0] != seen[1] != seen[2]
    assert draws[40][0] == 40
    assert not torch.equal(shuffled(37, 5, 0), shuffled(37, 6, 0))
    assert torch.equal(shuffled(37, 5, 1), shuffled(37, 5, 1))

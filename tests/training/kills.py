"""A tiny training run, killed at random moments and continued, until it was killed often enough.

Run as a script: kills.py FOLDER SEED MOMENTS SIGNAL... It prints one line of JSON: how often a run
was killed, and how often one was complete. It fails where something finished was lost or changed.

Each run is a fork of this process, which has imported everything and computed nothing.
"""

import json
import os
import random
import resource
import sys
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import transformers.trainer  # noqa: F401

import unmask
import unmask.models.hf
from unmask.core.files import discard
from unmask.training import RECIPES, train
from unmask.training.trainer import complete, latest

STEPS, FULL = 12, 28  # steps of a run, exit code of a full disk
RECIPE = replace(RECIPES["shidoku"], samples=0, held_out_rows=16)
SETTINGS = {"recipe": RECIPE, "steps": STEPS}


def forked(work) -> int:
    """Return the process id of a fork that does the work; it ends with 0, 1 for an error or 130."""
    child = os.fork()
    if child:
        return child
    torch.set_num_threads(1)
    code = 1
    try:
        work()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Return how a child ended: its exit code, or the negative number of the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def training(folder: Path, full_at: float = 1.0, room: int = 0) -> None:
    """Train, or go on if there is a checkpoint; the steps go to a file beside.

    full_at: share of the run after which no file may have more bytes than `room`.
    """
    resume = latest(folder.with_name(folder.name + ".training")) is not None
    with folder.with_name("steps").open("w") as log:

        def report(at) -> None:
            print(at.step, file=log, flush=True)
            if at.step > full_at * STEPS:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

        try:
            train("shidoku", folder, resume=resume, report=report, **SETTINGS)
        except OSError:
            if full_at == 1:
                raise
            sys.exit(FULL)


def same(folder: Path, reference: Path) -> None:
    """Fail unless both models have the same weights."""
    a, b = (unmask.load(path).state_dict() for path in (folder, reference))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def opened(work: Path) -> None:
    """Fail unless every complete checkpoint is a model."""
    for checkpoint in complete(work):
        unmask.load(checkpoint / "model")


def main(root: Path, seed: int, moments: int, signals: list[int]) -> None:
    """Kill, or fill the disk where the signal is 0, at random moments."""
    moment, reference, folder = random.Random(seed), root / "reference", root / "m"
    work = root / "m.training"
    begun = time.monotonic()
    assert ended(forked(lambda: train("shidoku", reference, **SETTINGS))) == 0
    longest = 1.2 * (time.monotonic() - begun)
    stopped = finished = 0
    while stopped < moments:
        number = moment.choice(signals)
        if number:
            child = forked(lambda: training(folder))
            time.sleep(moment.uniform(0, longest))
            os.kill(child, number)
        else:
            child = forked(partial(training, folder, moment.random(), moment.randrange(1_200_000)))
        code = ended(child)
        assert code in (0, 130, FULL, -number), code
        assert ended(forked(lambda: opened(work))) == 0
        if code == 130:
            newest, steps = latest(work), (root / "steps").read_text().split()
            kept = STEPS if folder.exists() else newest and int(newest.name.rpartition("-")[2])
            assert not steps or kept >= int(steps[-1])
        stopped += code != 0
        if (folder / "unmask.json").exists():
            assert ended(forked(lambda: same(folder, reference))) == 0
        if code == 0:
            assert folder.exists()
            assert not work.exists()
        if (folder / "unmask.json").exists() and not work.exists():  # a kill may come after it
            finished += 1
            discard(folder)
    assert ended(forked(lambda: training(folder))) == 0
    assert ended(forked(lambda: same(folder, reference))) == 0
    left = [path.name for path in root.iterdir() if path.name.startswith(".")]
    print(json.dumps({"stopped": stopped, "finished": finished, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]), [int(each) for each in sys.argv[4:]])

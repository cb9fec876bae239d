"""A server with one tiny slow model and one route, which submits a job to its worker."""

import threading
import time

import torch
from fastapi import APIRouter, Request
from pydantic import BaseModel

import unmask
from unmask import presets
from unmask.core.random import fold
from unmask.decoding import Canvas
from unmask.server.canvas_rows import CanvasRows
from unmask.server.posting import Ended, Finished, PostingJob
from unmask.server.problems import problem_of
from unmask.server.served import Served

V, MASK, LENGTH = 12, 11, 10

router = APIRouter()


class Net(torch.nn.Module):
    """Logits by a row alone; `slow` seconds a pass, which waits for `go`."""

    def __init__(self, slow):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(V, V)
        self.slow, self.go = slow, threading.Event()
        self.go.set()

    def forward(self, tokens):
        self.go.wait(60)
        time.sleep(self.slow)
        shown = self.table(tokens)
        return shown.cumsum(1) + shown.flip(1).cumsum(1).flip(1)


class Busy(Net):
    """Logits after products of large matrices, which take a moment of a core."""

    def forward(self, tokens):
        for _ in range(20):
            torch.randn(400, 400) @ torch.randn(400, 400)
        return super().forward(tokens)


def served(settings, meter=None, *, kind=Net, slow=0.002, name="tiny"):
    denoiser = unmask.wrap(kind(slow).eval(), mask_id=MASK, vocab_size=V)
    return Served.of(name, denoiser, settings, meter=meter)


def rows(denoiser, number, seed, steps):
    """Rows whose positions are all unknown."""
    seeds = fold(torch.full((number,), seed), torch.arange(number))
    canvas = Canvas.blank(number, LENGTH)
    return CanvasRows(denoiser, canvas, presets.random_order(steps), seeds, "ids")


class Asked(BaseModel):
    n: int = 1
    seed: int = 0
    steps: int = 8


@router.post("/v1/tiny")
async def tiny(asked: Asked, request: Request):
    trace = request.state.trace
    worker = next(iter(request.app.state.house.models.values())).worker
    job = PostingJob(rows(worker.denoiser, asked.n, asked.seed, asked.steps))
    found = {}
    try:
        worker.submit(job)
    except Exception as error:
        raise problem_of(error) from error
    try:
        while True:
            for item in await job.mail.take():
                if isinstance(item, Finished):
                    found[item.number] = item.record.tokens[0].tolist()
                elif isinstance(item, Ended):
                    if item.error is not None:
                        raise problem_of(item.error)
                    trace.model, trace.completion_tokens = "tiny", asked.n * LENGTH
                    return {"rows": [found[i] for i in range(asked.n)]}
    finally:
        worker.cancel(job)


@router.post("/v1/broken")
async def broken(request: Request):
    body = await request.json()
    raise RuntimeError(f"nobody foresaw {body['prompt']}")

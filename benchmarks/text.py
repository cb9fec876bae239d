"""The bundled model of text beside a left-to-right one of equal size, trained with equal compute.

    python benchmarks/text.py --text FILE [--model shakespeare] [--steps N] [--work FOLDER]

FILE is the text that the model was trained on; the last tenth of it is held out. The left-to-right
model (transformers' LlamaForCausalLM and Trainer) has the tokenizer, layers, width and windows of
the masked one, and sees as many rows pass: the masked model's objective runs every window twice a
step, so the other gets twice the windows. It is measured after each twentieth of its steps, and
kept as it was when it was best, since it learns such a short text by heart; where it was worse
three times in a row, it is not trained on.

Bits per character are exact for the left-to-right model and an upper bound for the masked one.
Words are those of samples from nothing, with the first seeds; a word counts if the text that was
trained on has it. With --work, what is trained already is not trained again.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import Report, parsed
from _report import arguments as taken
from torch import Tensor

import unmask
from unmask.data import Corpus, Vocabulary, read
from unmask.models.checkpoint import read_card
from unmask.scoring import Bound
from unmask.training import Recipe
from unmask.training.arguments import arguments

PARTS, ROWS, SAMPLES = 20, 256, 64
PATIENCE = 3  # parts of the run without a better one
WORD = re.compile(r"[A-Za-z']+")


def masked_nats(model: Any, rows: Tensor) -> Tensor:
    """(B,) nats of each window, an upper bound in expectation."""
    return unmask.score(model, rows, by=Bound(8), batch_size=64, seed=0).per_example


def causal(corpus: Corpus, card: Any, steps: int, work: Path) -> tuple[Any, dict[str, Any]]:
    """The left-to-right model as it was when it was best, and how it came to be."""
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback

    had = card.about["recipe"]
    shape, vocabulary = had["backbone"], corpus.vocabulary
    config = LlamaConfig(
        vocab_size=vocabulary.total,
        hidden_size=shape["hidden_size"],
        num_hidden_layers=shape["num_hidden_layers"],
        num_attention_heads=shape["num_attention_heads"],
        intermediate_size=shape["intermediate_size"],
        max_position_embeddings=corpus.longest + 1,
        tie_word_embeddings=True,
        bos_token_id=vocabulary.mask_id,
        eos_token_id=None,
        attn_implementation="eager",  # the gradients of others are slow in bfloat16 on CPUs
    )
    folder = work / f"causal-{steps}"
    if folder.exists():
        told: dict[str, Any] = json.loads((folder / "run.json").read_text())
        return LlamaForCausalLM.from_pretrained(folder).eval(), told
    torch.manual_seed(0)
    net = LlamaForCausalLM(config)
    training, held_out = (begun(windows(part), corpus) for part in corpus.split())
    some = held_out[:: max(1, len(held_out) // ROWS)]
    best: dict[str, Any] = {"nats": math.inf}

    class Measured(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Keeps the weights that are best on held-out windows; stops when none gets better."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % max(1, steps // PARTS) == 0:
                nats = float(causal_nats(net.eval(), some).mean())
                net.train()
                print(f"  step {state.global_step}: {nats:.1f} nats a window", flush=True)
                if nats < best["nats"]:
                    kept = copy.deepcopy(net.state_dict())
                    best.update(nats=nats, step=state.global_step, weights=kept)
                elif state.global_step - best["step"] >= PATIENCE * (steps // PARTS):
                    control.should_training_stop = True

    names = ("learning_rate", "weight_decay", "adam_beta2", "warmup_steps", "precision")
    recipe = Recipe(
        steps=steps, batch_size=2 * had["batch_size"], **{name: had[name] for name in names}
    )
    args = arguments(recipe, work / "causal.training", 0)
    args.eval_strategy = args.save_strategy = "no"
    rows = [{"input_ids": row, "labels": row} for row in training]
    start = time.perf_counter()
    Trainer(model=net, args=args, train_dataset=rows, callbacks=[Measured()]).train()
    told = {"minutes": (time.perf_counter() - start) / 60, "best_step": best["step"]}
    net.load_state_dict(best["weights"])
    net.save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps(told))
    return net.eval(), told


@torch.no_grad()
def causal_nats(net: Any, rows: Tensor) -> Tensor:
    """(B,) nats of each window, every token predicted from those before."""
    parts = []
    for part in rows.split(64):
        logits = net(input_ids=part).logits[:, :-1].float()
        each = torch.nn.functional.cross_entropy(logits.mT, part[:, 1:], reduction="none")
        parts.append(each.double().sum(1))
    return torch.cat(parts)


def begun(rows: Tensor, corpus: Corpus) -> Tensor:
    """Windows with a beginning, so that the first token is predicted too."""
    return torch.nn.functional.pad(rows, (1, 0), value=corpus.vocabulary.mask_id)


def windows(corpus: Corpus) -> Tensor:
    """(B,N) int64."""
    return torch.stack([example.tokens for example in corpus.examples])


def bits(nats: Tensor, rows: Tensor, vocabulary: Vocabulary) -> tuple[float, float]:
    """Bits per character of windows, a ratio of sums, and its standard error."""
    length = torch.tensor([len(vocabulary.decode(row.tolist())) for row in rows]).double()
    ratio = nats.sum() / length.sum()
    error = (nats - ratio * length).std() / len(nats) ** 0.5 / length.mean()
    return float(ratio) / math.log(2), float(error) / math.log(2)


def share_of_words(texts: list[str], known: set[str]) -> tuple[float, float]:
    """The share of words that the text has, the mean over samples, and its standard error."""
    # The first and the last may be cut.
    words = [WORD.findall(text)[1:-1] for text in texts]
    shares = torch.tensor([sum(w in known for w in some) / len(some) for some in words if some])
    return float(shares.mean()), float(shares.std() / len(shares) ** 0.5)


def masked_samples(model: Any, corpus: Corpus) -> Tensor:
    """(SAMPLES,N): drawn from nothing by the preset of the model's card."""
    return unmask.generate(model, batch_size=SAMPLES, length=corpus.longest, seed=0)


@torch.no_grad()
def causal_samples(net: Any, corpus: Corpus) -> Tensor:
    """(SAMPLES,N): drawn from nothing at temperature 1."""
    torch.manual_seed(0)
    length, start = corpus.longest, torch.full((SAMPLES, 1), corpus.vocabulary.mask_id)
    return net.generate(  # type: ignore[no-any-return]
        start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=length,
        do_sample=True,
        top_k=0,
        pad_token_id=corpus.vocabulary.mask_id,
    )[:, 1:]


def measured(report: Report, corpus: Corpus, rows: Tensor, known: set[str]) -> Callable[..., None]:
    """A function that adds the row of a model."""

    def add(name: str, net: Any, nats: Tensor, samples: Tensor, note: str) -> None:
        texts = [corpus.vocabulary.decode(row.tolist()) for row in samples]
        (value, error), (share, off) = (
            bits(nats, rows, corpus.vocabulary),
            share_of_words(texts, known),
        )
        size = sum(p.numel() for p in net.parameters())
        report.add(
            name, f"{size:,}", f"{value:.3f} ± {error:.3f}", f"{share:.3f} ± {off:.3f}", note
        )
        for number, text in enumerate(texts[:2]):
            report.note(f"{name}, sample {number}:\n{text}\n")

    return add


def main() -> None:
    parser = taken(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--text", type=Path)
    parser.add_argument("--model", default="shakespeare")
    parser.add_argument("--steps", type=int, help="of the left-to-right model; default: the masked")
    parser.add_argument("--work", type=Path, default=Path("runs/text"))
    options = parsed(parser, steps=20)
    if options.text is None:
        print("nothing to do: pass --text FILE")
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    card = read_card(options.model)
    had = card.about["recipe"]
    folder = unmask.models.checkpoint.locate(options.model) / "tokenizer"
    corpus = read(options.text, tokenizer=folder, length=had["data"]["length"])
    training, held_out = (windows(part) for part in corpus.split())
    text = corpus.vocabulary.decode(training.flatten().tolist())
    known = {*WORD.findall(text)}
    options.work.mkdir(parents=True, exist_ok=True)
    report = Report(
        "text",
        about("transformers"),
        ["model", "parameters", "bits per character", "words of the text", "training"],
    )
    add = measured(report, corpus, held_out, known)
    model: Any = unmask.load(options.model)
    steps = had["steps"]
    told = f"{steps:,} steps"
    add("masked", model, masked_nats(model, held_out), masked_samples(model, corpus), told)
    net, run = causal(corpus, card, options.steps or steps, options.work)
    told = f"{run['best_step']:,} of {options.steps or steps:,} steps, {run['minutes']:.0f} min"
    nats = causal_nats(net, begun(held_out, corpus))
    add("left to right", net, nats, causal_samples(net, corpus), told)
    texts = [corpus.vocabulary.decode(row.tolist()) for row in held_out]
    share, error = share_of_words(texts, known)
    report.add("held-out text", "", "", f"{share:.3f} ± {error:.3f}", "")
    report.finish(options)


if __name__ == "__main__":
    main()

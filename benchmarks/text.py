"""A masked model of text beside a left-to-right one of equal size, trained with equal compute.

    python benchmarks/text.py --text FILE [--steps 1500] [--threads 1] [--work FOLDER] [--json FILE]

Bytes of the file in windows of 128; the last tenth is held out and measured. The masked model is
trained by `unmask.training` with its default objective, which runs every window twice a step; the
left-to-right model (transformers' LlamaForCausalLM and Trainer) gets twice the windows a step, so
both see as many rows pass. Bits per character: exact for the left-to-right model, an upper bound
for the masked one. With --work, what is trained already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from _machine import about
from _report import parsed
from torch import Tensor

import unmask
from unmask.core.files import replacing_file
from unmask.data import Corpus, read
from unmask.training import Progress, Recipe, train
from unmask.training.arguments import arguments

WIDTH, LAYERS, HEADS, INNER = 128, 4, 4, 256
WINDOW, BATCH, RATE = 128, 32, 2e-3
MIDDLE = slice(40, 88)  # of a window: what is infilled
PASSAGES = 4
HELD_OUT = 0.1


def masked(corpus: Corpus, steps: int, work: Path) -> dict[str, Any]:
    """Train, or take up, the masked model; its figures."""
    recipe = Recipe(
        backbone={
            "model_type": "modernbert",
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "intermediate_size": INNER,
        },
        steps=steps,
        batch_size=BATCH,
        learning_rate=RATE,
    )
    folder = work / f"masked-{steps}"
    if not folder.exists():
        resume = any(folder.with_name(folder.name + ".training").glob("checkpoint-*"))
        train(corpus, folder, recipe=recipe, resume=resume, report=_tell)
    figures = unmask.models.checkpoint.read_card(folder).about["figures"]
    return {
        "model": "masked, unmask",
        "parameters": figures["parameters"],
        "steps": steps,
        "rows_per_step": 2 * BATCH,
        "minutes": figures["seconds"] / 60,
        "bits_per_character": figures["bits_per_token"],
        "standard_error": figures["standard_error"],
    }


def causal(corpus: Corpus, steps: int, work: Path) -> dict[str, Any]:
    """Train the left-to-right model; its figures, kept in a file."""
    kept = work / f"causal-{steps}.json"
    if kept.exists():
        known: dict[str, Any] = json.loads(kept.read_text())
        return known
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer

    training, rest = (_tokens(part) for part in corpus.split(HELD_OUT))
    torch.manual_seed(0)
    net = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=corpus.vocabulary.total,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            max_position_embeddings=WINDOW + 1,
            tie_word_embeddings=True,
            bos_token_id=corpus.vocabulary.mask_id,
            eos_token_id=None,
        )
    )
    recipe = Recipe(steps=steps, batch_size=2 * BATCH, learning_rate=RATE)
    args = arguments(recipe, work / f"causal-{steps}.training", 0)
    args.eval_strategy = args.save_strategy = "no"
    rows = [{"input_ids": row, "labels": row} for row in _begun(training, corpus)]
    begun = time.perf_counter()
    Trainer(model=net, args=args, train_dataset=rows).train()
    minutes = (time.perf_counter() - begun) / 60
    nats = _causal_nats(net.eval(), _begun(rest, corpus))
    figures = {
        "model": "left to right, transformers",
        "parameters": sum(p.numel() for p in net.parameters()),
        "steps": steps,
        "rows_per_step": 2 * BATCH,
        "minutes": minutes,
        "bits_per_character": float(nats.mean()) / WINDOW / math.log(2),
        "standard_error": float(nats.std()) / len(nats) ** 0.5 / WINDOW / math.log(2),
    }
    with replacing_file(kept) as temporary:
        temporary.write_text(json.dumps(figures))
    return figures


@torch.no_grad()
def _causal_nats(net: Any, rows: Tensor) -> Tensor:
    """(B,) nats of each window, every one of its characters predicted from those before."""
    parts = []
    for part in rows.split(64):
        logits = net(input_ids=part).logits[:, :-1].float()
        parts.append(
            torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), part[:, 1:], reduction="none"
            ).sum(1)
        )
    return torch.cat(parts)


def _begun(rows: Tensor, corpus: Corpus) -> Tensor:
    """Windows with a beginning, so that the first character is predicted too."""
    return torch.nn.functional.pad(rows, (1, 0), value=corpus.vocabulary.mask_id)


def _tokens(corpus: Corpus) -> Tensor:
    return torch.stack([example.tokens for example in corpus.examples])


def infilled(corpus: Corpus, steps: int, work: Path) -> list[dict[str, str]]:
    """Held-out windows whose middle is unknown, as the masked model completes them."""
    model: Any = unmask.load(work / f"masked-{steps}")
    rows = _tokens(corpus.split(HELD_OUT)[1])[:: len(corpus.examples) // 50][:PASSAGES]
    editable = torch.zeros_like(rows, dtype=torch.bool)
    editable[:, MIDDLE] = True
    made = unmask.generate(
        model, unmask.Canvas.infill(rows, editable), unmask.presets.confidence(48), seed=0
    )
    text = corpus.vocabulary.decode
    return [
        {
            "before": text(row[: MIDDLE.start].tolist()),
            "written": text(new[MIDDLE].tolist()),
            "after": text(row[MIDDLE.stop :].tolist()),
            "truth": text(row[MIDDLE].tolist()),
        }
        for row, new in zip(rows, made, strict=True)
    ]


def _tell(at: Progress) -> None:
    if at.bound is not None:
        print(
            f"  step {at.step}/{at.total}: held-out {at.bound / math.log(2):.3f} bits", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/text"))
    parser.add_argument("--only", choices=("masked", "causal"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="20 steps: does it run?")
    options = parsed(parser, steps=20)
    if options.text is None:
        print("nothing to do: pass --text FILE")
        return
    torch.set_num_threads(options.threads)
    print(about("transformers"))
    corpus = read(options.text, length=WINDOW)
    print("; ".join(corpus.notes))
    options.work.mkdir(parents=True, exist_ok=True)
    makers = {"masked": masked, "causal": causal}
    chosen = [options.only] if options.only else list(makers)
    rows = [makers[name](corpus, options.steps, options.work) for name in chosen]
    for row in rows:
        print(
            f"{row['model']:<30}{row['parameters']:>10,} parameters  {row['steps']} steps of "
            f"{row['rows_per_step']} rows  {row['minutes']:.1f} min  "
            f"{row['bits_per_character']:.3f} ± {row['standard_error']:.3f} bits per character"
        )
    passages = infilled(corpus, options.steps, options.work) if "masked" in chosen else []
    for each in passages:
        print(
            f"\n{each['before']}[{each['written']}]{each['after']}\n  (it was: {each['truth']!r})"
        )
    if options.json:
        with replacing_file(options.json) as temporary:
            temporary.write_text(json.dumps({"rows": rows, "passages": passages}, indent=2))


_Raw = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    main()

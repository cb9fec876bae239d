"""Text by `unmask` against the loops of transformers and diffusers, on one tiny network each.

    python benchmarks/text_peers.py [--quick] [--repeats 5] [--threads 2] [--tables fill]

fill: one mask a text, by `TextModel.fill`, by transformers' fill-mask pipeline, and by hand (a
tokenizer, a forward, a topk), batches of 1, 8 and 32. complete: a block-causal decoder by
`TextModel.complete`, with and without `BlockCache`, against diffusers' LLaDA2Pipeline with the same
threshold and no edits; prompts of equal and of unequal length, which the pipeline pads on the right
(so that its rows are shown padding that they take for text; it is timed all the same). canvases: a
DiffusionGemma by `unmask.run`, against transformers' generate() and diffusers'
DiffusionGemmaPipeline, each with all its steps; the peers pad shorter prompts on the left, and the
pipeline counts that as positions.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from _machine import about
from _report import Report, Rows, arguments, count, parsed
from _timing import measured, threads
from torch import nn

import unmask
import unmask.text
from unmask.models import BlockCache, Decoder

WORDS = [
    *("the", "a", "cat", "dog", "mat", "sat", "on", "in", "ran", "house", "paris", "is"),
    *("of", "france", "capital", "river", "old", "new"),
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MASK, BLOCK = 4, 16
TABLES = ["fill", "complete", "canvases"]


def tokenizer() -> Any:
    """Return a tokenizer of a few words."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, processors

    numbers = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    backend = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)
    named = {f"{role}_token": token for role, token in roles}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def texts(number: int, least: int, most: int) -> list[str]:
    """Return texts of so many words."""
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, most))) for _ in range(number)]


def fills(table: Rows, options: argparse.Namespace, folder: Path) -> None:
    """A row for each batch."""
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=options.dim, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=2 * options.dim, max_position_embeddings=128,
    )  # fmt: skip
    net, own = transformers.BertForMaskedLM(config).eval(), tokenizer()
    net.save_pretrained(folder)
    own.save_pretrained(folder)
    model = unmask.TextModel.load(folder)
    pipeline = transformers.pipeline("fill-mask", model=net, tokenizer=own, device="cpu")
    for batch in options.batches:
        masked = [f"{text} [MASK] {text}" for text in texts(batch, 2, 12)]

        def by_hand(masked: list[str] = masked) -> list[tuple[Any, Any]]:
            inputs = own(masked, return_tensors="pt", padding=True)
            logits = net(**inputs).logits[inputs["input_ids"] == MASK]
            best = logits.softmax(-1).topk(5)
            return [(row.tolist(), own.batch_decode(row[:, None])) for row in best.indices]

        calls = {
            "by hand": by_hand,
            "pipeline": lambda masked=masked: pipeline(masked, top_k=5, batch_size=len(masked)),
            "unmask": lambda masked=masked: model.fill(masked, top_k=5),
        }
        times = measured(calls, options.repeats)
        hand = times["by hand"].median
        table.add(
            str(batch), hand / batch * 1e3, times["unmask"].over(hand), times["pipeline"].over(hand)
        )


class Peer(nn.Module):
    """A decoder as the pipeline calls it: block-causal by itself, padding by a mask (B,N)."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder, self.forwards, self.config = decoder, 0, decoder.backbone.config

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return torch.float32

    def forward(self, tokens: Any, attention_mask: Any, position_ids: Any) -> Any:
        """Return an output with logits (B,N,V)."""
        self.forwards += len(tokens)
        order = position_ids[0] // BLOCK
        seen = (order <= order.unsqueeze(1)) & attention_mask.bool().unsqueeze(1)
        hidden = self.decoder.trunk(tokens, position_ids, seen | torch.eye(len(order)).bool())
        return transformers.modeling_outputs.CausalLMOutput(logits=self.decoder.logits(hidden))


def completions(table: Rows, options: argparse.Namespace) -> None:
    """A row for each batch, of equal and of unequal lengths."""
    from diffusers import BlockRefinementScheduler, LLaDA2Pipeline

    config = transformers.Qwen3Config(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=options.dim, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=options.dim // 2,
        intermediate_size=2 * options.dim, max_position_embeddings=512, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    net, own = transformers.Qwen3ForCausalLM(config).eval(), tokenizer()
    decoder = Decoder(net, MASK, block=BLOCK)
    encoding = unmask.text.TokenizerEncoding(own, MASK, surround=False)
    plain = unmask.TextModel(decoder, encoding)
    cached = unmask.TextModel(BlockCache(decoder), encoding)
    strategy = unmask.presets.llada2(0.9, BLOCK, BLOCK)
    peer = Peer(decoder)
    pipeline = LLaDA2Pipeline(peer, BlockRefinementScheduler(block_length=BLOCK), own)
    pipeline.set_progress_bar_config(disable=True)
    for lengths, (least, most) in {"equal": (24, 24), "unequal": (2, 60)}.items():
        for batch in options.batches:
            prompts = texts(batch, least, most)
            ids = own(prompts, add_special_tokens=False, padding=True, return_tensors="pt")

            def theirs(ids: Any = ids) -> Any:
                return pipeline(
                    input_ids=ids["input_ids"], attention_mask=ids["attention_mask"],
                    gen_length=options.new, block_length=BLOCK, num_inference_steps=BLOCK,
                    threshold=0.9, editing_threshold=None, eos_early_stop=False,
                    mask_token_id=MASK, output_type="seq",
                )  # fmt: skip

            def ours(model: unmask.TextModel, prompts: list[str] = prompts) -> Any:
                return model.complete(prompts, options.new, strategy=strategy)

            peer.forwards = 0
            theirs()
            theirs_forwards = peer.forwards / batch
            forwards = sum(each.forwards for each in ours(plain)) / batch
            calls = {
                "pipeline": theirs,
                "unmask": lambda ours=ours: ours(plain),
                "cached": lambda ours=ours: ours(cached),
            }
            times = measured(calls, options.repeats)
            tokens = batch * options.new
            table.add(
                f"{lengths}, {batch}",
                tokens / times["pipeline"].median,
                tokens / times["unmask"].median,
                tokens / times["cached"].median,
                times["pipeline"].median / times["unmask"].median,
                times["pipeline"].median / times["cached"].median,
                theirs_forwards,
                forwards,
            )


class Prompts:
    """Prompts in place of the pipeline's processor: ids, padded on the left."""

    def __init__(self, ids: Sequence[Sequence[int]]):
        width = max(map(len, ids))
        self.ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in ids])
        self.mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])

    def apply_chat_template(self, messages: Any, **_: Any) -> dict[str, Any]:
        return {"input_ids": self.ids, "attention_mask": self.mask}


def gemma() -> Any:
    """Return a tiny DiffusionGemma with canvases of BLOCK.

    diffusers 0.42 calls the maker of its masks as transformers did before 5.24.
    """
    text = {
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "global_head_dim": 16,
        "num_global_key_value_heads": 1, "num_experts": 4, "top_k_experts": 2,
        "moe_intermediate_size": 16, "sliding_window": 16, "max_position_embeddings": 256,
        "layer_types": ["sliding_attention", "full_attention"], "pad_token_id": 0,
        "eos_token_id": 1, "bos_token_id": 2,
    }  # fmt: skip
    vision = {
        "model_type": "gemma4_vision", "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
        "head_dim": 16, "patch_size": 4,
    }  # fmt: skip
    config = transformers.DiffusionGemmaConfig(
        text_config=text, vision_config=vision, canvas_length=BLOCK, boi_token_id=60,
        eoi_token_id=61, image_token_id=62,
    )  # fmt: skip
    torch.manual_seed(0)
    net = transformers.DiffusionGemmaForBlockDiffusion(config).eval()
    mask = net.model.decoder.create_diffusion_decoder_attention_mask

    def by_its_old_name(*, past_key_values: Any = None, **given: Any) -> Any:
        return mask(**({} if past_key_values is None else {"cache": past_key_values}), **given)

    net.model.decoder.create_diffusion_decoder_attention_mask = by_its_old_name
    return net


def canvases(table: Rows, options: argparse.Namespace) -> None:
    """A row for each batch, of equal and of unequal lengths."""
    from diffusers import DiffusionGemmaPipeline, EntropyBoundScheduler
    from transformers.models.diffusion_gemma import generation_diffusion_gemma as theirs

    net, steps, new = gemma(), BLOCK, options.new
    denoiser = unmask.models.DiffusionGemma(net)
    strategy = unmask.presets.diffusion_gemma(steps, BLOCK, confidence=1e-9)
    config = theirs.DiffusionGemmaGenerationConfig(
        max_new_tokens=new, max_denoising_steps=steps, confidence_threshold=1e-9, pad_token_id=0,
        eos_token_id=[-1], sampler_config=theirs.EntropyBoundSamplerConfig(entropy_bound=0.1),
    )  # fmt: skip
    for lengths, (least, most) in {"equal": (24, 24), "unequal": (2, 60)}.items():
        for batch in options.batches:
            draw = random.Random(0)
            sizes = [draw.randint(least, most) for _ in range(batch)]
            ids = [[draw.randrange(3, 60) for _ in range(size)] for size in sizes]
            prompts = Prompts(ids)
            pipeline = DiffusionGemmaPipeline(net, EntropyBoundScheduler(0.1), prompts)
            pipeline.set_progress_bar_config(disable=True)
            canvas = unmask.Canvas.ragged(
                [[*row, *[0] * new] for row in ids],
                [[False] * len(row) + [True] * new for row in ids],
            )
            calls = {
                "generate": lambda prompts=prompts: net.generate(
                    prompts.ids, attention_mask=prompts.mask, generation_config=config
                ),
                "pipeline": lambda pipeline=pipeline: pipeline(
                    prompt="", gen_length=new, num_inference_steps=steps, output_type="seq",
                    confidence_threshold=None, eos_early_stop=False,
                ),
                "unmask": lambda canvas=canvas: unmask.run(denoiser, canvas, strategy, seed=0),
            }  # fmt: skip
            times = measured(calls, options.repeats)
            tokens, ours = batch * new, times["unmask"].median
            table.add(
                f"{lengths}, {batch}",
                *(tokens / each.median for each in times.values()),
                times["generate"].median / ours,
                times["pipeline"].median / ours,
            )


def main() -> None:
    """Measure, and tell."""
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--dim", type=count, default=64)
    parser.add_argument("--new", type=count, default=64, help="tokens of a completion")
    parser.add_argument("--batches", type=count, nargs="+", default=[1, 8, 32])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    options = parsed(parser, dim=32, new=16, batches=[1, 2])
    threads(options.threads)
    columns = ["texts", "by hand, ms a text", "unmask / by hand", "pipeline / by hand"]
    report = Report("text_peers", about("transformers", "diffusers"), columns, "fill, one mask")
    if "fill" in options.tables:
        with tempfile.TemporaryDirectory() as temporary:
            fills(report, options, Path(temporary))
    if "complete" in options.tables:
        names = ["prompts", "tokens/s, pipeline", "tokens/s, unmask", "tokens/s, with cache"]
        ratios = ["unmask / pipeline", "with cache / pipeline"]
        counts = ["forwards a row, pipeline", "forwards, unmask"]
        completions(report.table("complete", [*names, *ratios, *counts]), options)
    if "canvases" in options.tables:
        names = ["prompts", *(f"tokens/s, {side}" for side in ("generate", "pipeline", "unmask"))]
        ratios = ["unmask / generate", "unmask / pipeline"]
        canvases(report.table("canvases", [*names, *ratios]), options)
    report.finish(options)


if __name__ == "__main__":
    main()

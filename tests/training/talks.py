"""A tiny LLaDA with a tokenizer of characters and a chat template, and talks for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers

CHECKPOINT = Path(__file__).parents[1] / "families" / "data" / "llada"
NAMES = {
    123: "<|startoftext|>", 124: "<|start_header_id|>", 125: "<|end_header_id|>",
    126: "<|endoftext|>", 127: "<|eot_id|>", 128: "<|unknown|>", 129: "<|mdm_mask|>",
}  # fmt: skip
END, EOT, MASK = 126, 127, 129
TEMPLATE = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}"
    "<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}"
)
MARKED = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|eot_id|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|eot_id|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}"
)


def characters(template: str | None = TEMPLATE) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of printable characters, with the names of LLaDA's special tokens."""
    signs = [*map(chr, range(32, 127)), "\n"]
    numbers = {sign: number for number, sign in enumerate(signs)}
    numbers |= {name: number for number, name in NAMES.items()}
    numbers |= {f"<|unused_{n}|>": n for n in range(len(signs), 123)}
    backend = tokenizers.Tokenizer(models.WordLevel(numbers, unk_token=NAMES[128]))
    backend.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([name for name in numbers if len(name) > 1])
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=NAMES[END], pad_token=NAMES[END], unk_token=NAMES[128]
    )
    found.chat_template = template
    return found


def llada(folder: Path, template: str | None = TEMPLATE, **config: Any) -> Path:
    """A folder in the format of LLaDA's authors, with random weights. config: changed entries."""
    folder.mkdir()
    shutil.copy(CHECKPOINT / "model.safetensors", folder)
    said = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8")) | config
    (folder / "config.json").write_text(json.dumps(said))
    characters(template).save_pretrained(folder)
    return folder


def talk(*said: str, system: str | None = None) -> list[dict[str, str]]:
    """Messages of a user and an assistant in turn."""
    first = [] if system is None else [{"role": "system", "content": system}]
    roles = ("user", "assistant")
    return first + [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]


def written(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path

"""Small text models, with the kinds of tokenizers: WordPiece, bytes in BPE, byte fallback."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from tests.families.gemma import CANVAS, tiny
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = [
    "the", "a", "cat", "cats", "dog", "mat", "sat", "on", "in", "ran", "house", ",", ".", "##s",
    "##ted", "un", "##known", "paris", "is", "of", "france", "capital",
]  # fmt: skip
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TALK = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LINES = [
    "the cat sat on the mat",
    "größer, später, über",
    "naïve café 🙂 日本語",
    "def f(x): return x",
]


def wordpiece() -> transformers.PreTrainedTokenizerFast:
    """BERT's: [CLS] and [SEP] around a text, ## before the rest of a word."""
    numbers = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    backend = tokenizers.Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    around = [("[CLS]", 2), ("[SEP]", 3)]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, around)
    roles = zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)
    named = {f"{role}_token": token for role, token in roles}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def byte_level(mask: bool = True) -> transformers.PreTrainedTokenizerFast:
    """GPT-2's: pieces of bytes, so that a token may be half a character; with a chat template."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>", *(["<|mask|>"] if mask else [])]
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special
    )
    backend.train_from_iterator(LINES, trainer)
    named = {"eos_token": "<|end|>", **({"mask_token": "<|mask|>"} if mask else {})}
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    found.chat_template = TALK
    return found


def byte_fallback() -> transformers.PreTrainedTokenizerFast:
    """Llama's: words with ▁, and a token for each byte of what is none of them."""
    pieces = ["<unk>", "</s>", "<mask>", *(f"<0x{b:02X}>" for b in range(256))]
    pieces += ["▁", *"abcdefghijklmnopqrstuvwxyz", "▁the", "▁cat", "th", "at"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    merges = [("t", "h"), ("a", "t")]
    backend = tokenizers.Tokenizer(
        models.BPE(numbers, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="</s>", mask_token="<mask>"
    )


def bert(folder: Path, **changed: object) -> Path:
    """A folder with a tiny BERT and its tokenizer."""
    own = wordpiece()
    config = transformers.BertConfig(
        vocab_size=len(own), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, initializer_range=0.4, **changed,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def decoder(
    folder: Path, tokenizer: transformers.PreTrainedTokenizerFast, kind: str = "Dream"
) -> Path:
    """A folder in the format of Dream, or of SDAR, with this tokenizer."""
    stock = {"Dream": "Qwen2", "sdar": "Qwen3"}[kind]
    config = getattr(transformers, f"{stock}Config")(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=32, max_position_embeddings=512, head_dim=16,
        initializer_range=0.4, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    getattr(transformers, f"{stock}ForCausalLM")(config).save_pretrained(folder)
    text = (folder / "config.json").read_text().replace(f'"{stock.lower()}"', f'"{kind}"')
    (folder / "config.json").write_text(text)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    return folder


def causal(
    folder: Path,
    tokenizer: transformers.PreTrainedTokenizerFast,
    kind: str = "qwen3",
    room: int = 0,
    **changed: object,
) -> Path:
    """A folder of transformers' with a left-to-right network. room: ids without a token."""
    options: dict[str, object] = {
        "vocab_size": len(tokenizer) + room, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32,
        "max_position_embeddings": 128, "initializer_range": 0.4, "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None,
    }  # fmt: skip
    config = transformers.AutoConfig.for_model(kind, **{**options, **changed})
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def canvases(folder: Path, canvas: int = CANVAS) -> Path:
    """A folder with a tiny DiffusionGemma: texts end at the end of a text, and at an "e"."""
    own = byte_level(mask=False)
    tiny(vocab=len(own), canvas=canvas).save_pretrained(folder)
    said = {"eos_token_id": [own.eos_token_id, *own.encode("e")], "max_denoising_steps": 4}
    (folder / "generation_config.json").write_text(json.dumps(said))
    own.save_pretrained(folder)
    return folder

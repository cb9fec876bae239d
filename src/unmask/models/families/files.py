"""The files of a transformers model: in a folder, or in a repository of the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from unmask.core import optional
from unmask.errors import CheckpointError

CONFIG, GENERATION, WORDS = "config.json", "generation_config.json", "vocab.txt"
_KINDS: dict[str, Any] = {
    "model_type": (str, "a name"),
    "architectures": (list, "a list of names"),
    "text_config": (dict, "an object"),
}
"""Entries of `config.json` of one kind."""
TOKENIZER = ("tokenizer_config.json", "tokenizer.json", WORDS)


@dataclass(frozen=True)
class Files:
    """A folder or a repository, by name. options: revision, cache_dir, token and so on."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json. Raises CheckpointError where there is none that can be read."""
        found = self._read(CONFIG, needed=True) or {}
        for name, (kind, wanted) in _KINDS.items():
            if not isinstance(found.get(name), kind | None):
                raise CheckpointError(
                    f"{self.name}: {CONFIG} has {name}={found[name]!r}, which is {wanted} in "
                    "models of transformers"
                )
        return found

    @cached_property
    def generation(self) -> dict[str, Any]:
        """generation_config.json, empty where there is none."""
        return self._read(GENERATION) or {}

    @cached_property
    def tokenizer_folder(self) -> Path | None:
        """The folder of a tokenizer's files, which of a repository is in the cache; None of none.

        `tokenizer` has put all of them there.
        """
        paths = map(self._find, TOKENIZER)
        return next((Path(path).parent for path in paths if path is not None), None)

    def tokenizer(self, *kinds: str) -> Any:
        """Return the tokenizer, by the first of these classes that opens it; None if none does."""
        if self.tokenizer_folder is None:
            return None
        with quiet():
            for kind in ("AutoTokenizer", *kinds):
                try:
                    opened = getattr(library(), kind).from_pretrained
                    found = opened(self.name, trust_remote_code=False, **self.options)
                except Exception:  # of as many kinds as there are tokenizers
                    continue
                return found if lost_word(found) is None else self._of_words() or found
        return None

    def _of_words(self) -> Any:
        """Return the tokenizer of a list of words, with its capitals; None where there is none."""
        path = self._find(WORDS)
        if path is None:
            return None
        words = Path(path).read_text(encoding="utf-8").split()
        lower = all(word == word.lower() for word in words if not word.startswith("["))
        return library().BertTokenizer(path, do_lower_case=lower)

    def _find(self, name: str, needed: bool = False) -> str | None:
        """Return the path of a file. Raises CheckpointError where it is needed and not there."""
        library()
        from transformers.utils.hub import cached_file

        missing = {"_raise_exceptions_for_missing_entries": needed}
        try:
            found: str | None = cached_file(self.name, name, **missing, **self.options)
        except OSError as error:
            raise CheckpointError(
                f"{self.name!r} is no folder here, and cannot be opened as a repository, which is "
                f"named as in 'GSAI-ML/LLaDA-8B-Instruct': {error}"
            ) from error
        return found

    def _read(self, name: str, needed: bool = False) -> dict[str, Any] | None:
        path = self._find(name, needed)
        if path is None:
            return None
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON, perhaps cut short: {error}") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path} has a {type(found).__name__} in place of entries")
        return found


def special_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the ids of a tokenizer that stand for no text, ascending; none of no tokenizer."""
    if tokenizer is None:
        return ()
    added = getattr(tokenizer, "added_tokens_decoder", {}).items()
    special = {int(number) for number, token in added if token.special}
    return tuple(sorted({*special, *map(int, tokenizer.all_special_ids)}))


def lost_word(tokenizer: Any) -> str | None:
    """Return a word of the vocabulary, if all that are tried become the unknown token.

    So it is where transformers has not read the files of a tokenizer, or spells words otherwise.
    """
    special, known = set(tokenizer.all_special_ids), tokenizer.get_vocab().items()
    words = sorted(word for word, i in known if i not in special and word.isalnum())
    some = words[:: max(1, len(words) // 50)]
    unknown = tokenizer.unk_token_id
    if unknown is None or not some:
        return None
    rows = tokenizer(some, add_special_tokens=False, verbose=False)["input_ids"]
    return some[0] if all(unknown in row for row in rows) else None


@contextmanager
def quiet() -> Iterator[None]:
    """Let transformers say nothing of kinds of models that it does not know."""
    logging = library().logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def library() -> Any:
    """Return transformers. Raises MissingExtraError where it is not installed."""
    return optional.library("transformers", "hf", "a model of transformers needs it")

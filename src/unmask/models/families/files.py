"""Where the files of a transformers model come from: a folder, or a repository of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.errors import CheckpointError, MissingExtraError

CONFIG, GENERATION = "config.json", "generation_config.json"


@dataclass(frozen=True)
class Files:
    """A model on disk or on the hub. options: revision, cache_dir, token and so on."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether this is a folder."""
        return Path(self.name).is_dir()

    def config(self) -> dict[str, Any]:
        """Return config.json. Raises CheckpointError where there is none to be read."""
        found = self._read(CONFIG)
        if found is None:
            where = f"{self.name} has no {CONFIG}"
            raise CheckpointError(
                f"{where}: pass the folder of a transformers model, one that unmask.save wrote, or "
                "the name of a repository, such as 'GSAI-ML/LLaDA-8B-Instruct'"
            )
        return found

    def generation(self) -> dict[str, Any]:
        """Return generation_config.json, empty where there is none."""
        return self._read(GENERATION) or {}

    def tokenizer(self) -> Any:
        """Return the tokenizer, or None where the files have none that opens."""
        transformers = library()
        try:
            return transformers.AutoTokenizer.from_pretrained(self.name, **self.options)
        except Exception:  # of many kinds, as tokenizers have many
            return None

    def _read(self, name: str) -> dict[str, Any] | None:
        library()
        import json

        from transformers.utils import cached_file

        try:
            path = cached_file(
                self.name,
                name,
                _raise_exceptions_for_missing_entries=False,
                **self.options,
            )
        except OSError as error:
            raise CheckpointError(f"{self.name} cannot be opened: {error}") from error
        if path is None:
            return None
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON, perhaps cut short: {error}") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path} holds a {type(found).__name__}, and no entries")
        return found


def library() -> Any:
    """Return transformers. Raises MissingExtraError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("models by name need: pip install 'unmask[hf]'") from None
    return transformers

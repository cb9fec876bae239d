"""`Base`: the model that a fine-tuning begins with, and how it reads data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from unmask.core.calls import check_calls
from unmask.data import Corpus, Vocabulary, read
from unmask.data.files import files_at
from unmask.data.padding import Policy
from unmask.data.reading import is_stream
from unmask.data.source import TABLES
from unmask.data.talks import columns_of
from unmask.data.tokenizer import load_tokenizer
from unmask.errors import DataError, ModelError
from unmask.models import save
from unmask.models.loading import Recognised, recognised
from unmask.text.converting import Convertible
from unmask.text.encoding import ByteEncoding
from unmask.text.opening import Beside, beside_of
from unmask.text.saving import save_text
from unmask.text.talks import Reader
from unmask.training.known import known_of, positions_of, size_of
from unmask.training.recipe import BaseOptions, padding_named
from unmask.training.surrounded import surrounded
from unmask.training.talks import read_talks

WINDOW = 512  # positions of the windows of a stream of text, at most


class Base:
    """A model to train further: whatever `unmask.load` opens; no weight is read before training.

    model: a name, a folder or a repository. tokenizer: the path of one in place of the model's own.
    convert: whether it is a left-to-right model, which becomes a masked one when it is opened, with
    block and logit_shift (None for True) as of `unmask.convert`; block None attends to all.
    The others are as in `unmask.load`, which also says what is raised, as does `unmask.convert`;
    ModelError for a model that has no mask id, and for options that do not apply.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        family: str | None = None,
        mask_id: int | None = None,
        block: int | None = None,
        convert: bool = False,
        logit_shift: bool | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        tokenizer: str | Path | None = None,
        dtype: str | None = None,
    ):
        options: dict[str, Any] = dict(locals())
        del options["self"]
        texts = {name: str(options[name]) for name in ("model", "tokenizer") if options[name]}
        self.options = BaseOptions(**{**options, **texts})
        self.known = self.recognised()
        if self.mask_id is None:
            raise ModelError(
                f"{model} has no mask id: it is shown no unknown positions, which the objectives "
                "learn; pass a model that has one"
            )

    @classmethod
    def of(cls, options: BaseOptions) -> Base:
        """Return the model of a recipe's entry `base`."""
        return cls(**asdict(options))

    def recognised(self, folder: Path | None = None, dtype: str | None = None) -> Recognised:
        """Return what is known of the model, or of a folder that was trained from it.

        dtype: of its weights, where the options do not say it.
        """
        if folder is None:
            return known_of(self.options, dtype)
        return recognised(folder, {"dtype": self.options.dtype or dtype})

    @property
    def name(self) -> str:
        """The name, folder or repository."""
        return str(self.options.model)

    @property
    def mask_id(self) -> int | None:
        """The id of unknown positions."""
        known = self.known.card or self.known.found
        return None if known is None else known.mask_id

    @property
    def size(self) -> int:
        """The number of ids of the network, by its files."""
        return size_of(self.known)

    @property
    def longest(self) -> int | None:
        """The positions of the network, by its files; None where they do not say it."""
        return positions_of(self.known)

    @property
    def preset(self) -> dict[str, Any] | None:
        """The preset that the model recommends, None for none."""
        found, files, card = self.known.found, self.known.files, self.known.card
        if found is not None and files is not None:
            return found.recommended(files)  # type: ignore[no-any-return]
        return None if card is None else card.about.get("preset")

    @property
    def block(self) -> int | None:
        """Positions of a block, where attention is block-causal; None where all see all."""
        if self.known.found is not None:
            return self.known.found.block
        entries = self.known.card.adapters if self.known.card else []
        return next((each["block"] for each in entries[:1] if each.get("block")), None)

    @cached_property
    def beside(self) -> Beside | None:
        """What a text model has beside its network; None of a model of ids that are no text."""
        own = self.options.tokenizer
        card = self.known.card
        ids = card is not None and (card.vocabulary or {}).get("kind", "ids") == "ids"
        if ids and own is None:
            return None
        # Of a model to be converted, it is found with its mask token.
        backend = None if own is None or self.options.convert else load_tokenizer(own).backend
        return beside_of(self.name, self.known, backend).of_size(self.size)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The meaning of the model's ids."""
        card, own = self.known.card, self.options.tokenizer
        mask = self.mask_id
        assert mask is not None
        if own is None and card is not None:
            if card.vocabulary is None:
                return Vocabulary("ids", self.size, mask)
            return Vocabulary.from_dict(card.vocabulary)
        files = self.known.files
        path = own if own is not None else files.tokenizer_folder if files is not None else None
        if path is None or self.beside is None:
            raise ModelError(f"{self.name} has no tokenizer that opens: pass tokenizer=")
        found = Vocabulary.of_tokenizer(path, size=self.size)
        end = next(iter(self.beside.end_ids), None)
        never = tuple(n for n in found.forbidden if n != mask)
        return replace(found, mask_id=mask, eos_id=end, forbidden=never)

    def read(
        self,
        path: str | Path,
        *,
        column: str | None = None,
        length: int | None = None,
        documents: bool = False,
        shape: Sequence[int] | None = None,
        vocab_size: int | None = None,
        turns: str = "auto",
        longer: str = "refuse",
    ) -> Corpus:
        """Read talks, pairs of a prompt and its completion, text, or ids, by the model's tokenizer.

        Tables have talks in a column `messages` (of `role` and `content`), or `conversations` (also
        of `from` and `value`), or pairs in `prompt` and `completion`; of a talk, only what the
        assistant says is learnt, and of a pair the completion. Other files are those of
        `unmask.data.read`, as are the options but these: turns, "each", "together" or "auto":
        whether each answer of a talk is an example of its own; longer, "refuse", "leave_out" or
        "cut": what is done with talks of more than `length` tokens. Raises DataError, with file and
        row, for talks without an answer, a tokenizer without a chat template, and a template that
        does not show which tokens are the assistant's.
        """
        files = files_at(path)
        tables = [TABLES[files.kind](each) for each in files.paths] if files.kind in TABLES else []
        with_talks = [(table, columns_of(table, column)) for table in tables]
        if any(columns for _, columns in with_talks):
            self._check_talks(with_talks, documents, shape, vocab_size)
            assert self.beside is not None
            beside = self.beside
            return read_talks(
                with_talks,
                Reader(beside.encoding, beside.template, beside.end_ids),
                self.vocabulary,
                each=turns == "each" or (turns == "auto" and self.block is None),
                most=length or self.longest,
                longer=longer,
            )
        if turns != "auto" or longer != "refuse":
            raise DataError(f"{path} has no talks, so turns and longer have no meaning: leave out")
        return self._read_plain(path, column, length, documents, shape, vocab_size)

    def _check_talks(
        self, tables: Sequence[Any], documents: bool, shape: Any, vocab_size: Any
    ) -> None:
        if self.beside is None:
            raise DataError(
                f"{self.name} has ids that are no text, and talks are text: pass a model with a "
                "tokenizer, or --tokenizer PATH"
            )
        others = [str(table.path) for table, columns in tables if not columns]
        if others:
            raise DataError(f"{others[0]} has no talks, and other files of the folder have")
        given = {"documents": documents, "shape": shape, "vocab_size": vocab_size}
        for name, value in given.items():
            if value:
                raise DataError(f"{name}={value!r} and talks, which it does not apply to: leave it")

    def _read_plain(
        self, path: Any, column: Any, length: Any, documents: bool, shape: Any, vocab_size: Any
    ) -> Corpus:
        """Return text or ids, with what the model puts around texts."""
        own, beside = self.vocabulary, self.beside
        before, after = ([], []) if beside is None else beside.encoding.around
        if length is None and not documents and is_stream(path, column):
            length = min(WINDOW, self.longest or WINDOW)
        more = len(before) + len(after)
        if length is not None and length <= more:
            raise DataError(f"length={length}, and {more} ids are around a text: pass more")
        corpus = read(
            path,
            tokenizer=own.tokenizer,
            vocab_size=own.size if own.kind == "ids" else vocab_size,
            length=None if length is None else length - more,
            column=column,
            documents=documents,
            shape=shape,
        )
        if corpus.vocabulary.kind != own.kind and corpus.text:
            raise DataError(
                f"{path} is text, and {self.name} has ids that are no text: pass ids, such as an "
                "array in .npy, or a tokenizer (--tokenizer PATH)"
            )
        absent = tuple({*own.absent} & {*corpus.vocabulary.absent})
        corpus = replace(corpus, vocabulary=replace(own, absent=absent))
        if beside is None or not corpus.text:
            return corpus
        ended = corpus.documents and not after
        return surrounded(
            corpus, (before, after), next(iter(beside.end_ids), None) if ended else None
        )

    def padding(self, name: str) -> Policy:
        """Return the padding policy of a recipe; `auto` is that of the model's family or card.

        Raises StrategyError for one that needs an end of sequence, where the model has none.
        """
        ends = () if self.beside is None else self.beside.end_ids
        end = next(iter(ends), self.vocabulary.eos_id)
        if name == "auto":
            name = "excluded" if end is None else self._usual_padding
        if name == "block_fill":
            name = "excluded" if self.block is None else f"block_fill({self.block})"
        return padding_named(name, end)

    @property
    def _usual_padding(self) -> str:
        """The name of the policy that the model's family, or its card, says."""
        found, card = self.known.found, self.known.card
        if self.options.convert:
            return "block_fill"
        if found is not None:
            return "excluded" if found.family is None else found.family.padding
        told = ((card.training if card else None) or {}).get("padding") or {}
        if "name" in told:
            return str(told["name"])
        return "block_fill" if self.block is not None else "excluded"

    def described(self) -> dict[str, Any]:
        """Return the entry `base` of a card, which says what a model was made from."""
        found, card = self.known.found, self.known.card
        row = None if found is None else found.family
        said: dict[str, Any] = {"model": self.name}
        said |= {} if self.options.revision is None else {"revision": self.options.revision}
        if isinstance(self.known, Convertible):
            shift = self.known.logit_shift
            return said | {"converted": {"block": self.block, "logit_shift": shift}}
        said |= {} if row is None else {"family": row.name, "models": row.models}
        earlier = None if card is None else card.about.get("base")
        return said if earlier is None else {**said, "base": earlier}

    def write(self, denoiser: Any, folder: Path, vocabulary: Vocabulary, **card: Any) -> Path:
        """Write a network that was trained from the model, with its tokenizer, ends and template.

        vocabulary: that of the data. card: about and training, as of `unmask.save`.
        """
        beside = self.beside
        if beside is None:
            return save(denoiser, folder, vocabulary=vocabulary.to_dict(), **card)
        encoding = beside.encoding
        if isinstance(encoding, ByteEncoding):
            encoding = ByteEncoding(vocabulary)
        parts = (encoding, beside.strategy, beside.end_ids, beside.template)
        return save_text(folder, denoiser, *parts, card)


check_calls(__name__, "Base")

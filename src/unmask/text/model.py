"""`TextModel`: a network with its tokenizer, template and strategy."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from unmask.core.checks import check_count
from unmask.core.network import Denoiser
from unmask.decoding import Strategy
from unmask.errors import InputError
from unmask.scoring import Score
from unmask.scoring.look import Method
from unmask.text.beam import Hidden, Likely, most_of_draws
from unmask.text.encoding import Encoding
from unmask.text.filling import fillings
from unmask.text.inputs import (
    check_options,
    check_parts,
    keywords,
    span_of,
    text_of,
    texts_of,
)
from unmask.text.opening import open_text
from unmask.text.planning import Planning, never_generated
from unmask.text.request import TextRequest
from unmask.text.requests import Requests
from unmask.text.results import Completion
from unmask.text.saving import save_text
from unmask.text.scoring import text_score
from unmask.text.streaming import TextState
from unmask.text.structured import Schema, form_of

Text = str | Sequence[str]


class TextModel:
    """Text in, text out, by a network of tokens.

    Special tokens are never generated, but for the one that ends a text. The result of a text
    depends on it and on the seed alone, not on texts beside it nor on their order.

    denoiser: from `unmask.load` or `unmask.wrap`. encoding: its tokenizer. strategy: of all calls
    that name none; by default that of the model's card. end_ids: ids that end a text, the first of
    which fills a row behind it. template: options of the chat template. Raises ModelError for an
    encoding or ends that are none of the network's, StrategyError for what is no strategy.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        encoding: Encoding,
        *,
        strategy: Strategy | None = None,
        end_ids: Sequence[int] = (),
        template: Mapping[str, Any] | None = None,
    ):
        check_parts(encoding, strategy, end_ids, denoiser.spec.vocab_size)
        self.denoiser, self.encoding, self.strategy = denoiser, encoding, strategy
        self.end_ids, self.template = tuple(end_ids), dict(template or {})

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        strategy: Strategy | None = None,
        tokenizer: Any = None,
        **options: Any,
    ) -> TextModel:
        """Return the text model of a name, a folder, or a repository; options as in `unmask.load`.

        tokenizer: one of transformers', where the model's own is missing or wrong.
        Raises ModelError for a model without text, or a tokenizer of another model.
        """
        network, parts = open_text(model, tokenizer, options)
        chosen, ends, template = strategy or parts.strategy, parts.end_ids, parts.template
        return cls(network, parts.encoding, strategy=chosen, end_ids=ends, template=template)

    def save(self, folder: str | Path, **options: Any) -> Path:
        """Write the network, tokenizer, strategy, ends and template to a folder; return its path.

        `TextModel.load` and `unmask.load` open it. options: about and training, as in
        `unmask.save`, which says what is raised.
        """
        parts = (self.denoiser, self.encoding, self.strategy, self.end_ids, self.template)
        return save_text(folder, *parts, options)

    def complete(
        self,
        prompt: Text,
        max_new_tokens: int = 64,
        *,
        n: int = 1,
        stop: Text = (),
        seed: int = 0,
        strategy: Strategy | None = None,
        max_rows: int | None = None,
        max_tokens: int | None = None,
        regex: str | None = None,
        json_schema: Schema = None,
        choices: Sequence[str] | None = None,
        likeliest: bool = False,
    ) -> Any:
        """Return the Completion of a prompt, or a list of them for a list of prompts.

        n: completions of each, then in a list. stop: a text, or several, at which a completion
        ends. max_rows, max_tokens: rows, and positions, that are generated at once; they change
        memory and time, not results. regex, json_schema, choices: one of them says what all of each
        text must match. likeliest: the tokens of a step are then the likeliest together, not drawn
        (DINGO 2505.23061). Raises InputError, before any work, for a form that is wrong, cannot be
        written by the tokenizer, or does not fit into max_new_tokens.
        """
        request = self.requests.continuations(
            texts_of("prompt", prompt), max_new_tokens, n=n, stop=stop, seed=seed,
            strategy=strategy, **form_of(regex, json_schema, choices, likeliest),
        )  # fmt: skip
        made = _made(request, n, max_rows=max_rows, max_tokens=max_tokens)
        return made[0] if isinstance(prompt, str) else made

    def complete_each(
        self,
        prompts: Sequence[str],
        max_new_tokens: int = 64,
        *,
        done: Container[int] = (),
        **options: Any,
    ) -> Iterator[tuple[int, Completion]]:
        """Yield the number and the Completion of each prompt, as they finish, in any order.

        They are those of `complete`, whatever is done: numbers of prompts that are left out, of an
        earlier call. options: as in `complete`, but for n.
        """
        check_options("complete_each", options, keywords(self.complete, "n"))
        most = {name: options.pop(name, None) for name in ("max_rows", "max_tokens")}
        request = self.requests.continuations(prompts, max_new_tokens, **options)
        return request.each(done, **most)

    def chat(
        self, messages: Sequence[Mapping[str, str]], max_new_tokens: int = 256, **options: Any
    ) -> Any:
        """Return the answer to a talk, a list of {"role": "user", "content": "..."}; n as a list.

        options: as in `complete`. Raises DataError for a tokenizer without a template, or messages
        that it does not take.
        """
        check_options("chat", options, keywords(self.complete))
        most = {name: options.pop(name, None) for name in ("max_rows", "max_tokens")}
        request = self.requests.answer(messages, max_new_tokens, **options)
        return _made(request, options.get("n", 1), **most)[0]

    def infill(
        self,
        prefix: str,
        suffix: str,
        *,
        tokens: int | None = None,
        max_tokens: int | None = None,
        n: int = 1,
        seed: int = 0,
        strategy: Strategy | None = None,
        regex: str | None = None,
        json_schema: Schema = None,
        choices: Sequence[str] | None = None,
        likeliest: bool = False,
    ) -> Any:
        """Return the Completion between two texts; n of them in a list.

        tokens: how many there are. Or max_tokens: lengths up to it are tried, at most eight, and
        the one is kept of which a token is likeliest (Mask-Predict 1904.09324, §3.3). regex,
        json_schema, choices, likeliest: as in `complete`; a text of the form has all the tokens.
        """
        request = self.requests.between(
            prefix, suffix, tokens=tokens, max_tokens=max_tokens, n=n, seed=seed,
            strategy=strategy, **form_of(regex, json_schema, choices, likeliest),
        )  # fmt: skip
        return _made(request, n)[0]

    def edit(self, text: str, span: str | tuple[int, int], **options: Any) -> Any:
        """Return the Completion in place of a part of a text, with as many tokens as the part had.

        span: the part itself, where it is first found, or its first and last character, as in a
        slice. options: as in `infill`, but for lengths. InputError for a part without tokens.
        """
        check_options("edit", options, keywords(self.infill, "tokens", "max_tokens"))
        begin, end = span_of(text, span)
        count = len(self.encoding.encode(text[begin:end]))
        if not count:
            raise InputError(f"span={span!r} has no token: pass a part with some text")
        return self.infill(text[:begin], text[end:], tokens=count, **options)

    def fill(
        self,
        text: Text,
        *,
        top_k: int = 1,
        candidates: str | Sequence[int] | None = None,
        strategy: Strategy | None = None,
        seed: int = 0,
    ) -> Any:
        """Return the likeliest fillings of the masks in a text, the best first; or lists of them.

        [MASK] is one unknown token, [MASK:3] are three; the tokenizer's own mask token counts, too.
        All are filled in together: by a beam of top_k rows that fills in the most certain position
        first, or, if strategy is given, by top_k draws of it. One mask: exact, as in the fill-mask
        pipeline of transformers (`Filling.to_dict`). candidates: lengths of the only mask to try,
        such as "1-6", ranked by log p a token. Raises CanvasError for a text without masks.
        """
        check_count("top_k", top_k, InputError)
        texts = texts_of("text", text)
        plan = None if strategy is None else self._planning.plan(strategy, closed=True)

        def drawn(row: Hidden) -> list[Likely]:
            assert plan is not None
            return most_of_draws(self.denoiser, row, top_k, plan, seed)

        found = fillings(
            self.denoiser,
            self.encoding,
            texts,
            top_k=top_k,
            candidates=candidates,
            never=self._never,
            drawn=None if plan is None else drawn,
        )
        return found[0] if isinstance(text, str) else found

    def stream(
        self, prompt: str, max_new_tokens: int = 64, *, stop: Text = (), seed: int = 0,
        strategy: Strategy | None = None, regex: str | None = None, json_schema: Schema = None,
        choices: Sequence[str] | None = None, likeliest: bool = False,
    ) -> Iterator[TextState]:  # fmt: skip
        """Yield a TextState after every step; the pieces of all concatenate to the final text.

        The arguments are those of `complete`. Where nothing is committed before the last step of a
        canvas, snapshots show the draft.
        """
        given = form_of(regex, json_schema, choices, likeliest)
        options = {"stop": stop, "seed": seed, "strategy": strategy, **given}
        texts = [text_of("prompt", prompt)]
        return self.requests.continuations(texts, max_new_tokens, **options).states()

    def stream_chat(
        self, messages: Sequence[Mapping[str, str]], max_new_tokens: int = 256, *,
        stop: Text = (), seed: int = 0, strategy: Strategy | None = None,
        regex: str | None = None, json_schema: Schema = None,
        choices: Sequence[str] | None = None, likeliest: bool = False,
    ) -> Iterator[TextState]:  # fmt: skip
        """Yield a TextState of an answer after every step, as `stream`."""
        given = form_of(regex, json_schema, choices, likeliest)
        options = {"stop": stop, "seed": seed, "strategy": strategy, **given}
        return self.requests.answer(messages, max_new_tokens, **options).states()

    def score(
        self, text: str, given: str = "", *, by: Method | None = None, seed: int = 0
    ) -> Score:
        """Return how likely a text is, behind what is given.

        by: a method of `unmask.scoring`, by default the bound with its standard error; a single
        token is scored exactly, in one forward.
        """
        return text_score(self.denoiser, self.encoding, text, given, by=by, seed=seed)

    @cached_property
    def _never(self) -> tuple[int, ...]:
        return never_generated(self.denoiser, self.encoding)

    @property
    def _planning(self) -> Planning:
        parts = (self.denoiser, self.encoding, self.strategy, self.end_ids, self._never)
        return Planning(*parts)

    @property
    def requests(self) -> Requests:
        """What makes the requests of these calls, for an engine of one's own."""
        return Requests(self._planning, self.template)


def _made(
    request: TextRequest, n: int, max_rows: int | None = None, max_tokens: int | None = None
) -> list[Any]:
    """Return the completion of each text, or a list of n of them."""
    made = dict(request.each((), max_rows, max_tokens))
    every = [made[i] for i in range(len(request.rows))]
    return [every[i : i + n] for i in range(0, len(every), n)] if n > 1 else every

"""Bad input of training is one error that names the argument, before the network is called."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.gradients import LENGTH, MASK, VOCAB, examples, network
from torch.utils.data import TensorDataset
from transformers import TrainingArguments

import unmask
from unmask import objectives
from unmask.core.network import DenoiserSpec
from unmask.data import Corpus, Example, Vocabulary
from unmask.data.padding import EndFill, Excluded
from unmask.errors import UnmaskError
from unmask.training import Recipe, read_settings, train
from unmask.training.examples import rules_of
from unmask.training.inputs import check_rows
from unmask.training.recipe import DataOptions
from unmask.training.trainer import MaskedTrainer

NAN = float("nan")
GOOD = examples(9)
TOKENS = torch.arange(4)
FREE = torch.ones(4, dtype=torch.bool)


def wrapped(**options):
    """Return a denoiser that cannot be run."""
    net = network("BERT")
    net.forward = lambda *_, **__: pytest.fail("the network was called")
    return unmask.wrap(net, mask_id=MASK, try_network=False, **options)


def arguments(**options):
    plain = {
        "output_dir": "never",
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return TrainingArguments(**(plain | options))


def refused(call, words):
    with pytest.raises(UnmaskError) as told:
        call()
    assert words in str(told.value)
    assert ": " in str(told.value)


def bad(**fields):
    """Return an example with some fields changed."""
    return replace(Example(TOKENS, FREE), **fields)


# An example among good ones -> words of the message.
EXAMPLES = {
    "a list of ids": ([1, 2, 3], "is a list"),
    "a tensor of ids": (TOKENS, "is torch.int64 of shape (4,)"),
    "a text": ("to be", "is a str"),
    "tokens as a list": (bad(tokens=[1, 2, 3, 4]), "is a list"),
    "tokens of floats": (bad(tokens=TOKENS.float()), "is torch.float32"),
    "tokens of two axes": (bad(tokens=TOKENS[None]), "of shape (1, 4)"),
    "no tokens": (bad(tokens=TOKENS[:0], maskable=FREE[:0]), "with one token or more"),
    "maskable of integers": (bad(maskable=TOKENS), "is torch.int64"),
    "maskable of other length": (bad(maskable=FREE[:2]), "of shape (2,)"),
    "maskable as a list": (bad(maskable=[True] * 4), "is a list"),
    "no maskable": (bad(maskable=None), "is a NoneType"),
    "the mask id": (bad(tokens=TOKENS.clone().fill_(MASK)), "is the mask id"),
    "an id above the vocabulary": (bad(tokens=TOKENS + VOCAB), "outside the vocabulary of 19"),
    "a negative id": (bad(tokens=TOKENS - 2), "id -2 of"),
    "a prompt outside the vocabulary": (
        bad(tokens=TOKENS - 2, maskable=TOKENS > 1),
        "position 0, is outside",
    ),
    "too many tokens": (
        bad(tokens=torch.ones(LENGTH + 1).long(), maskable=torch.ones(LENGTH + 1).bool()),
        "has 13 tokens, more than the 12 positions",
    ),
    "a class without classes": (bad(category=1), "is 1 and classes=0"),
    "a class of floats": (bad(category=1.0), "is 1.0"),
    "a negative class": (bad(category=-1), "is -1"),
    "a class of True": (bad(category=True), "is True"),
}


@pytest.mark.parametrize("what", EXAMPLES)
@settings(max_examples=3, deadline=None)
@given(place=st.integers(0, 8), held_out=st.booleans())
def test_an_example_that_is_none(what, place, held_out):
    example, words = EXAMPLES[what]
    rows = [*GOOD[:place], example, *GOOD[place:]]
    given_rows = (GOOD, rows) if held_out else (rows, GOOD)
    call = partial(MaskedTrainer, wrapped(), arguments(), given_rows[0], length=LENGTH)
    with pytest.raises(UnmaskError, match=rf"example {place}\b") as told:
        call(held_out=given_rows[1])
    assert words in str(told.value)
    assert "held_out" in str(told.value) if held_out else "examples" in str(told.value)


DATA = {
    "a path": Path("book.txt"),
    "a word": "shidoku",
    "a tensor": torch.ones(3, 4).long(),
    "an array": np.ones((3, 4), dtype=np.int64),
    "a dict": {"input_ids": [1, 2]},
    "a dataset": TensorDataset(torch.ones(3, 4)),
    "a generator": (example for example in GOOD),
    "a number": 3,
    "no examples": [],
    "None": None,
    "nothing to learn": [Example(TOKENS, ~FREE)] * 3,
    "Example itself": [Example],
}


@pytest.mark.parametrize("what", DATA)
def test_examples_that_are_none(what):
    refused(partial(MaskedTrainer, wrapped(), arguments(), DATA[what]), "examples")
    if DATA[what] is not None:
        trainer = partial(MaskedTrainer, wrapped(), arguments(), GOOD)
        refused(partial(trainer, held_out=DATA[what]), "held_out")
        refused(partial(trainer().evaluate, DATA[what]), "eval_dataset")


OPTIONS = {
    "an objective by name": ({"objective": "count"}, "objective='count'"),
    "an objective that is a number": ({"objective": 3}, "objective=3"),
    "a class for an objective": ({"objective": objectives.BertNoise}, "objective=<class"),
    "an objective with other arguments": (
        {"objective": objectives.critic},
        "cannot be called with (denoiser, tokens",
    ),
    "an objective without times": (
        {"objective": lambda denoiser, tokens, maskable, seed: None},
        "unexpected keyword argument 'time'",
    ),
    "block diffusion without blocks": (
        {"objective": partial(objectives.block_diffusion, pairs=True)},
        "has no blocks: pass models.Decoder",
    ),
    "padding by name": ({"padding": "excluded"}, "padding='excluded'"),
    "padding not made": ({"padding": Excluded}, "padding=<class"),
    "no padding": ({"padding": None}, "padding=None"),
    "padding that returns a tensor": (
        {"padding": lambda rows, maskable, length, pad_id: rows[0]},
        "return a data.padding.Padded",
    ),
    "padding by the mask id": ({"padding": EndFill(MASK)}, "fills rows with id 18"),
    "padding outside the vocabulary": ({"padding": EndFill(99)}, "fills rows with id 99"),
    "a length of 0": ({"length": 0}, "length=0"),
    "a length of floats": ({"length": 8.0}, "length=8.0"),
    "a length in words": ({"length": "8"}, "length='8'"),
    "a length below the examples": ({"length": 3}, "tokens, more than the 3 positions"),
    "a pad id outside": ({"pad_id": VOCAB}, "pad_id=19"),
    "a negative pad id": ({"pad_id": -100}, "pad_id=-100"),
    "a pad id of None": ({"pad_id": None}, "pad_id=None"),
    "a share above 1": ({"self_condition": 2}, "self_condition=2"),
    "a share of NaN": ({"self_condition": NAN}, "self_condition=nan"),
    "a share in words": ({"self_condition": "half"}, "self_condition='half'"),
    "no self-conditioning": ({"self_condition": 0.5}, "no SelfConditioning"),
    "classes of floats": ({"classes": 2.0}, "classes=2.0"),
    "negative classes": ({"classes": -1}, "classes=-1"),
    "classes by name": ({"classes": ["a", "b"]}, "classes=['a', 'b']"),
    "dropout without classes": ({"condition_dropout": 0.5}, "condition_dropout=0.5 without"),
    "dropout above 1": ({"classes": 2, "condition_dropout": 1.5}, "condition_dropout=1.5"),
    "dropout in words": ({"classes": 2, "condition_dropout": "x"}, "condition_dropout='x'"),
    "a decay of 1": ({"ema_decay": 1.0}, "ema_decay=1.0"),
    "a decay of NaN": ({"ema_decay": NAN}, "ema_decay=nan"),
    "a decay in words": ({"ema_decay": "0.9"}, "ema_decay='0.9'"),
    "a card of no keys": ({"card": {"notes": "x"}}, "card={'notes': 'x'}"),
    "a card of text": ({"card": "x"}, "card='x'"),
    "augment of a number": ({"augment": 3}, "augment=3"),
    "callbacks of a number": ({"callbacks": 3}, "callbacks=3: pass a list"),
    "callbacks of numbers": ({"callbacks": [3]}, "callbacks=[3]: pass a list"),
    "a name misspelt": ({"heldout": GOOD}, "takes no heldout=: did you mean 'held_out'?"),
    "augment of other shapes": (
        {"augment": lambda tokens, kinds, seed, progress: (tokens[:, :1], kinds)},
        "return tokens of that shape",
    ),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_options_that_cannot_work(what):
    options, words = OPTIONS[what]
    refused(partial(MaskedTrainer, wrapped(), arguments(), GOOD, **options), words)


def changed(**options):
    """Return arguments changed after they were made, which transformers does not check."""
    made = arguments()
    for name, value in options.items():
        setattr(made, name, value)
    return made


ARGUMENTS = {
    "none": (None, "args=None"),
    "a dict": ({"max_steps": 2}, "args={'max_steps': 2}"),
    "a recipe": (Recipe(), "args=Recipe"),
    "half a step": (changed(max_steps=2.5), "max_steps=2.5"),
    "steps in words": (changed(max_steps="2"), "max_steps='2'"),
    "steps of True": (changed(max_steps=True), "max_steps=True"),
    "no epochs": (changed(max_steps=-1, num_train_epochs=0), "num_train_epochs=0"),
    "epochs of NaN": (changed(max_steps=-1, num_train_epochs=NAN), "num_train_epochs=nan"),
    "no rows": (changed(per_device_train_batch_size=0), "per_device_train_batch_size=0"),
    "no pieces": (changed(gradient_accumulation_steps=0), "gradient_accumulation_steps=0"),
    "rows beyond all memory": (changed(per_device_train_batch_size=2**40), "a number below 2147"),
    "steps beyond all time": (changed(max_steps=2**40), "max_steps=1099511627776: pass a number"),
    "measuring on nothing": (changed(eval_strategy="steps"), "held_out="),
}


@pytest.mark.parametrize("what", ARGUMENTS)
def test_arguments_that_are_none(what):
    args, words = ARGUMENTS[what]
    refused(partial(MaskedTrainer, wrapped(), args, GOOD), words)


def frozen():
    denoiser = wrapped()
    denoiser.requires_grad_(False)
    return denoiser


NETWORKS = {
    "a raw network": (lambda: network("BERT"), "is not a denoiser: wrap it first"),
    "a name": (lambda: "digits", "is the name of a network: load it first"),
    "none": (lambda: None, "is not a denoiser"),
    "a function": (
        lambda: unmask.wrap(lambda tokens: tokens, mask_id=MASK, vocab_size=VOCAB),
        "has no weights to train",
    ),
    "frozen weights": (frozen, "has no weights to train"),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_networks_that_cannot_be_trained(what):
    make, words = NETWORKS[what]
    refused(lambda: MaskedTrainer(make(), arguments(), GOOD), words)


def test_a_length_beyond_the_network():
    net = SimpleNamespace(spec=DenoiserSpec(VOCAB, MASK, max_length=LENGTH))
    refused(partial(check_rows, net, Excluded(), LENGTH + 1, 0), "length=13 for a network of 12")
    check_rows(net, Excluded(), LENGTH, 0)
    assert rules_of(net, 0, None).longest == LENGTH


def test_more_classes_than_the_network_has():
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(**(network("BERT").config.to_dict() | {"type_vocab_size": 3}))
    inner = unmask.wrap(BertForMaskedLM(config), mask_id=MASK)
    denoiser = unmask.ClassConditioned(inner, 2)
    refused(partial(MaskedTrainer, denoiser, arguments(), GOOD, classes=3), "for a network of 2")
    rows = [replace(example, category=i % 3) for i, example in enumerate(GOOD)]
    refused(partial(MaskedTrainer, denoiser, arguments(), rows, classes=2), "category of")


def test_an_example_that_changes_later_is_told(tmp_path):
    """What is drawn is checked again, as when there are more examples than are looked at."""
    rows = list(GOOD)
    trainer = MaskedTrainer(
        unmask.wrap(network("BERT"), mask_id=MASK), arguments(output_dir=str(tmp_path)), rows
    )
    rows[:] = [Example(torch.full((4,), MASK), FREE)] * len(rows)
    refused(trainer.train, "example of draw 0, position 0, is the mask id")


def test_a_corpus_and_any_sequence_are_examples(tmp_path):
    corpus = Corpus(GOOD, Vocabulary.of_ids(MASK), longest=LENGTH)
    for given_rows in (corpus, tuple(GOOD)):
        args = arguments(output_dir=str(tmp_path), max_steps=np.int64(1))
        trainer = MaskedTrainer(
            unmask.wrap(network("BERT"), mask_id=MASK), args, given_rows, held_out=given_rows
        )
        trainer.train()
        assert trainer.state.global_step == 1
        assert trainer.evaluate(corpus) == trainer.evaluate()


def corpus_of(*rows, **fields):
    return Corpus(list(rows) or GOOD, Vocabulary.of_ids(MASK), **({"longest": LENGTH} | fields))


CALLS = {
    "a path": ((Path("book.txt"), "m"), {}, "is a path: pass unmask.data.read('book.txt')"),
    "a path in words": ((__file__, "m"), {}, "is a path: pass unmask.data.read("),
    "a list of ids": (([[1, 2]], "m"), {}, "data is a list"),
    "a dict": (({"a": 1}, "m"), {}, "data is a dict"),
    "a tensor": ((TOKENS, "m"), {}, "data is torch.int64"),
    "nothing": ((None, "m"), {}, "data is a NoneType"),
    "no such task": (("shidoko", "m"), {}, "did you mean 'shidoku'"),
    "a corpus that holds its mask id": (
        (corpus_of(*GOOD, Example(torch.full((4,), MASK), FREE)), "m"),
        {},
        "is the mask id",
    ),
    "a corpus of lists": ((corpus_of([1, 2], [3, 4], [5, 6]), "m"), {}, "is a list"),
    "a corpus longer than it says": ((corpus_of(longest=3), "m"), {}, "more than the 3 positions"),
    "a recipe as a dict": (("shidoku", "m"), {"recipe": {"steps": 3}}, "recipe={'steps': 3}"),
    "a recipe as a file": (("shidoku", "m"), {"recipe": "r.yaml"}, "recipe='r.yaml'"),
    "half a step": (("shidoku", "m"), {"steps": 2.5}, "steps=2.5"),
    "steps in words": (("shidoku", "m"), {"steps": "5"}, "steps='5'"),
    "True steps": (("shidoku", "m"), {"steps": True}, "steps=True"),
    "no steps": (("shidoku", "m"), {"steps": 0}, "steps=0"),
    "a seed of floats": (("shidoku", "m"), {"seed": 0.5}, "seed=0.5"),
    "no seed": (("shidoku", "m"), {"seed": None}, "seed=None"),
    "a recipe of block diffusion": (
        ("shidoku", "m"),
        {"recipe": Recipe(objective="block_diffusion", steps=2)},
        "has no blocks: pass models.Decoder",
    ),
    "resume in words": (("shidoku", "m"), {"resume": "yes"}, "resume='yes'"),
    "a report that is none": (("shidoku", "m"), {"report": "print"}, "report='print'"),
    "out of a number": (("shidoku", 3), {}, "out=3"),
    "no out": (("shidoku", ""), {}, "out=''"),
    "out in a file": (("shidoku", Path(__file__) / "m"), {}, "is a file"),
    "out as a file": (("shidoku", __file__), {}, "is a file"),
}


@pytest.mark.parametrize("what", CALLS)
def test_calls_of_train_that_cannot_work(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given_things, options, words = CALLS[what]
    options = {"report": lambda progress: pytest.fail("a step was taken")} | options
    if not isinstance(given_things[0], str):
        options.setdefault("recipe", Recipe(backbone=TINY, steps=2))
    refused(partial(train, *given_things, **options), words)
    assert not list(tmp_path.iterdir())


# Fields of a recipe -> words of the message.
RECIPES = {
    "steps in words": ({"steps": "5"}, "steps='5': input should be a valid integer"),
    "half a step": ({"steps": 2.5}, "steps=2.5: input should be a valid integer"),
    "steps of a whole float": ({"steps": 2.0}, "write 2"),
    "True steps": ({"steps": True}, "steps=True: input should be a valid integer"),
    "steps of None": ({"steps": None}, "steps=None: input should be a valid integer"),
    "no steps": ({"steps": 0}, "steps=0: input should be greater than or equal to 1"),
    "steps of an array": ({"steps": np.ones(1)}, "input should be a valid integer"),
    "a batch of no rows": ({"batch_size": 0}, "batch_size=0: input should be greater"),
    "no pieces": ({"pieces": -1}, "pieces=-1: input should be greater"),
    "a rate of NaN": ({"learning_rate": NAN}, "learning_rate=nan: input should be a finite number"),
    "an infinite rate": ({"learning_rate": float("inf")}, "learning_rate=inf"),
    "a rate in words": (
        {"learning_rate": "1e-3"},
        "learning_rate='1e-3': input should be a valid number",
    ),
    "a rate of True": (
        {"learning_rate": True},
        "learning_rate=True: input should be a valid number",
    ),
    "a decay of 1": ({"ema_decay": 1}, "ema_decay=1: input should be less than 1"),
    "a backbone by name": (
        {"backbone": "bert"},
        "backbone='bert': input should be a valid dictionary",
    ),
    "a backbone of numbers": ({"backbone": {1: 2}}, "[1]: input should be a valid string, got 1"),
    "data as a dict": (
        {"data": {"x": 1}},
        "data={'x': 1}: input should be an instance of DataOptions",
    ),
    "warped by one number": ({"warped": 3}, "warped=3: input should be a valid list"),
    "warped by three": ({"warped": (0.1, 0.2, 0.3)}, "expected 2 values, got 3"),
    "warped in words": ({"warped": ("a", 0.0)}, "[0]: input should be a valid number, got 'a'"),
    "warped above 1": (
        {"warped": (0.0, 1.5)},
        "[1]: input should be less than or equal to 1, got 1.5",
    ),
    "an objective of no name": ({"objective": "cuont"}, "did you mean 'count'"),
    "an objective that is a function": ({"objective": objectives.count}, "known: bernoulli"),
    "a precision of 16": ({"precision": 16}, "precision=16: known: bfloat16, float32"),
    "a schedule of a number": (
        {"schedule": 2},
        "schedule=2: input should be a valid string; write a text in quotes",
    ),
    "padding by a policy": (
        {"padding": Excluded()},
        "padding=Excluded(): input should be a valid string",
    ),
    "a preset by name": (
        {"preset": "maskgit"},
        "preset='maskgit': input should be a valid dictionary",
    ),
    "samples below 0": ({"samples": -1}, "samples=-1: input should be greater than or equal to 0"),
    "rows of floats": (
        {"held_out_rows": 1.5},
        "held_out_rows=1.5: input should be a valid integer",
    ),
}


@pytest.mark.parametrize("what", RECIPES)
def test_fields_of_a_recipe_that_cannot_be(what):
    fields, words = RECIPES[what]
    refused(lambda: Recipe(**fields), words)


def test_options_of_data_that_cannot_be():
    refused(lambda: DataOptions(length="9"), "length='9': input should be a valid integer")
    refused(lambda: DataOptions(documents=1), "documents=1: input should be a valid boolean")


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([field.name for field in dataclasses.fields(Recipe)]),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.lists(st.floats(0, 1), max_size=3) | st.dictionaries(st.text(max_size=3), st.integers()),
)  # fmt: skip
def test_a_recipe_and_a_file_refuse_the_same(name, value, tmp_path_factory):
    """Whatever the value, Python and a file agree on whether it can be, and what it becomes."""
    import yaml

    path = tmp_path_factory.mktemp("recipe") / "r.yaml"
    path.write_text(yaml.safe_dump({name: value}), encoding="utf-8")
    from_file, from_python = attempt(lambda: read_settings(Recipe, path)), None
    if name in ("base", "data", "lora"):  # sections in a file
        assert isinstance(from_file, UnmaskError) or value in (None, {})
        return
    from_python = attempt(lambda: Recipe(**{name: value}))
    if isinstance(from_python, UnmaskError):
        assert isinstance(from_file, UnmaskError)
        assert name in str(from_python)
        assert name in str(from_file)
    else:
        assert from_python == from_file


def attempt(call):
    """Return what a call returns, or the library's error that it raises."""
    try:
        return call()
    except UnmaskError as error:
        return error


def test_numbers_of_numpy_are_numbers():
    recipe = Recipe(steps=np.int64(5), learning_rate=np.float64(0.1), batch_size=np.uint8(4))
    assert (recipe.steps, recipe.batch_size) == (5, 4)
    assert type(recipe.steps) is int
    assert Recipe(warped=[0, 1]).warped == (0.0, 1.0)


BACKBONES = {
    "no layers": ({"num_hidden_layers": -1}, "backbone.num_hidden_layers=-1: pass 1 or more"),
    "no heads": ({"num_attention_heads": 0}, "backbone.num_attention_heads=0: pass 1 or more"),
    "no width": ({"intermediate_size": 0}, "backbone.intermediate_size=0: pass 1 or more"),
    "layers in words": ({"num_hidden_layers": "2"}, "makes no network"),
    "a width beyond all memory": ({"hidden_size": 2**40}, "makes no network"),
}


@pytest.mark.parametrize("what", BACKBONES)
def test_backbones_that_cannot_be(what, tmp_path):
    options, words = BACKBONES[what]
    recipe = Recipe(backbone=TINY | options, steps=1)
    refused(partial(train, "shidoku", tmp_path / "m", recipe=recipe), words)


def test_numbers_of_numpy_in_sections_are_numbers():
    recipe = Recipe(backbone=TINY | {"hidden_size": np.int64(16)}, warped=(np.float32(0), 0.5))
    assert type(recipe.backbone["hidden_size"]) is int
    assert recipe.warped == (0.0, 0.5)


UNREAD = {
    "windows of another length": ({"stream": True}, {"length": 6}, "data.length=6"),
    "shorter rows": ({}, {"length": 6}, "data.length=6 in the recipe of a corpus read without"),
    "documents": ({}, {"documents": True}, "pass documents= to unmask.data.read"),
    "a shape": ({}, {"shape": (3, 4)}, "data.shape=(3, 4)"),
    "more ids": ({}, {"vocab_size": 99}, "data.vocab_size=99"),
    "a tokenizer": ({}, {"tokenizer": "tokenizer.json"}, "data.tokenizer='tokenizer.json'"),
}


@pytest.mark.parametrize("what", UNREAD)
def test_options_by_which_a_corpus_was_not_read(what, tmp_path):
    fields, how, words = UNREAD[what]
    recipe = Recipe(backbone=TINY, steps=1, data=DataOptions(**how))
    refused(partial(train, corpus_of(**fields), tmp_path / "m", recipe=recipe), words)
    alone = partial(train, "shidoku", tmp_path / "m", recipe=replace(RECIPE, data=recipe.data))
    refused(alone, "shidoku is built in: leave it out")


def test_options_by_which_a_corpus_was_read(tmp_path):
    how = DataOptions(length=LENGTH + 2, vocab_size=MASK, held_out=0.2, column="ids")
    train(corpus_of(), tmp_path / "m", recipe=Recipe(backbone=TINY, steps=1, data=how))
    assert unmask.load(tmp_path / "m").spec.max_length == LENGTH + 2


TINY = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
RECIPE = Recipe(backbone=TINY, steps=1)

"""Folders: round trips, foreign and broken ones, and writing that is interrupted anywhere."""

import contextlib
import errno
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.conformance.test_networks import MASK, VOCAB, bert, esm, modernbert, roberta
from tests.conformance.test_networks import x_transformer as build_x_transformer
from torch import nn
from transformers import BertConfig, BertForMaskedLM

import unmask
from unmask import Canvas, ClassConditioned, SelfConditioning, presets
from unmask.core.files import previous
from unmask.errors import CheckpointError, InputError, ModelError
from unmask.models.checkpoint import CARD, WEIGHTS, read_card
from unmask.models.x_transformers import XTransformersDenoiser


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Net(nn.Module):
    """The smallest network with weights."""

    def __init__(self, vocab=VOCAB, value=None):
        super().__init__()
        self.table = nn.Embedding(vocab, vocab)
        if value is not None:
            nn.init.constant_(self.table.weight, value)

    def forward(self, tokens):
        return self.table(tokens)


def small(value=None):
    return unmask.wrap(Net(value=value), mask_id=MASK, vocab_size=VOCAB, length=5, forbidden=[2])


def generate(denoiser, **options):
    canvas = Canvas.infill(torch.full((2, 6), 3), torch.arange(6).expand(2, 6) > 0, **options)
    record = unmask.run(denoiser, canvas, presets.random_order(3), seeds=[1, 2])
    return record.tokens, record.logprob


def check_same(one, other, **options):
    for a, b in zip(generate(one, **options), generate(other, **options), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("build", [bert, roberta, modernbert, esm])
def test_transformers_folders_round_trip_and_open_in_transformers(build, tmp_path):
    from transformers import AutoModelForMaskedLM

    denoiser = unmask.wrap(build(), mask_id=MASK, forbidden=[0, 2], length=6)
    folder = unmask.save(denoiser, tmp_path / "model", about={"task": "none", "score": 0.5})
    again = unmask.load(folder)
    check_same(denoiser, again)
    assert (again.spec.mask_id, again.spec.forbidden, again.spec.default_length) == (
        MASK,
        (0, 2),
        6,
    )
    assert not any(module.training for module in again.modules())
    assert read_card(folder).about == {"task": "none", "score": 0.5}
    net = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokens = torch.randint(VOCAB, (1, 6))
    with torch.no_grad():
        ours, theirs = (m(input_ids=tokens).logits for m in (denoiser.net.eval(), net))
    torch.testing.assert_close(ours, theirs)
    assert {path.name for path in folder.iterdir()} >= {"config.json", WEIGHTS, CARD}


@pytest.mark.parametrize(
    "options", [{}, {"tie_embedding": True}, {"num_memory_tokens": 2}], ids=str
)
def test_x_transformers_folders_round_trip_into_a_network_given(options, tmp_path):
    denoiser = unmask.wrap(build_x_transformer(**options), mask_id=MASK)
    folder = unmask.save(denoiser, tmp_path / "model")
    again = unmask.load(folder, net=build_x_transformer(**options))
    check_same(denoiser, again)
    assert again.spec.default_length == 40
    with pytest.raises(CheckpointError, match=r"weights of a TransformerWrapper: make one.*net="):
        unmask.load(folder)
    with pytest.raises(CheckpointError, match=r"weights of a TransformerWrapper, and net is a Net"):
        unmask.load(folder, net=Net())


def test_plain_modules_round_trip(tmp_path):
    denoiser = small()
    again = unmask.load(unmask.save(denoiser, str(tmp_path / "model")), net=Net())
    check_same(denoiser, again)
    assert (again.spec.mask_id, again.spec.forbidden, again.spec.default_length) == (MASK, (2,), 5)


def test_class_conditioned_models_round_trip(tmp_path):
    net = BertForMaskedLM(
        BertConfig(
            vocab_size=VOCAB,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            type_vocab_size=4,
            initializer_range=0.5,
        )
    )
    denoiser = ClassConditioned(unmask.wrap(net, mask_id=MASK, length=6), classes=3)
    again = unmask.load(unmask.save(denoiser, tmp_path / "model"))
    assert isinstance(again, ClassConditioned)
    check_same(denoiser, again, condition=torch.tensor([2, -1]))
    assert not again.training
    first, second = (
        generate(again, condition=torch.tensor(classes))[1] for classes in ([0, 0], [1, 1])
    )
    assert not torch.equal(first, second)


def test_self_conditioning_round_trips(tmp_path):
    denoiser = XTransformersDenoiser(
        build_x_transformer(), MASK, length=6, self_conditioning=SelfConditioning(32)
    )
    folder = unmask.save(denoiser, tmp_path / "model")
    again = unmask.load(folder, net=build_x_transformer())
    assert again.self_conditioning is not None
    check_same(denoiser, again)


def test_half_precision_stays_half(tmp_path):
    denoiser = unmask.wrap(bert().to(torch.bfloat16), mask_id=MASK)
    again = unmask.load(unmask.save(denoiser, tmp_path / "model"))
    assert next(again.parameters()).dtype == torch.bfloat16
    check_same(denoiser, again)


def test_a_function_has_no_weights_to_save(tmp_path):
    denoiser = unmask.wrap(lambda tokens: tokens, mask_id=1, vocab_size=3)
    with pytest.raises(ModelError, match=r"function has no weights to save: wrap an nn\.Module"):
        unmask.save(denoiser, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_about_must_be_json(tmp_path):
    unmask.save(small(1.0), tmp_path / "model")
    with pytest.raises(InputError, match="about"):
        unmask.save(small(2.0), tmp_path / "model", about={"loss": torch.zeros(2)})
    assert holds(tmp_path / "model") == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# Foreign and broken folders


def test_a_missing_folder_is_named(tmp_path):
    message = r"nothing-here' is neither a bundled model nor a folder: "
    with pytest.raises(CheckpointError, match=message):
        unmask.load(tmp_path / "nothing-here")
    with pytest.raises(CheckpointError, match=r"'digts' is neither a bundled model"):
        unmask.load("digts")


@pytest.mark.parametrize("name", [Path("digits"), "digits"])
def test_a_bundled_name_may_be_a_path(name):
    assert unmask.load(name).spec == unmask.load("digits").spec


def test_a_path_to_a_folder_is_that_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unmask.save(small(1.0), "digits")
    with pytest.raises(CheckpointError, match="has the weights of a Net"):
        unmask.load(Path("digits"))
    assert isinstance(unmask.load("digits"), unmask.ClassConditioned)


@pytest.mark.parametrize("path", [None, 3, ["digits"], b"digits"])
def test_what_is_no_path_is_named(path, tmp_path):
    with pytest.raises(CheckpointError, match=r"model is a \w+: pass the path of a folder"):
        unmask.load(path)
    with pytest.raises(CheckpointError, match=r"folder is a \w+: pass the path of a folder"):
        unmask.save(small(1.0), path)


def test_what_is_saved_is_a_denoiser_and_then_its_folder(tmp_path):
    with pytest.raises(ModelError, match="Linear is not a denoiser: wrap it first"):
        unmask.save(torch.nn.Linear(2, 2), tmp_path / "model")
    with pytest.raises(CheckpointError, match="folder is a PlainDenoiser: pass the path"):
        unmask.save(tmp_path / "model", small(1.0))
    for name in ("about", "vocabulary", "training"):
        with pytest.raises(CheckpointError, match=f"{name} is a list: pass a dict"):
            unmask.save(small(1.0), tmp_path / "model", **{name: [1]})
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model").write_text("x")
    with pytest.raises(CheckpointError, match="neither a bundled model nor a folder"):
        unmask.load(tmp_path / "model")


def test_a_folder_of_transformers_opens(tmp_path):
    net = bert()
    net.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"names no mask token: pass mask_id=.*no unmask\.json"):
        unmask.load(tmp_path)
    opened = unmask.load(tmp_path, mask_id=MASK)
    same = unmask.wrap(net.eval(), mask_id=MASK)
    drawn = [unmask.generate(each, batch_size=2, length=5, seed=0) for each in (opened, same)]
    assert drawn[0].equal(drawn[1])


CARDS = {
    "cut short": ('{"mask_id": 4, "voc', r"unmask\.json is not JSON, perhaps cut short"),
    "empty": ("", r"unmask\.json is not JSON, perhaps cut short"),
    "not text": (b"\xff\xfe\x00", r"unmask\.json is not JSON"),
    "a list": ("[]", r"has format 'list'; this version reads 'unmask-1'"),
    "of another program": ('{"name": "x"}', r"has format None; this version reads 'unmask-1'"),
    "of a later version": ('{"format": "unmask-9"}', r"'unmask-9'; this version reads 'unmask-1'"),
    "incomplete": ('{"format": "unmask-1", "mask_id": 1}', r"is incomplete: .*vocab_size"),
    "misspelt": ('{"format": "unmask-1", "mask_idd": 1}', r"'mask_idd': did you mean 'mask_id'\?"),
}


@pytest.mark.parametrize("what", CARDS)
def test_cards_that_cannot_be_read(what, tmp_path):
    content, message = CARDS[what]
    folder = unmask.save(small(), tmp_path / "model")
    (folder / CARD).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=message):
        unmask.load(folder, net=Net())


@pytest.mark.parametrize(
    "change",
    [
        {"mask_id": "four"},
        {"mask_id": 99},
        {"vocab_size": 7},
        {"vocab_size": "many"},
        {"forbidden": [99]},
        {"forbidden": 3},
        {"length": "long"},
        {"classes": {"count": 3}},
        {"classes": [3]},
        {"backbone": 5},
    ],
    ids=str,
)
def test_cards_with_wrong_values_are_input_errors(change, tmp_path):
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | change))
    with pytest.raises(InputError):
        unmask.load(folder)


@pytest.mark.parametrize("build", [bert, Net])
@pytest.mark.parametrize("keep", [0, 4, 200, -7])
def test_weights_cut_short(build, keep, tmp_path):
    folder = unmask.save(unmask.wrap(build(), mask_id=MASK, vocab_size=VOCAB), tmp_path / "model")
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:keep])
    net = {} if build is bert else {"net": build()}
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read, perhaps cut"):
        unmask.load(folder, **net)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, CARD])
@pytest.mark.parametrize("how", ["missing", "cut short"])
def test_every_file_of_a_folder_is_needed(name, how, tmp_path):
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if how == "cut short":
        (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises((CheckpointError, ModelError), match=name):
        unmask.load(folder)


@pytest.mark.parametrize("build", [bert, Net])
@pytest.mark.parametrize("how", ["lacking", "of another shape", "one too many"])
def test_weights_of_another_network(build, how, tmp_path):
    """A tensor that is not there must not be filled in at random, nor one too many be ignored."""
    folder = unmask.save(unmask.wrap(build(), mask_id=MASK, vocab_size=VOCAB), tmp_path / "model")
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    name = next(n for n in sorted(tensors) if tensors[n].dim() == 2)
    if how == "lacking":
        del tensors[name]
    elif how == "of another shape":
        tensors[name] = tensors[name][:, :-1].clone()
    else:
        tensors["stranger.weight"] = torch.zeros(3)
    safetensors.torch.save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    net = {} if build is bert else {"net": build()}
    with pytest.raises(CheckpointError, match="another network"):
        unmask.load(folder, **net)


class Evil:
    """Unpickling this writes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "pickles run code")


def test_weights_in_a_pickle_are_not_read_even_where_torch_could(tmp_path, monkeypatch):
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    torch.save(safetensors.torch.load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    opened, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: opened.append(a) or load(*a, **k))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        unmask.load(folder)
    assert opened == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", WEIGHTS, "model.pt"])
def test_a_pickle_is_never_opened(name, tmp_path):
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    marker = tmp_path / "marker"
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        unmask.load(folder)
    assert not marker.exists()
    pickle.loads((folder / name).read_bytes())
    assert marker.exists()  # so it would have


def test_code_in_a_folder_is_never_run(tmp_path, monkeypatch):
    """transformers would ask, and a user would say yes."""
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    marker = tmp_path / "marker"
    (folder / "evil.py").write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForMaskedLM": "evil.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CheckpointError):
        unmask.load(folder)
    assert not marker.exists()


def test_net_beside_a_folder_with_its_own(tmp_path):
    folder = unmask.save(unmask.wrap(bert(), mask_id=MASK), tmp_path / "model")
    with pytest.raises(CheckpointError, match="stores the network itself: leave net out"):
        unmask.load(folder, net=bert())


# Writing that is interrupted


def holds(folder):
    """Which of the constant models a folder holds."""
    denoiser = unmask.load(folder, net=Net())
    return float(denoiser.net.table.weight.detach().unique())


class Fault:
    """Counts the calls that write, and raises at one of them: before, halfway or after it."""

    def __init__(self, monkeypatch, at, kind, when):
        self.at, self.kind, self.when = at, kind, when
        self.count, self.where = 0, None
        places = (
            (Path, "mkdir"),
            (safetensors.torch, "save_model"),
            (Path, "write_text"),
            (os, "fsync"),
            (Path, "chmod"),
            (Path, "rename"),
            (os, "replace"),
            (shutil, "rmtree"),
        )
        for owner, name in places:
            self.watch(monkeypatch, owner, name)

    def watch(self, monkeypatch, owner, name):
        original = getattr(owner, name)

        def watched(*args, **kwargs):
            self.count += 1
            if self.count != self.at:
                return original(*args, **kwargs)
            self.where = name
            if self.when == "before":
                raise self.kind
            original(*args, **kwargs)
            if self.when == "halfway" and name in ("save_model", "write_text"):
                path = Path(args[1] if name == "save_model" else args[0])
                path.write_bytes(path.read_bytes()[:20])
            raise self.kind

        monkeypatch.setattr(owner, name, watched)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("when", ["before", "halfway", "after"])
@pytest.mark.parametrize("kind", [FULL, KeyboardInterrupt()], ids=["full disk", "interrupt"])
def test_an_interrupted_save_leaves_the_earlier_folder(kind, when, tmp_path):
    folder = tmp_path / "model"
    unmask.save(small(0.0), folder)
    stages, earlier = [], 0.0
    for at in range(1, 40):
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, at, kind, when)
            with contextlib.suppress(type(kind)):
                unmask.save(small(float(at)), folder)
            reached = fault.where
        stages.append(reached)
        now = holds(folder)
        assert now in (earlier, float(at)), f"lost at {reached}, call {at}"
        if reached is None:
            assert now == at
            break
        earlier = now
        left = [path for path in tmp_path.iterdir() if path != folder]
        assert left == [], f"left behind at {reached}, call {at}"
    assert stages[-1] is None
    assert {"mkdir", "save_model", "fsync", "chmod", "rename"} <= set(stages)


@pytest.mark.parametrize("kind", [FULL, KeyboardInterrupt()], ids=["full disk", "interrupt"])
def test_an_interrupted_first_save_leaves_nothing(kind, tmp_path):
    for at in range(1, 40):
        folder = tmp_path / f"{at}" / "model"
        with pytest.MonkeyPatch.context() as patch:
            fault = Fault(patch, at, kind, "before")
            with contextlib.suppress(type(kind)):
                unmask.save(small(1.0), folder)
        if fault.where is None:
            break
        if not folder.exists():
            with pytest.raises(CheckpointError, match="neither a bundled model nor a folder"):
                unmask.load(folder, net=Net())
        assert {path.name for path in folder.parent.glob("*")} <= {"model"}
        assert {path.name for path in folder.parent.glob(".*")} == set()
    assert fault.where is None
    assert holds(folder) == 1.0


def test_a_process_killed_between_the_two_renames_loses_nothing(tmp_path):
    folder = unmask.save(small(3.0), tmp_path / "model")
    folder.rename(previous(folder))
    assert not folder.exists()
    assert holds(folder) == 3.0
    assert not folder.exists()  # loading writes nothing: the disk may be another's, or read-only
    unmask.save(small(4.0), folder)
    assert holds(folder) == 4.0
    assert not previous(folder).exists()


def test_a_link_to_a_model_stays_a_link(tmp_path):
    folder = unmask.save(small(3.0), tmp_path / "model")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    for value in (4.0, 5.0):
        unmask.save(small(value), tmp_path / "link")
        assert holds(tmp_path / "link") == holds(folder) == value
    assert (tmp_path / "link").is_symlink()


def test_a_process_killed_after_the_second_rename_keeps_the_new_one(tmp_path):
    folder = unmask.save(small(3.0), tmp_path / "model")
    shutil.copytree(folder, previous(folder))
    unmask.save(small(4.0), tmp_path / "other")
    shutil.rmtree(folder)
    (tmp_path / "other").rename(folder)
    assert holds(folder) == 4.0
    unmask.save(small(5.0), folder)
    assert not previous(folder).exists()


def test_a_folder_that_save_did_not_write_is_not_emptied(tmp_path):
    """A slip such as save(model, ".") must not delete what else is there."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("three years")
    with contextlib.suppress(CheckpointError):
        unmask.save(small(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "three years"


def test_a_file_in_the_way_is_not_lost(tmp_path):
    (tmp_path / "thesis").write_text("three years")
    with pytest.raises(CheckpointError, match="thesis"):
        unmask.save(small(), tmp_path / "thesis")
    assert (tmp_path / "thesis").read_text() == "three years"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_tokenizer_moves_with_the_model(tmp_path, whole_folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    from unmask.data import Vocabulary

    made = Tokenizer(models.WordLevel({"to": 0, "be": 1, "[UNK]": 2, "[MASK]": 3}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "tok").mkdir()
    made.save(str(tmp_path / "tok" / "tokenizer.json"))
    path = tmp_path / "tok" if whole_folder else tmp_path / "tok" / "tokenizer.json"
    vocabulary = Vocabulary.of_tokenizer(path).to_dict()
    unmask.save(small(1.0), tmp_path / "model", vocabulary=vocabulary)
    shutil.rmtree(tmp_path / "tok")
    (tmp_path / "model").rename(tmp_path / "moved")
    again = Vocabulary.from_dict(read_card(tmp_path / "moved").vocabulary)
    assert again.encode("be to") == [1, 0]
    # A model that was loaded from a folder can be saved in its place, and elsewhere.
    card = read_card(tmp_path / "moved")
    unmask.save(small(2.0), tmp_path / "moved", vocabulary=card.vocabulary)
    assert Vocabulary.from_dict(read_card(tmp_path / "moved").vocabulary).encode("to") == [0]
    with pytest.raises(CheckpointError, match=r"tokenizer .* does not exist any more"):
        unmask.save(small(1.0), tmp_path / "model", vocabulary=vocabulary)
    assert not (tmp_path / "model").exists()

"""`unmask fill`, `complete` and `chat`: text models on the command line."""

import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from tests.text.models import bert, byte_level, canvases, decoder

import unmask
from unmask.cli.io.presets import Drawn
from unmask.cli.io.prompts import Ledger, read_rows
from unmask.cli.runs.text_job import Opened
from unmask.viz import Record


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    return decoder(tmp_path_factory.mktemp("dream"), byte_level())


TEXTS = ["the cat [MASK] on the mat .", "the [MASK:2] of [MASK] ."]


def test_fill(call, masked):
    model = unmask.TextModel.load(masked)
    said = call("fill", masked, *TEXTS, "--top-k", 3, "--json").json
    assert [row["text"] for row in said["rows"]] == TEXTS
    expected = [[each.sequence for each in model.fill(text, top_k=3)] for text in TEXTS]
    assert [[each["sequence"] for each in row["fillings"]] for row in said["rows"]] == expected
    plain = call("fill", masked, given="\n".join(TEXTS))
    assert plain.out.splitlines() == [every[0] for every in expected]
    lengths = call("fill", masked, "the [MASK] .", "--candidates", "1-3", "--json").json
    tokens = [each["token"] for each in lengths["rows"][0]["fillings"]]
    assert sorted(1 if isinstance(each, int) else len(each) for each in tokens) == [1, 2, 3]
    drawn = ("fill", masked, "the [MASK:3] .", "--preset", "random_order", "--steps", 3, "--json")
    assert call(*drawn, "--seed", 1).json == call(*drawn, "--seed", 1).json


def test_complete(call, masked):
    model = unmask.TextModel.load(masked)
    said = call("complete", masked, "the cat", "a dog", "--max-new-tokens", 4, "--json").json
    expected = model.complete(["the cat", "a dog"], 4)
    assert [row["completion"] for row in said["rows"]] == [each.text for each in expected]
    printed = call("complete", masked, "the cat", "--max-new-tokens", 4)
    assert printed.out == f"the cat{expected[0].text}\n"
    assert "4 tokens in" in printed.err


@pytest.mark.parametrize("name", ["daedal", "rho_eos"])
def test_complete_by_rows_that_grow(call, talker, name):
    """The end id is the model's own."""
    model, strategy = unmask.TextModel.load(talker), getattr(unmask.presets, name)(initial=4)
    expected = model.complete("the cat", 12, strategy=strategy)
    line = ("complete", talker, "the cat", "--max-new-tokens", 12, "--preset", name, "--json")
    said = call(*line, "--set", "initial=4").json
    assert said["rows"][0]["completion"] == expected.text


def prompts(tmp_path, count=12):
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": "the " * (i % 5), "id": f"row {i}"} for i in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path, rows


def test_a_file_of_prompts(call, masked, tmp_path):
    path, rows = prompts(tmp_path)
    line = ("complete", masked, "--file", path, "--max-new-tokens", 3, "--out")
    call(*line, tmp_path / "whole.jsonl")
    whole = [json.loads(each) for each in (tmp_path / "whole.jsonl").read_text().splitlines()]
    assert [{"prompt": row["prompt"], "id": row["id"]} for row in whole] == rows
    few = call(*line, tmp_path / "few.jsonl", "--max-rows", 2, "--max-tokens", 20)
    assert "12 completions in" in few.err
    made = [json.loads(each) for each in (tmp_path / "few.jsonl").read_text().splitlines()]
    assert [row["completion"] for row in made] == [row["completion"] for row in whole]


@pytest.mark.parametrize("after", [0, 1, 5, 11])
def test_a_file_goes_on_where_it_was_interrupted(call, masked, tmp_path, monkeypatch, after):
    path, _ = prompts(tmp_path)
    line = ("complete", masked, "--file", path, "--max-new-tokens", 3, "--max-rows", 2, "--out")
    call(*line, tmp_path / "whole.jsonl")
    add, added = Ledger.add, []

    def interrupted(self, index, entry):
        if len(added) == after:
            with self.path.open("a") as file:
                file.write('{"index": 1, "compl')  # what a killed process leaves
            raise KeyboardInterrupt
        added.append(index)
        add(self, index, entry)

    monkeypatch.setattr(Ledger, "add", interrupted)
    assert call(*line, tmp_path / "out.jsonl").code == 130
    assert not (tmp_path / "out.jsonl").exists()
    monkeypatch.setattr(Ledger, "add", add)
    again = call(*line, tmp_path / "out.jsonl")
    assert again.code == 0, again.err
    assert (f"{after} of them before" in again.err) == (after > 0)
    whole, made = ((tmp_path / f"{n}.jsonl").read_text().splitlines() for n in ("whole", "out"))
    drop = [{k: v for k, v in json.loads(each).items() if k != "logprob"} for each in whole]
    assert [{k: v for k, v in json.loads(each).items() if k != "logprob"} for each in made] == drop
    assert not list(tmp_path.glob("*.part"))


def test_a_ledger_of_other_options_is_begun_anew(call, masked, tmp_path):
    path, _ = prompts(tmp_path, 3)
    out = tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.part").write_text(
        '{"asked": "another"}\n{"index": 0, "completion": "x"}\n'
    )
    call("complete", masked, "--file", path, "--max-new-tokens", 2, "--out", out)
    assert json.loads(out.read_text().splitlines()[0])["completion"] != "x"


@pytest.mark.parametrize(
    "line",
    [
        '{"completion": "x"}',
        '{"index": 3, "completion": "x"}',
        '{"index": -1, "completion": "x"}',
        '{"index": true, "completion": "x"}',
        '{"index": 0}',
        '["index"]',
        "0",
        "not JSON",
        "\xff",
    ],
)
def test_a_ledger_with_a_line_of_something_else_is_refused(call, masked, tmp_path, line):
    path, _ = prompts(tmp_path, 3)
    asked = ("complete", masked, "--file", path, "--max-new-tokens", 2, "--out", "out.jsonl")
    part = tmp_path / "out.jsonl.part"
    ledger = Ledger.of(Path("out.jsonl"), read_rows(path, "prompt"), **told(masked, 2))
    part.write_bytes(f'{{"asked": "{ledger.asked}"}}\n{line}\n'.encode("latin-1"))
    before = part.read_bytes()
    assert f"{part.name}, line 2 is no completion of this command" in call(*asked).error()
    assert part.read_bytes() == before
    part.write_bytes(before.replace(line.encode("latin-1") + b"\n", b"half a \xc3"))  # killed there
    assert call(*asked).code == 0


def told(model, tokens):
    """What a ledger of `complete` knows of its options."""
    return {
        "model": str(model),
        "tokens": tokens,
        "stop": None,
        "drawn": Drawn(),
        "opened": Opened(),
    }


def test_chat(call, talker):
    model = unmask.TextModel.load(talker)
    line = ("chat", talker, "--max-new-tokens", 12, "--preset", "random_order", "--steps", 6)
    said = call(*line, given="hello\n/reset\nhello\n/preset nothing\n/what\n/exit\nnot asked\n")
    strategy = unmask.presets.random_order(steps=6)
    answer = model.chat([{"role": "user", "content": "hello"}], 12, seed=1, strategy=strategy)
    assert said.out == f"{answer.text}\n" * 2
    assert "no preset 'nothing'" in said.err
    assert "/what: /reset begins anew" in said.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("fill", "a"), "has no mask: write"),
        (("fill", "a [MASK]", "--candidates", "x"), "candidates='x'"),
        (("fill", "a [MASK]", "--preset", "nothing"), "no preset 'nothing'"),
        (("complete", "a", "--set", "x=1"), "takes no"),
        (("complete", "a", "--max-new-tokens", 100), "generate at most"),
        (("complete", "a", "--file", "x.txt"), "both given"),
        (("complete", "a", "-n", 0), "--number=0: pass an integer of 1 or more"),
        (("complete", "a", "--block", 0), "block=0: BertForMaskedLM attends to all"),
        (("complete", "--file", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("complete", "a", "--json", "--out", "x.jsonl"), "pass one of them"),
        (("chat", "--preset", "nothing"), "no preset 'nothing'"),
        (("fill", "a [MASK]", "--family", "lada"), "did you mean 'llada'"),
        (("fill", "a [MASK]", "--mask-id", 300), "mask_id=300 is outside the vocabulary"),
    ],
)
def test_bad_input(line, told, call, masked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.txt").write_text("a\n")
    command, *rest = line
    done = call(command, masked, *rest)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())


def test_wrong_lines_of_prompts(call, masked, tmp_path):
    path = tmp_path / "wrong.jsonl"
    for text, told in (('{"prompt"', "line 1 is not JSON"), ('{"text": "a"}', 'as in {"prompt"')):
        path.write_text(text + "\n")
        assert told in call("complete", masked, "--file", path).error()
    path.write_text("\n")
    assert "has no prompt" in call("complete", masked, "--file", path).error()


def test_info_says_what_was_recognised_and_where(call, talker, masked):
    said = call("info", talker, "--json").json
    assert (said["family"], said["opened as"], said["mask_id"]) == ("dream", "Qwen2ForCausalLM", 3)
    assert said["found in"]["kind"] == "model_type 'Dream' in config.json"
    assert said["found in"]["mask_id"] == "the mask token of the tokenizer"
    assert "--preset dream --set algorithm=entropy" in " ".join(call("info", talker).out.split())
    assert call("info", masked, "--json").json["opened as"] == "BertForMaskedLM"
    zero = call("info", talker, "--mask-id", 0, "--json").json
    assert (zero["mask_id"], zero["found in"]["mask_id"]) == (0, "as asked for")
    asked = call("info", talker, "--mask-id", 7, "--json").json
    assert (asked["mask_id"], asked["found in"]["mask_id"]) == (7, "as asked for")
    assert (
        "mask_id=7: digits is a folder of unmask.save"
        in call("info", "digits", "--mask-id", 7).error()
    )


def test_info_of_a_model_of_transformers_has_its_size_and_presets(call, talker, masked, tmp_path):
    blocks = decoder(tmp_path / "sdar", byte_level(), "sdar")
    for folder, block in ((talker, None), (masked, None), (blocks, "that of SDAR 1.7B to 8B")):
        net = unmask.load(folder).net
        said, printed = call("info", folder, "--json").json, call("info", folder).out
        assert said["parameters"] == sum(each.numel() for each in net.parameters())
        assert [each["preset"] for each in said["presets"]] == unmask.presets.__all__
        assert said["found in"].get("block") == block
        assert ("block from" in printed) == (block is not None)
        assert f"{said['parameters']:,}" in printed
        assert "first_hitting" in printed
    plain = call("info", talker, "--mask-id", 299).out
    assert "299" in plain
    asked = call("info", masked, "--family", "llada").error()
    assert "config.json has no entry 'n_heads'. family='llada' was asked for" in asked


def test_a_config_without_a_size_is_told(call, masked, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(masked, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config))
    told = call("generate", folder, "--length", 4).error()
    assert "config.json has no vocab_size, a number of ids" in told


def test_commands_of_all_models_take_one_of_transformers(call, masked, tmp_path):
    said = call("generate", masked, "-n", 3, "--length", 6, "--json").json
    assert len(said["tokens"]) == 3
    assert all(token > 4 for row in said["tokens"] for token in row)  # no special token
    filled = call("infill", masked, given="the cat [MASK:2] .\n")
    assert filled.out.startswith("the cat")
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n")
    scored = call("score", masked, tmp_path / "text.txt", "--documents", "--json").json
    assert scored["tokens"] == 6


def test_texts_of_a_form(call, talker, tmp_path):
    """--regex, --json-schema and --choice of complete and chat."""
    model, line = unmask.TextModel.load(talker), ("complete", talker, "the cat", "--seed", 3)
    said = call(*line, "--max-new-tokens", 12, "--regex", "[ab]{3,5}", "--json").json
    expected = model.complete("the cat", 12, regex="[ab]{3,5}", seed=3)
    assert [row["completion"] for row in said["rows"]] == [expected.text]
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}'
    )
    said = call(
        *line, "--max-new-tokens", 16, "--json-schema", schema, "--likeliest", "--json"
    ).json
    assert json.loads(said["rows"][0]["completion"]) == {"a": None}
    printed = call("chat", talker, "--choice", "yes", "--choice", "no", given="really?\nsure?\n")
    assert {*printed.out.split()} <= {"yes", "no"}
    assert len(printed.out.split()) == 2
    out = tmp_path / "out.jsonl"
    for choice in ("yes", "no"):
        call(*line, "--choice", choice, "--out", out)
        assert json.loads(out.read_text())["completion"] == choice


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--regex", "("], "regex='(' is no regular expression"),
        (["--regex", "a", "--choice", "b"], "regex= and choices= are both given"),
        (["--json-schema", "missing.json"], "missing.json"),
        (["--likeliest"], "chooses among texts of a form"),
        (["--regex", "a{99}"], "99 at least: pass 99 or more"),
    ],
)
def test_forms_that_cannot_be(call, talker, options, told):
    done = call("complete", talker, "x", *options)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())


SAID = {
    "family": "dream", "mask_id": 5, "block": 2, "revision": "main", "dtype": "float64",
    "device_map": "cpu", "trust_remote_code": True,
}  # fmt: skip
"""Options of `unmask.load`, none of them that of the files."""


@pytest.mark.parametrize(
    "command", ["fill", "complete", "chat", "generate", "infill", "score", "info"]
)
def test_every_command_that_opens_a_model_hands_on_the_options_of_load(
    command, call, talker, tmp_path, monkeypatch
):
    from unmask.models import loading
    from unmask.text import opening

    seen, recognised = [], loading.recognised

    def spied(model, options):
        seen.append(dict(options))
        return recognised(model, options)

    monkeypatch.setattr(loading, "recognised", spied)
    monkeypatch.setattr(opening, "recognised", spied)
    (tmp_path / "text.txt").write_text("the cat sat\n")
    line, given = {
        "fill": (["a [MASK]"], None),
        "complete": (["the", "--max-new-tokens", 2], None),
        "chat": (["--max-new-tokens", 2], "the cat\n"),
        "generate": (["-n", 1, "--length", 4], None),
        "infill": (["--json"], "the cat [MASK]\n"),
        "score": ([tmp_path / "text.txt", "--documents", "--samples", 2], None),
        "info": ([], None),
    }[command]
    said = {k: v for k, v in SAID.items() if command != "info" or k not in ("dtype", "device_map")}
    flags = []
    for name, value in said.items():
        flags += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    outcome = call(command, talker, *line, *flags, given=given)
    assert outcome.code == 0, outcome.err
    assert {k: v for k, v in seen[0].items() if v} == said
    assert len(seen) == 1


@pytest.mark.parametrize("command", ["solve", "compare", "evaluate"])
def test_commands_of_tasks_hand_on_how_weights_are_read(command, call, tmp_path, monkeypatch):
    """The other options are about kinds, which a folder of a task says itself."""
    from unmask.models import loading

    seen, recognised = [], loading.recognised
    monkeypatch.setattr(
        loading, "recognised", lambda name, given: seen.append(given) or recognised(name, given)
    )
    line = {
        "solve": ["-", "shidoku"],
        "compare": ["shidoku", "--preset", "confidence", "--steps", 2, "--samples", 20],
        "evaluate": ["shidoku", "--quick"],
    }[command]
    options = ["--dtype", "float64", "--device-map", "cpu", "--json"]
    done = call(command, *line, *options, given="1..4..2..3..4..1\n")
    assert done.code in (0, 2), done.err  # a puzzle of two solutions
    assert seen == [{"dtype": "float64", "device_map": "cpu"}]
    if command == "compare":
        path = tmp_path / "runs" / "compare-shidoku" / "compare.csv"
        assert "-float64," in path.read_text()
        call(command, *line)
        assert len(path.read_text().splitlines()) == 3  # measured again, in another precision


def test_what_the_files_do_not_say_is_said_on_the_command_line(call, talker, tmp_path):
    """A left-to-right model by its files, which was trained as a masked one."""
    folder = tmp_path / "model"
    shutil.copytree(talker, folder)
    config = (folder / "config.json").read_text().replace('"Dream"', '"qwen2"')
    (folder / "config.json").write_text(config)
    line = ("generate", folder, "-n", 2, "--length", 6, "--preset", "confidence", "--json")
    assert "is a left-to-right model" in call(*line).error()
    found = call(*line, "--family", "open_dllm", "--mask-id", 9, "--block", 2).json["tokens"]
    denoiser = unmask.load(folder, family="open_dllm", mask_id=9, block=2)
    never = unmask.Constraint(forbidden=denoiser.spec.reserved)
    plan = unmask.presets.confidence().but(constraint=never)
    wanted = unmask.generate(denoiser, batch_size=2, length=6, strategy=plan, seed=0)
    assert found == wanted.tolist()
    np.save(tmp_path / "ids.npy", np.array([[20, 21, 22, 23]]))
    score = ("score", folder, tmp_path / "ids.npy", "--order", "random_order")
    kind = ("--family", "open_dllm", "--mask-id", 9)
    assert call(*score, *kind, "--json").json["kind"] == "exact"
    said = call("info", folder, *kind, "--json").json
    assert (said["family"], said["mask_id"]) == ("open_dllm", 9)


def test_options_that_a_folder_of_unmask_does_not_take(call):
    line = ("generate", "digits", "-n", 1)
    told = call(*line, "--family", "llada").error()
    assert "family='llada': digits is a folder of unmask.save" in told
    assert call(*line, "--steps", 2, "--dtype", "bfloat16", "--json").code == 0


def test_a_network_of_canvases_is_sent_to_the_commands_of_text(call, tmp_path):
    model = unmask.TextModel.load(canvases(tmp_path / "published"))
    folder = model.save(tmp_path / "saved")
    for each in (tmp_path / "published", folder):
        told = call("generate", each, "--length", 8).error()
        assert "has no mask token: type unmask complete or unmask chat" in told
        assert call("info", each, "--json").code == 0
    assert "mask None" in " ".join(call("info", folder).out.split())
    assert call("complete", folder, "the cat", "--max-new-tokens", 4, "--json").code == 0


def test_a_talk_shows_the_draft(call, tmp_path, monkeypatch):
    """What `unmask chat` draws at each step, of a network that commits a canvas at once."""
    from rich.live import Live

    from unmask.cli.commands import chat

    shown = []
    monkeypatch.setattr(chat, "is_terminal", lambda: True)
    monkeypatch.setattr(Live, "update", lambda self, text, **_: shown.append(str(text)))
    folder = canvases(tmp_path)
    call("chat", folder, "--max-new-tokens", 8, given="the cat\n")
    model = unmask.TextModel.load(folder)
    states = list(model.stream_chat([{"role": "user", "content": "the cat"}], 8, seed=1))
    assert [state.snapshot for state in states] == shown
    assert len(shown) > 1
    assert "▒" * 8 not in shown


def test_a_terminal_shows_text_and_not_ids(call, masked, monkeypatch):
    """At every step: unknown positions, and the words of those that are known."""
    from rich.console import Console
    from rich.text import Text

    from unmask.cli.runs import generation_job
    from unmask.cli.ui import live

    shown = []
    words = call("generate", masked, "--length", 6, "-n", 1, "--steps", 3, "--json").json["text"]
    monkeypatch.setattr(generation_job, "is_shown", lambda *_: True)
    monkeypatch.setattr(live, "PAUSE", 0)
    real = live._Panels.panel

    def seen(self, *given):
        told = StringIO()
        panel = real(self, *given)
        Console(file=told, force_terminal=True, width=80).print(panel)
        shown.append(Text.from_ansi(told.getvalue()).plain)
        return panel

    monkeypatch.setattr(live._Panels, "panel", seen)
    found = call("generate", masked, "--length", 6, "-n", 1, "--steps", 3)
    assert found.code == 0, found.err
    assert len(shown) == 4
    assert words[0].split()[0] in shown[-1]
    for frame in shown:
        assert not [word for word in frame.split("step")[0].split() if word.isdigit()]


def test_pictures_show_text_and_not_ids(call, masked, talker, tmp_path):
    """All frames are of one size, whatever a tokenizer's words are; the record knows their text."""
    for model in (masked, talker):
        line = ("generate", model, "-n", 2, "--length", 30, "--seed", 2)  # no ## begins the first
        done = call(*line, "--out", "a.gif", "--out", "a.png", "--record", "a.safetensors")
        assert done.code == 0, done.err
        with Image.open(tmp_path / "a.gif") as file:
            assert len({each.size for each in ImageSequence.Iterator(file)}) == 1
            with Image.open(tmp_path / "a.png") as last:
                assert last.size == file.size
        layout = Record.load(tmp_path / "a.safetensors").layout
        tokens = call("show", "a.safetensors", "--json").json["tokens"][0]
        text = "".join(map(layout.symbol, tokens)).encode("utf-8", "surrogateescape")
        expected = call(*line, "--json").json["text"][0]
        assert text.decode("utf-8", "replace").strip() == expected.strip()
        assert call("show", "a.safetensors").code == 0

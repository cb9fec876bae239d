"""Proteins on the command line: FASTA in and out."""

import pytest
import transformers

import unmask
from unmask.data import FastaRecord, read_fasta, write_fasta

LETTERS = "LAGVSERTIDPKQNFYMHWCX"
ESM = ["<cls>", "<pad>", "<eos>", "<unk>", *LETTERS, "<null_1>", "<mask>"]


@pytest.fixture(scope="module")
def proteins(tmp_path_factory):
    """A tiny ESM, whose tokenizer decodes with spaces and has a name among its letters."""
    folder = tmp_path_factory.mktemp("esm")
    (folder / "vocab.txt").write_text("\n".join(ESM))
    transformers.EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.EsmConfig(
        vocab_size=len(ESM), mask_token_id=ESM.index("<mask>"), pad_token_id=1, hidden_size=16,
        num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, initializer_range=0.4,
        max_position_embeddings=128, position_embedding_type="rotary",
    )  # fmt: skip
    transformers.EsmForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def chains(tmp_path):
    path = tmp_path / "chains.fasta"
    path.write_text(">a heavy\nEVQXXL\nVE?\r\n\n>b\n[MASK:2]evq*\n>b\nMKT<mask>\n")
    return path


def alike(template, sequence):
    """Whether a sequence is the template, with any letter at each dot."""
    return len(template) == len(sequence) and all(
        a in (".", b) and b in LETTERS for a, b in zip(template, sequence, strict=True)
    )


def test_letters_of_esm(proteins):
    """Its tokenizer decodes letters with spaces, and lists <null_1> among the words."""
    encoding = unmask.TextModel.load(proteins).encoding
    assert encoding.decode(encoding.encode("EV Q")) == "EVQ"
    assert encoding.encode("evq") == encoding.encode("EVQ")
    assert ESM.index("<null_1>") in encoding.special
    assert encoding.decode([0, 5, 4, 2], special=True) == "<cls>AL<eos>"
    assert (encoding.unknown("EVJ"), encoding.unknown("EVQ")) == ("J", None)


def test_fill(call, proteins, chains, tmp_path):
    done = call("fill", proteins, "--file", chains, "--unknown", "X?", "--out", "out.fasta")
    assert done.code == 0, done.err
    found = read_fasta(tmp_path / "out.fasta")
    assert [each.header for each in found] == ["a heavy", "b", "b"]
    for each, template in zip(found, ["EVQ..LVE.", "..EVQ", "MKT."], strict=True):
        assert alike(template, each.sequence), each
    # From standard input, known by what it has, and printed as lines.
    printed = call("fill", proteins, "--unknown", "X?", given=chains.read_text())
    assert printed.out.splitlines() == [each.sequence for each in found]
    call("fill", proteins, "--file", chains, "--unknown", "X?", "--top-k", 2, "--out", "two.fa")
    two = read_fasta(tmp_path / "two.fa")
    assert [each.header for each in two[:2]] == ["a heavy [1 of 2]", "a heavy [2 of 2]"]
    assert all(alike("EVQ..LVE.", each.sequence) for each in two[:2])
    rows = call("fill", proteins, "--file", chains, "--unknown", "X?", "--json").json["rows"]
    assert rows[0]["header"] == "a heavy"
    assert rows[0]["text"] == "EVQ[MASK:2]LVE[MASK:1]"


def test_x_is_a_letter_unless_told(call, proteins, tmp_path):
    write_fasta(tmp_path / "x.fa", [FastaRecord("a", "EXQ"), FastaRecord("b", "M[MASK]")])
    line = ("fill", proteins, "--file", "x.fa")
    assert "record 'a' has no unknown letter" in call(*line).error()
    write_fasta(tmp_path / "x.fa", [FastaRecord("a", "EXQ[MASK]")])
    assert alike("EXQ.", call(*line).out.strip())
    assert call(*line, "--unknown", "M").out == call(*line).out  # not the M of [MASK]


def test_a_record_without_an_unknown_letter_stays_as_it_is(call, proteins, tmp_path):
    """Whatever its letters are: nothing of it is generated."""
    every = [("a", "EXQ"), ("known", "EVQj"), ("b", "XXM"), ("last", "")]
    write_fasta(tmp_path / "all.fa", [FastaRecord(*each) for each in every])
    write_fasta(tmp_path / "some.fa", [FastaRecord(*each) for each in every[::2]])
    line = ("fill", proteins, "--unknown", "X", "--top-k", 2)
    done = call(*line, "--file", "all.fa", "--out", "out.fa")
    assert done.code == 0, done.err
    assert "2 records without an unknown letter, as before: 'known', 'last'" in done.err
    call(*line, "--file", "some.fa", "--out", "few.fa")
    found, few = read_fasta(tmp_path / "out.fa"), read_fasta(tmp_path / "few.fa")
    assert [*found[:2], *found[3:5]] == few
    assert [found[2], found[5]] == [FastaRecord("known", "EVQj"), FastaRecord("last", "")]
    rows = call(*line, "--file", "all.fa", "--json").json["rows"]
    assert [len(row["fillings"]) for row in rows] == [2, 1, 2, 1]
    assert rows[1]["fillings"] == [{"score": 1.0, "token": [], "token_str": [], "sequence": "EVQj"}]


def test_complete(call, proteins, tmp_path):
    write_fasta(tmp_path / "x.fa", [FastaRecord("a", "EVQ"), FastaRecord("b", "")])
    line = ("complete", proteins, "--file", "x.fa", "--max-new-tokens", 8, "-n", 2)
    done = call(*line, "--out", "out.fasta")
    assert done.code == 0, done.err
    rows = call(*line, "--json").json["rows"]
    assert [row["header"] for row in rows] == ["a", "a", "b", "b"]
    found = read_fasta(tmp_path / "out.fasta")
    assert [each.header for each in found] == [f"{x} [{n} of 2]" for x in "ab" for n in (1, 2)]
    assert [each.sequence for each in found] == [r["prompt"] + r["completion"] for r in rows]
    assert all(set(each.sequence) <= {*LETTERS} for each in found)
    call("complete", proteins, "EV", "--out", "plain.fa", "--max-new-tokens", 3)
    assert read_fasta(tmp_path / "plain.fa")[0].header == "1"


def test_a_network_that_sees_no_row_of_masks_alone(call, proteins, tmp_path):
    """ESM-2 scales by the share of unknown positions, and divides by 0 where all are."""
    folder = tmp_path / "esm2"
    network = transformers.EsmForMaskedLM.from_pretrained(proteins)
    network.config.token_dropout = True
    network.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(proteins).save_pretrained(folder)
    found = call("generate", folder, "-n", 2, "--length", 12, "--json")
    assert found.code == 0, found.err
    assert [alike("." * 12, each) for each in found.json["text"]] == [True, True]
    model = unmask.TextModel.load(folder)
    before, after = model.encoding.around
    never = unmask.Constraint(forbidden=model._never)
    plan = unmask.presets.random_order(steps=18).but(constraint=never)
    canvas = unmask.Canvas.ragged(
        [[*before, *[0] * 12, *after]] * 2, [[False, *[True] * 12, False]] * 2
    )
    wanted = unmask.run(model.denoiser, canvas, plan, seed=0).tokens[:, 1:-1]
    assert found.json["tokens"] == wanted.tolist()


def test_generate_and_score(call, proteins, tmp_path):
    line = ("generate", proteins, "-n", 3, "--length", 70)
    done = call(*line, "--out", "out.fasta", "--out", "out.gif")
    assert done.code == 0, done.err
    found = read_fasta(tmp_path / "out.fasta")
    assert [each.sequence for each in found] == call(*line, "--json").json["text"]
    assert all(alike("." * 70, each.sequence) for each in found)
    scored = call("score", proteins, "out.fasta", "--json").json
    assert (scored["examples"], scored["tokens"]) == (3, 210)
    assert scored["headers"] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("fill", "--file", "j.fa"), "record 'a': the tokenizer has no token for 'J'; if it is"),
        (("complete", "--file", "j.fa"), "record 'a': the tokenizer has no token for 'J'"),
        (("fill", "E[MASK]", "--unknown", "X"), "--unknown 'X': it names letters of FASTA"),
        (("fill", "--file", "j.fa", "--unknown", ""), "--unknown ''"),
        (("fill", "--file", "bad.fa"), "bad.fa, line 1: 'EVQ' is before the first header"),
        (("fill", "--file", "j.fa", "--out", "j.fa"), "this command names it twice"),
        (("fill", "E", "--file", "j.fa"), "texts and --file FILE are both given"),
        (("fill", "E[MASK]", "--out", "x.fa", "--json"), "pass one of them"),
        (("fill", "E[MASK]", "--top-k", "0"), "--top-k=0: pass an integer of 1 or more"),
        (("fill", "--file", "empty.txt"), "empty.txt has no text"),
        (("fill", "E[MASK]", "--out", "x.png"), "--out x.png: texts are written as .jsonl"),
        (("complete", "E", "--out", "x.gif"), "--out x.gif: texts are written as .jsonl"),
        (("generate", "--length", "9", "-n", "0"), "--number=0: pass an integer of 1 or more"),
    ],
)
def test_bad_input(call, proteins, tmp_path, line, told):
    (tmp_path / "j.fa").write_text(">a\nEVJ[MASK]\n")
    (tmp_path / "bad.fa").write_text("EVQ\n")
    (tmp_path / "empty.txt").write_text("\n")
    command, *rest = line
    assert told in " ".join(call(command, proteins, *rest).error().split())


def test_models_of_other_texts_write_no_fasta(call, tmp_path):
    told = "FASTA holds letters without spaces"
    assert told in call("generate", "digits", "--out", "x.fasta").error()
    assert not list(tmp_path.iterdir())

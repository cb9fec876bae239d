"""FASTA: what is written is read again, whatever the file looks like; and as data."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.cli.io.fasta import SEQUENCES
from unmask.data import FastaRecord, read, read_fasta, write_fasta
from unmask.data.fasta import FASTA, fasta_text, is_fasta, parse_fasta
from unmask.errors import DataError, InputError

LETTERS = st.text("ACDEFGHIKLMNPQRSTVWYXacdefx-.*?_", max_size=90)
HEADERS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)
RECORDS = st.lists(
    st.builds(FastaRecord, HEADERS, LETTERS.map(lambda s: s.rstrip("*"))), min_size=1, max_size=6
)


@given(RECORDS, st.integers(1, 100))
def test_round_trip(records, width):
    """Duplicate names, empty records and small letters stay, at any width."""
    text = fasta_text(records, width)
    assert parse_fasta(text, "x") == records
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith(">"))


@given(RECORDS, st.data())
def test_every_form_of_a_file_is_read_alike(records, data):
    """Line ends, blank lines, comments, spaces in and around sequences, an asterisk at the end."""
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = list[str]()
    for record in records:
        letters = record.sequence + data.draw(st.sampled_from(["", "*"]))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(letters)), max_size=4)))
        lines.append(f"> {record.header}\t")
        lines += [letters[a:b] for a, b in zip([0, *cuts], [*cuts, len(letters)], strict=True)]
        lines.insert(len(lines) - 1, data.draw(st.sampled_from(["", "  ", "; a comment > of old"])))
    text = data.draw(st.sampled_from(["", "\n \n"])).replace("\n", end) + end.join(lines)
    assert parse_fasta(text, "x") == records


@given(RECORDS)
def test_as_a_naive_reader(records):
    text = fasta_text(records, 7)
    naive, parts = [], re.split(r"(?:^|\n)>", text)
    for part in parts[1:]:
        header, _, rest = part.partition("\n")
        naive.append(FastaRecord(header, rest.replace("\n", "")))
    assert parse_fasta(text, "x") == naive


def test_files(tmp_path):
    path = tmp_path / "x.fasta"
    records = [FastaRecord("a b", "EVQ" * 30), FastaRecord("a b", ""), FastaRecord("", "evq")]
    assert write_fasta(path, records) == path
    assert path.read_text().splitlines()[:3] == [">a b", ("EVQ" * 30)[:60], ("EVQ" * 30)[60:]]
    assert read_fasta(path) == records
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a mark that some editors write
    assert read_fasta(path) == records


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "has no record: write a line such as >name"),
        (b"\n\n", "has no record"),
        (b"\nEVQ\n>a\nE", "line 2: 'EVQ' is before the first header"),
        (b">a\nEV\xff", "byte 5 is no UTF-8 text"),
        (b"\x1f\x8b\x08\x00", "a compressed file has to be unpacked first"),
    ],
)
def test_what_is_no_fasta(tmp_path, data, told):
    path = tmp_path / "x.fasta"
    path.write_bytes(data)
    with pytest.raises(DataError, match=told):
        read_fasta(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_fasta(tmp_path)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (FastaRecord("a\nb", "E"), "a header is one line"),
        (FastaRecord("a", "E V"), "has ' ', which FASTA does not hold"),
        (FastaRecord("a", "E>V"), "has '>'"),
        (FastaRecord("a", "EV*"), "has '\\*'"),
    ],
)
def test_what_fasta_does_not_hold_is_not_written(tmp_path, record, told):
    with pytest.raises(InputError, match=told):
        write_fasta(tmp_path / "x.fasta", [record])
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="width=0"):
        write_fasta(tmp_path / "x.fasta", [], 0)


def test_recognised_by_name_or_by_what_it_has():
    assert tuple(SEQUENCES) == FASTA
    assert is_fasta("x.FA", "")
    assert is_fasta(None, "\n>a\nEVQ\n[MASK:3]\n")
    for text in ("", ">a", "EVQ\n>a", "> quoted\nand a line\n"):
        assert not is_fasta("x.txt", text)


def test_records_are_examples(tmp_path):
    path = tmp_path / "x.fasta"
    path.write_text(">a\nEVQ\nLV*\n>b\n\n>c\nMKT\n")
    corpus = read(path)
    rows = [bytes(each.tokens.tolist()).decode() for each in corpus.examples]
    assert rows == ["EVQLV", "MKT"]
    assert corpus.documents
    assert corpus.vocabulary.eos_id == 256
    assert corpus.vocabulary.letters  # the data had no space
    assert "1 rows without text left out" in corpus.notes
    windows = read(path, length=4)
    assert bytes(windows.examples[0].tokens.tolist()) == b"EVQL"
    path.write_text(">a\nEVQ\n>b\nM[MASK]\n")
    with pytest.raises(DataError, match=r"record 2 \(counted from 1\): \[MASK\] is an unknown"):
        read(path)
    with pytest.raises(DataError, match="is text and has no columns"):
        read(path, column="x")

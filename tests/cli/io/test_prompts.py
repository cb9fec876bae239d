"""Files of texts: their lines are those of the file, whatever characters a text has."""

import json

import pytest

from unmask.cli.io.canvas_input import is_ids
from unmask.cli.io.prompts import Ledger, read_rows, write_rows
from unmask.core.lines import lines_of, numbered_lines
from unmask.errors import InputError

WITHIN = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Characters at which `str.splitlines` ends a line, and files do not."""


@pytest.mark.parametrize("character", WITHIN, ids=ascii)
def test_a_line_ends_where_it_ends_in_a_file(character, tmp_path):
    text = f"a{character}b"
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": text, "id": 1}, {"prompt": "c", "id": 2}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert read_rows(path, "prompt") == rows
    again = tmp_path / "again.jsonl"
    write_rows(again, rows)
    assert read_rows(again, "prompt") == rows
    plain = tmp_path / "prompts.txt"
    plain.write_text(f"{text}\nc\n", "utf-8")
    assert [row["prompt"] for row in read_rows(plain, "prompt")] == [text, "c"]
    assert [*numbered_lines(f"1 # {text}\n2")] == [(1, "1"), (2, "2")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
def test_lines_of_a_text(end, tmp_path):
    for text in ("", "a", f"a{end}", f"a{end}b", f"{end}a{end}{end}"):
        path = tmp_path / "text"
        path.write_bytes(text.encode())
        with path.open() as file:
            assert lines_of(text) == [line.removesuffix("\n") for line in file]


def test_an_error_names_the_line_of_the_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a"}\n\n\n{"text": "b"}\n')
    with pytest.raises(InputError, match=r"prompts\.jsonl, line 4: pass an object"):
        read_rows(path, "prompt")
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="line 1 is not JSON"):
        read_rows(path, "prompt")
    assert not is_ids("[" * 100_000)


def test_half_a_character_beside_a_prompt_is_written(tmp_path):
    """Files may hold one as an escape; what goes along with a prompt is not read."""
    path, out = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"prompt": "a", "id": "\\udca8"}\n')
    rows = read_rows(path, "prompt")
    write_rows(out, rows)
    assert read_rows(out, "prompt") == rows
    ledger = Ledger.of(out, rows)
    ledger.begin()
    ledger.add(0, {"completion": "\udca8"})
    assert ledger.begin() == {0: {"completion": "\udca8"}}

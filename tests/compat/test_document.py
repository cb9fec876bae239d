"""docs/compat.md runs, names tests that exist, and leaves no defect out."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = (HERE.parents[1] / "docs" / "compat.md").read_text(encoding="utf-8")


def named_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in functions if name.startswith("test_")}


def test_every_test_it_names_exists():
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    assert named <= set().union(*map(named_in, HERE.glob("test_*.py")))


def test_every_defect_is_listed():
    assert not [name for name in named_in(HERE / "test_defects.py") if name not in DOCUMENT]


def test_its_code_runs_and_says_what_comes_out(capsys):
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL):
        exec(compile(block, "docs/compat.md", "exec"), names)
    assert names["generated"].shape == (16, 64)
    assert names["row"].shape == (64,)
    assert capsys.readouterr().out.splitlines()[-1] == "18 [0, 0]"

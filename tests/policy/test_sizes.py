"""Files and functions stay small enough to be read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "unmask"

FILE_MAX, FILE_MEDIAN = 350, 150
FUNCTION_MAX, FUNCTION_P90, FUNCTION_MEDIAN = 60, 35, 10


def file_sizes(source: Path) -> dict[str, int]:
    """Lines of each file."""
    return {
        str(path.relative_to(source)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(source.rglob("*.py"))
    }


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    has_docstring = ast.get_docstring(function) is not None
    statements = function.body[1:] if has_docstring else function.body
    if not statements:
        return 0
    # A decorated function or class starts at its decorator.
    first = min(
        [statements[0].lineno]
        + [decorator.lineno for decorator in getattr(statements[0], "decorator_list", [])]
    )
    return (statements[-1].end_lineno or first) - first + 1


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.name}:{node.lineno} {node.name}", body_lines(node)


def function_sizes(source: Path) -> dict[str, int]:
    """Body lines of each function and method, nested ones on their own as well."""
    return {
        f"{path.parent.relative_to(source)}/{name}": lines
        for path in sorted(source.rglob("*.py"))
        for name, lines in functions(path)
    }


def p90(sizes: list[int]) -> float:
    return quantiles(sizes, n=10, method="inclusive")[-1] if len(sizes) > 1 else max(sizes)


def too_large(sizes: dict[str, int], limit: int) -> dict[str, int]:
    return {name: lines for name, lines in sizes.items() if lines > limit}


def complaints(source: Path) -> list[str]:
    """Every size over its limit, one line each."""
    files, bodies = file_sizes(source), function_sizes(source)
    found = [
        f"{name}: {n} lines, over {FILE_MAX}" for name, n in too_large(files, FILE_MAX).items()
    ]
    found += [
        f"{name}: {n} lines of body, over {FUNCTION_MAX}"
        for name, n in too_large(bodies, FUNCTION_MAX).items()
    ]
    statistics = [
        ("median file", median(files.values()), FILE_MEDIAN),
        ("median function", median(bodies.values()), FUNCTION_MEDIAN),
        ("90th percentile of functions", p90(list(bodies.values())), FUNCTION_P90),
    ]
    found += [f"{what}: {n:g} lines, over {limit}" for what, n, limit in statistics if n > limit]
    return found


def test_files_and_functions_are_small():
    assert function_sizes(SOURCE), f"no functions under {SOURCE}"
    assert not complaints(SOURCE), "\n".join(complaints(SOURCE))


def function(name: str, lines: int, docstring: str = "") -> str:
    doc = f'    """{docstring}"""\n' if docstring else ""
    return f"def {name}():\n{doc}" + "    x = 1\n" * lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (function("f", 3), 3),
        (function("f", 3, "One.\n\n    Two.\n    "), 3),
        ('def f():\n    """Only words."""\n', 0),
        ("class A:\n    def f(self): return (\n        1\n    )\n", 3),
        ("async def f():\n    @g\n    def h():\n        pass\n", 3),
    ],
)
def test_body_lines_excludes_signature_and_docstring(tmp_path, text, lines):
    (tmp_path / "a.py").write_text(text)
    assert next(iter(function_sizes(tmp_path).values())) == lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (function("f", 5) * 59 + "\n", "a.py: 355 lines, over 350"),
        (function("long", 61) + function("f", 1) * 99, "a.py:1 long: 61 lines of body"),
        (function("f", 1) * 8 + function("g", 36) * 2, "90th percentile of functions"),
        (function("f", 11) * 3, "median function: 11 lines"),
        ("x = 1\n" * 151 + function("f", 1), "median file: 153 lines"),
    ],
)
def test_checker_catches_each_size(tmp_path, text, words):
    (tmp_path / "a.py").write_text(text)
    assert any(words in line for line in complaints(tmp_path)), complaints(tmp_path)


def test_checker_accepts_sizes_at_the_limit(tmp_path):
    (tmp_path / "a.py").write_text(function("long", 60) + function("f", 10) * 26)
    (tmp_path / "b.py").write_text(function("f", 10))
    (tmp_path / "c.py").write_text("x = 1\n")
    assert complaints(tmp_path) == []

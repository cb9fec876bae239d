"""A module imports only from its own folder or from lower floors (docs/architecture.md).

Imports inside functions and under TYPE_CHECKING count: the floors say what may be known, not when
it is loaded.
"""

import ast
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "unmask"

FLOORS = (
    ("errors", "core"),
    ("schedules", "groups"),
    (
        "sampling",
        "orders",
        "commit",
        "revise",
        "noise",
        "constraints",
        "growth",
        "guidance",
        "stopping",
        "kernels",
    ),
    ("decoding", "objectives", "models"),
    ("presets",),
    ("engine",),
    (
        "scoring",
        "text",
        "candidates",
        "compat",
        "data",
        "training",
        "tasks",
        "evaluation",
        "viz",
    ),
    ("server",),
    ("cli",),
)
FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}
STRANGERS = {1, 2, 3}  # floors whose units meet only through lower ones; on others no cycles
EXEMPT = {"__init__", "__main__", "bundled"}
ROOT = "unmask itself"  # the package's __init__, which imports all but the last floor


def unit_of(module: str) -> str:
    """unmask.models.hf -> models"""
    return module.split(".")[1] if "." in module else ROOT


def module_of(path: Path, source: Path) -> str:
    """src/unmask/models/hf.py -> unmask.models.hf"""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(("unmask", *parts))


def base_of(node: ast.ImportFrom, module: str) -> str:
    """The `unmask.core` of `from unmask.core import x`, and of `from .core import x`."""
    package = module.split(".")[: -node.level] if node.level else []
    return ".".join([*package, *(node.module or "").split(".")]).rstrip(".")


def imported(module: str, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Each module of unmask that `module` imports, absolute or relative, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, module)
            # `from unmask import types` may name a module; `from unmask.types import X` cannot
            # name another unit.
            names = [f"{base}.{alias.name}" if base == "unmask" else base for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "unmask":
                yield name, node.lineno


def complaint(unit: str, target: str) -> str | None:
    """Why `unit` may not import `target`; None if it may."""
    here = FLOOR[unit]
    if target in EXEMPT or target == unit:
        return None
    if target not in FLOOR:  # the root package, or a name that it exports
        top = len(FLOORS) - 1
        return None if here == top else f"only floor {top} may import from {ROOT}; name the module"
    there = FLOOR[target]
    if there > here:
        return f"{target} is on floor {there}, above {unit} on floor {here}"
    if there == here and here in STRANGERS:
        return f"{unit} and {target} share floor {here}, where units do not import each other"
    return None


def violations(source: Path) -> list[str]:
    """Every broken rule under `source` (the folder of the package), one line each."""
    found: list[str] = []
    same_floor: dict[str, set[str]] = {}
    paths = {module_of(path, source): path for path in sorted(source.rglob("*.py"))}
    homeless = {unit_of(module) for module in paths} - FLOOR.keys() - EXEMPT
    for module, path in paths.items():
        unit = unit_of(module)
        if unit in EXEMPT:
            continue
        if unit in homeless:
            found.append(
                f"{module} is on no floor: put {unit!r} in FLOORS of {Path(__file__).name}"
            )
            continue
        for name, line in imported(module, ast.parse(path.read_text(encoding="utf-8"))):
            target = unit_of(name)
            if target in homeless:
                continue  # its own line says what to do
            if why := complaint(unit, target):
                found.append(f"{path.relative_to(source)}:{line} imports {name}: {why}")
            elif target != unit and FLOOR.get(target) == FLOOR[unit]:
                same_floor.setdefault(unit, set()).add(target)
    try:
        TopologicalSorter(same_floor).prepare()
    except CycleError as error:
        found.append(
            "units of one floor import each other in a circle: " + " → ".join(error.args[1])
        )
    return found


def imported_modules(module: str, tree: ast.AST, known: Collection[str]) -> set[str]:
    """Which of the `known` modules `module` names in an import, wherever that stands."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, module)
            names = [f"{base}.{alias.name}" for alias in node.names]
            found.update(name if name in known else base for name in names)
    return found.intersection(known)


def circle(source: Path) -> str:
    """Modules that import each other in a circle, the first such found; empty where none do."""
    files = {module_of(path, source): path for path in sorted(source.rglob("*.py"))}
    names = {module: module.removesuffix(".__init__") for module in files}
    known = set(names.values())
    graph = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[names[module]] = imported_modules(module, tree, known) - {names[module]}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " → ".join(reversed(error.args[1]))  # each imports the next
    return ""


def write_package(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_modules_import_only_from_their_folder_or_lower_floors():
    assert any(SOURCE.rglob("*.py")), f"no source under {SOURCE}"
    assert not violations(SOURCE), "\n".join(violations(SOURCE))


def test_no_modules_import_each_other_in_a_circle():
    assert not circle(SOURCE), circle(SOURCE)


def test_checker_accepts_downward_imports(tmp_path):
    files = {
        "__init__.py": "from unmask.presets import maskgit\nfrom .cli import main\n",
        "errors.py": "import torch\n",
        "core/types.py": "from unmask.errors import UnmaskError\nfrom ..errors import Error\n",
        "orders/halton.py": "from ..core.types import State\nfrom .base import order\n",
        "orders/base.py": "from unmask import core\n",
        "decoding/step.py": "from unmask.decoding.state import State\nimport unmask.orders\n",
        "tasks/digits.py": "from unmask.training import Trainer\n",
        "cli/app.py": "import unmask\nfrom unmask import generate, presets\n",
        "bundled/__init__.py": "",
    }
    assert violations(write_package(tmp_path, files)) == []


def one_violation(tmp_path: Path, files: dict[str, str]) -> str:
    found = violations(write_package(tmp_path, files))
    assert len(found) == 1, found
    return found[0]


def test_checker_catches_an_upward_import(tmp_path):
    text = "import torch\nfrom unmask.decoding.state import State\n"
    line = one_violation(tmp_path, {"noise.py": text})
    assert line.startswith("noise.py:2 imports unmask.decoding.state: decoding is on floor 3")


def test_checker_catches_relative_and_hidden_upward_imports(tmp_path):
    files = {
        "orders/a.py": "def f():\n    from ..decoding import state\n",
        "orders/b.py": "from .. import presets\n",
        "orders/sub/__init__.py": "",
        "orders/__init__.py": "if TYPE_CHECKING:\n    import unmask.compat as c\n",
    }
    found = violations(write_package(tmp_path, files))
    assert [line.split(":")[0] for line in found] == [
        "orders/__init__.py",
        "orders/a.py",
        "orders/b.py",
    ]


def test_checker_catches_an_import_between_strangers(tmp_path):
    assert "share floor 2" in one_violation(tmp_path, {"noise.py": "from unmask import commit"})
    files = {"noise.py": "", "models/wrap.py": "from unmask.decoding.state import State"}
    assert "share floor 3" in one_violation(tmp_path, files)


def test_checker_catches_a_circle(tmp_path):
    files = {"tasks/a.py": "import unmask.viz", "viz/b.py": "from unmask.tasks import a"}
    assert "in a circle" in one_violation(tmp_path, files)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("from unmask.core.b import B", "from unmask.core.a import A"),
        ("import unmask.core.b", "def f():\n    from unmask.core import a\n"),
        ("from .b import B", "if TYPE_CHECKING:\n    from .a import A\n"),
        ("from . import b", "from ..core import a"),
    ],
)
def test_checker_catches_a_circle_of_modules(tmp_path, a, b):
    files = {"__init__.py": "", "core/__init__.py": "", "core/a.py": a, "core/b.py": b}
    found = circle(write_package(tmp_path, files))
    assert set(found.split(" → ")) == {"unmask.core.a", "unmask.core.b"}


def test_checker_catches_a_circle_through_a_package_and_through_the_root(tmp_path):
    files = {"core/__init__.py": "from .a import A", "core/a.py": "from unmask.core import B"}
    found = circle(write_package(tmp_path / "package", files))
    assert set(found.split(" → ")) == {"unmask.core", "unmask.core.a"}
    files = {"__init__.py": "from unmask.core.a import A", "core/a.py": "from unmask import A"}
    found = circle(write_package(tmp_path / "root", files))
    assert set(found.split(" → ")) == {"unmask", "unmask.core.a"}


def test_checker_accepts_modules_that_import_one_way(tmp_path):
    files = {
        "__init__.py": "from unmask.core import A\n",
        "core/__init__.py": "from unmask.core.a import A\nfrom .b import B\n",
        "core/a.py": "from unmask.core import b\nimport unmask.core.b\nfrom .b import B\n",
        "core/b.py": "import torch\n",
        "cli.py": "from unmask import A, core\n",
    }
    assert circle(write_package(tmp_path, files)) == ""


def test_checker_catches_an_import_of_the_root_package(tmp_path):
    line = one_violation(tmp_path, {"presets.py": "from unmask import generate"})
    assert "only floor 8 may import from unmask itself" in line


def test_checker_asks_for_a_floor(tmp_path):
    files = {"helpers/misc.py": "import torch", "presets.py": "from unmask.helpers import misc"}
    line = one_violation(tmp_path, files)
    assert "is on no floor: put 'helpers' in FLOORS" in line

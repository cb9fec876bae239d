"""The public names are those documented, each with a docstring of its own."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

import unmask

# The fixed part of the public API. It may grow; nothing here may go or be renamed.
PROMISED = {
    "Canvas",
    "compat",
    "done",
    "finish",
    "generate",
    "init",
    "load",
    "objectives",
    "presets",
    "run",
    "save",
    "score",
    "step",
    "stream",
    "wrap",
}


def undocumented(module: ModuleType) -> list[str]:
    """Modules, classes and functions in `module.__all__` without a docstring of their own."""
    return [name for name in module.__all__ if not has_docstring(getattr(module, name))]


def has_docstring(value: object) -> bool:
    if inspect.isclass(value):
        own = value.__dict__.get("__doc__") or ""
        return bool(own) and not own.startswith(f"{value.__name__}(")  # written by @dataclass
    if inspect.ismodule(value) or callable(value):
        return bool(value.__doc__)
    return True  # constants and type aliases have nowhere to carry one


def test_promised_names_are_exported():
    assert sorted(PROMISED - set(unmask.__all__)) == []


@pytest.fixture(
    params=[
        "unmask",
        "unmask.candidates",
        "unmask.presets",
        "unmask.objectives",
        "unmask.scoring",
        "unmask.compat",
    ]
)
def module(request):
    return importlib.import_module(request.param)


def test_every_name_exists(module):
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_names_are_sorted_and_listed_once(module):
    assert list(module.__all__) == sorted(set(module.__all__))


def test_every_name_is_documented(module):
    assert undocumented(module) == []


def test_no_public_definition_is_left_out(module):
    defined_here = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    assert sorted(defined_here - set(module.__all__)) == []


def told_to_type_checkers() -> Iterator[tuple[str, str]]:
    """(module, name) of each import that `unmask` makes under TYPE_CHECKING."""
    tree = ast.parse(inspect.getsource(unmask))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        yield from ((str(node.module), alias.name) for alias in node.names)


def test_type_checkers_see_what_is_loaded_when_used():
    told = list(told_to_type_checkers())
    assert sorted(name for _, name in told) == unmask.__all__
    assert sorted([*unmask._WHERE, *unmask._WHERE_MODULE]) == unmask.__all__
    for module, name in told:
        where = importlib.import_module(module)
        found = getattr(where, name, None) or importlib.import_module(f"{module}.{name}")
        assert getattr(unmask, name) is found, f"{name} of {module}"


def test_names_are_listed_before_they_are_loaded_and_others_are_refused():
    assert set(unmask.__all__) <= set(dir(unmask))
    with pytest.raises(AttributeError, match="module 'unmask' has no attribute 'Canvass'"):
        unmask.Canvass  # noqa: B018


def test_compat_has_the_wrapper_of_x_transformers():
    assert "NonAutoregressiveWrapper" in unmask.compat.__all__


def test_checker_catches_a_missing_docstring():
    module = ModuleType("sample")
    exec(
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Bare:\n    x: int\n"
        "@dataclass\nclass Told:\n    'Words.'\n    x: int\n"
        "class Child(Told): pass\n"
        "def silent(): pass\n"
        "def spoken(): 'Words.'\n"
        "version = '1'\n"
        "__all__ = ['Bare', 'Child', 'Told', 'silent', 'spoken', 'version']\n",
        vars(module),
    )
    assert undocumented(module) == ["Bare", "Child", "silent"]

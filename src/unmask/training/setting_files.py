"""Reading of recipe files, in YAML and TOML, and of YAML values from the command line."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from unmask.core.optional import library
from unmask.core.toml import parse_toml
from unmask.errors import InputError

SUFFIXES = (".yaml", ".yml", ".toml")
# YAML 1.1 reads 1e-3, without a decimal point, as text; here it is a number.
_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")


def parse_file(path: Path) -> dict[str, Any]:
    """Return the entries of a recipe file. Raises InputError if it is missing or broken."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: a recipe is a file ending in {', '.join(SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the recipe cannot be read ({error})") from error
    values = (
        parse_toml(text, path, "train") if path.suffix == ".toml" else parse_yaml(text, str(path))
    )
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: a recipe has one `name: value` a line, such as `steps: 500`; this one is "
            f"a {type(values).__name__}"
        )
    return values


def parse_yaml(text: str, where: str) -> Any:
    """Return a YAML document as plain values. Raises InputError, also for duplicate keys."""
    loader = _loader()
    import yaml

    try:
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{where}: no valid YAML ({problem})") from error


def yaml_text(value: Any) -> str:
    """Return a value as YAML on one line."""
    _loader()
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Return PyYAML's safe loader, changed to read 1e-3 as a number and refuse duplicate keys."""
    library("yaml", "train", "recipes need PyYAML")
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is untyped
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key for key, _ in node.value]
            for number, key in enumerate(keys):
                if key.value in [earlier.value for earlier in keys[:number]]:
                    problem = f"{key.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))
    return Loader

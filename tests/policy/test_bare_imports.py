"""Every module imports with the base dependencies alone: no extra is needed until it is used."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"

# What the extras bring, and what they bring with them that the base install lacks.
OPTIONAL = [
    "PIL", "accelerate", "anyio", "datasets", "einops", "einx", "fastapi", "httpx",
    "huggingface_hub", "joblib", "loguru", "matplotlib", "prometheus_client", "pyarrow",
    "safetensors", "scipy", "sklearn", "sse_starlette", "starlette", "tokenizers",
    "torch_einops_utils", "transformers", "triton", "uvicorn", "x_transformers", "yaml",
]  # fmt: skip

# Written in the language of an optional library, and so imported as late as it is.
LATE = [
    "unmask.core.philox.program", "unmask.kernels.programs", "unmask.server.app",
    "unmask.server.connections", "unmask.server.events", "unmask.server.house",
    "unmask.server.parsing", "unmask.server.refusals", "unmask.server.sending",
]  # fmt: skip
ROUTES = "unmask.server.routes."

# Runs in a fresh interpreter. A None in sys.modules makes `import name` fail as if not installed.
PROGRAM = """
import importlib, sys, traceback
blocked, modules = (argument.split(",") for argument in sys.argv[1:])
sys.modules.update(dict.fromkeys(blocked))
failed = False
for name in modules:
    try:
        importlib.import_module(name)
    except BaseException:
        failed = True
        print(f"importing {name}:\\n{traceback.format_exc()}")
sys.exit(failed)
"""


def modules(source: Path) -> list[str]:
    """Dotted names of all modules under `source`, the folder that is on the path."""
    paths = sorted(source.rglob("*.py"))
    names = (path.relative_to(source).with_suffix("").parts for path in paths)
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in names]


def is_late(name: str) -> bool:
    return name in LATE or name.startswith(ROUTES)


def import_bare(source: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(OPTIONAL), ",".join(names)],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_module_imports_without_extras():
    names = modules(SOURCE)
    assert "unmask" in names
    outcome = import_bare(SOURCE, [name for name in names if not is_late(name)])
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_root_package_loads_nothing_until_it_is_used():
    program = (
        "import sys, unmask; heavy = {'torch', 'numpy', 'rich', 'typer'} & sys.modules.keys();"
        "ours = [name for name in sys.modules if name.startswith('unmask.')];"
        "print(sorted(heavy), ours); unmask.Canvas; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[] []", "True"], done.stdout


def test_what_is_imported_late_needs_it():
    late = [name for name in modules(SOURCE) if is_late(name)]
    assert set(LATE) < set(late)
    outcome = import_bare(SOURCE, late)
    assert [line for line in outcome.stdout.splitlines() if line.startswith("importing ")] == [
        f"importing {name}:" for name in late
    ], outcome.stdout + outcome.stderr


def test_checker_catches_an_optional_import_at_the_top(tmp_path):
    package = tmp_path / "sample"
    package.mkdir()
    (package / "__init__.py").write_text("import json\n")
    (package / "lazy.py").write_text("def f():\n    import sklearn\n")
    assert import_bare(tmp_path, modules(tmp_path)).returncode == 0
    (package / "eager.py").write_text("import sklearn.datasets\n")
    outcome = import_bare(tmp_path, modules(tmp_path))
    assert outcome.returncode == 1
    assert "importing sample.eager" in outcome.stdout
    assert "importing sample.lazy" not in outcome.stdout

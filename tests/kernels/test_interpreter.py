"""The tests of kernels where there is no GPU, and what Triton's compiler makes of the kernels."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is for Linux")


def python(*arguments, **environment):
    variables = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        env=variables, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="this is that process")
@pytest.mark.parametrize("name", ["test_fused.py", "test_uniforms.py"])
def test_every_test_of_the_kernels_passes_in_the_interpreter(name):
    outcome = python("-m", "pytest", "-q", f"tests/kernels/{name}", TRITON_INTERPRET="1")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert " passed" in outcome.stdout
    assert "skipped" not in outcome.stdout


# Generation on the host, of a denoiser that offers a projection, in a fresh interpreter.
GENERATING = """
import sys
import torch, unmask
from unmask.kernels import can_fuse, can_run
from unmask.core.projection import Projection
from tests.reference.network import Network

class Denoiser(Network):
    vocab_size, mask_id, weight = 12, 11, torch.randn(12, 4)
    def hidden(self, tokens, *, valid):
        return torch.randn(*tokens.shape, 4)
    def logits(self, hidden):
        return hidden @ self.weight.T
    def projection(self, hidden):
        return Projection(hidden, self.weight)

unmask.generate(Denoiser(), batch_size=2, length=4, seed=0)
assert not can_fuse(unmask.Sampling(), set(), False, torch.device("cpu"))
assert not can_run(Projection(torch.zeros(2, 4), Denoiser.weight))
loaded = sorted(name for name in sys.modules if name.split(".")[0] == "triton")
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def test_generating_on_the_host_never_imports_triton():
    outcome = python("-c", GENERATING, TRITON_INTERPRET="0")
    assert outcome.returncode == 0, outcome.stderr
    control = GENERATING.replace("import sys", "import sys, triton", 1)
    outcome = python("-c", control, TRITON_INTERPRET="0")
    assert "loaded: ['triton'," in outcome.stderr


# Compiling needs no GPU. What is unspecified is a 32-bit integer.
COMPILING = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from unmask.kernels.programs import block_statistics, pick_inside
from unmask.core.philox.program import philox_kernel

FLOATS = ["offset", "rates", "maxima", "sums", "tempered", "mean", "second", "logit"]
LONGS = ["order", "block", "known", "token"]
KINDS = {**dict.fromkeys(FLOATS, "*fp32"), **dict.fromkeys(LONGS, "*i64")}
KINDS |= {"uniforms": "*fp64", "best": "*i32"}

def compiled(program, kind, warps, **constants):
    kinds = {**KINDS, "features": kind, "weight": kind, **dict.fromkeys(constants, "constexpr")}
    return assembled(program, kinds, warps, constants)

def assembled(program, kinds, warps, constants, capability=80):
    signature = {name: kinds.get(name, "i32") for name in program.arg_names}
    source = ASTSource(program, signature, constants)
    options = {"num_warps": warps, "enable_fp_fusion": True}
    return compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm

for kind in ("*bf16", "*fp32"):
    for flag in (False, True):
        flags = dict.fromkeys(["TEMPERED", "MEAN", "BEST", "SECOND"], flag)
        asm = compiled(
            block_statistics, kind, 8, **flags, WIDEN=False, ROWS=64, TILE=128, DIM=32,
            state_dim=1, id_dim=1,
        )
        assert ("mma.sync" in asm["ptx"]) == (kind == "*bf16"), kind
    assert ".f64" in compiled(pick_inside, kind, 4, WIDTH=256, DIM=32, id_dim=1)["ptx"]

for capability in (80, 90):
    for count in (1, 2, 4):
        for words in ({"c0": "*i64", "c1": "*i64"}, {"c2": "*i64", "c1": "i64", "c3": "i64"}):
            kinds = {"key": "*i64", "out": "*i64" if count == 4 else "*fp64", **words}
            constants = {"COUNT": count, "TILE": 256}
            kinds |= dict.fromkeys(constants, "constexpr")
            ptx = assembled(philox_kernel, kinds, 4, constants, capability)["ptx"]
            assert (".f64" in ptx) == (count != 4), count
            # Ten rounds of two products of 32 bits, whose constants the compiler writes signed.
            for factor in (0xD2511F53, 0xCD9E8D57):
                assert str(factor - 2**32) in ptx, factor
"""


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu(tmp_path):
    (tmp_path / "compiling.py").write_text(COMPILING)  # Triton reads the source of what it compiles
    cache = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    outcome = python(str(tmp_path / "compiling.py"), **cache)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr

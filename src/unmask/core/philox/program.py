"""The program of `by_triton`, in Triton. Imported when it is first launched, never before."""

import triton
import triton.language as tl

_CHANGING = [
    "key", "c0", "c1", "c2", "c3",  # as pointers, wherever they are aligned
    "key_0", "key_1", "key_2", "c0_0", "c0_1", "c0_2", "c1_0", "c1_1", "c1_2",
    "c2_0", "c2_1", "c2_2", "c3_0", "c3_1", "c3_2", "middle", "inner", "tiles",
]  # fmt: skip


@triton.jit
def _read(word, place, inside):
    """The lower 32 bits of a word: of a tensor, what stands there, and of a number, the number."""
    if word.dtype.is_ptr():
        word = tl.load(word + place, mask=inside, other=0)
    return word.to(tl.uint32)


@triton.jit
def _real(high, low):
    """The middle of one of 2**48 equal parts of (0, 1), float64."""
    bits = (high.to(tl.int64) << 16) | (low >> 16).to(tl.int64)
    return (bits.to(tl.float64) + 0.5) * (2.0**-48)


@triton.jit(do_not_specialize=_CHANGING)  # so that new shapes and numbers compile nothing
def philox_kernel(
    out, key, c0, c1, c2, c3,
    key_0, key_1, key_2, c0_0, c0_1, c0_2, c1_0, c1_1, c1_2, c2_0, c2_1, c2_2, c3_0, c3_1, c3_2,
    middle, inner, tiles,
    COUNT: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """TILE neighbours along the last of three axes (outer, middle, inner), into out (..., COUNT).

    COUNT: 4 words in int64, or 1 or 2 uniforms in float64. The key and the counter's words are
    tensors with strides along the three axes; a word of the counter may be a number. tiles: how
    many there are along the last axis.
    """
    program = tl.program_id(0)
    line = (program // tiles).to(tl.int64)
    at = (program % tiles).to(tl.int64) * TILE + tl.arange(0, TILE)
    inside = at < inner
    i, j = line // middle, line % middle
    w0, w1, w2, w3 = tl.philox(
        tl.load(key + i * key_0 + j * key_1 + at * key_2, mask=inside, other=0),
        _read(c0, i * c0_0 + j * c0_1 + at * c0_2, inside),
        _read(c1, i * c1_0 + j * c1_1 + at * c1_2, inside),
        _read(c2, i * c2_0 + j * c2_1 + at * c2_2, inside),
        _read(c3, i * c3_0 + j * c3_1 + at * c3_2, inside),
    )
    to = out + (line * inner + at) * COUNT
    if COUNT == 4:
        tl.store(to, w0.to(tl.int64), mask=inside)
        tl.store(to + 1, w1.to(tl.int64), mask=inside)
        tl.store(to + 2, w2.to(tl.int64), mask=inside)
        tl.store(to + 3, w3.to(tl.int64), mask=inside)
    else:
        tl.store(to, _real(w0, w1), mask=inside)
        if COUNT == 2:
            tl.store(to + 1, _real(w2, w3), mask=inside)

"""Philox4x32-10 by its definition, in Python's own integers, and words to ask for it with."""

import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

WORD = 0xFFFFFFFF
INT = torch.iinfo(torch.int64)


def naive_philox(counter, key):
    """Four words and two -> the four words after ten rounds."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q & WORD, (p >> 32) ^ d ^ m, p & WORD
        k, m = (k + 0x9E3779B9) & WORD, (m + 0xBB67AE85) & WORD
    return [a, b, c, d]


def naive_uniforms(counter, seed):
    """The two numbers of 48 bits that the words make."""
    a, b, c, d = naive_philox(counter, (seed & WORD, seed >> 32))
    return [((high << 16 | low >> 16) + 0.5) / 2**48 for high, low in ((a, b), (c, d))]


@st.composite
def broadcast_words(draw, max_dims=5):
    """(counter, key) whose shapes broadcast: numbers and int64 of any size, strided or not."""
    shapes = draw(
        mutually_broadcastable_shapes(num_shapes=5, min_side=0, max_side=4, max_dims=max_dims)
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def tensor(shape):
        word = torch.randint(INT.min, INT.max, shape, generator=generator)
        return word.mT.contiguous().mT if word.dim() > 1 and draw(st.booleans()) else word

    *words, key = (tensor(shape) for shape in shapes.input_shapes)
    number = st.integers(0, WORD)
    return [draw(number) if draw(st.booleans()) else word for word in words], key

"""The two programs of `fused_draw`, in Triton. Imported when they are first launched.

`block_statistics` runs once for each (tile of rows, block of the vocabulary): it computes the
block's logits tile by tile, in registers, and writes their sums. `pick_inside` runs once for each
row: it computes the logits of one block again, or of one id alone if the token is known. So V + W
logits are computed for each row, W = ⌊√V⌋, and (M,K) numbers are written.

Tiles are powers of two and blocks are not: for ids beyond a block's end the last id is read and the
logit set to -inf; rows beyond the last repeat it, and their results are not written.
Shapes: M rows, D width, V vocabulary, W width of a block, K = ⌈V/W⌉ blocks.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(
    features, weight, offset, ids, end, dim, state_dim, id_dim,
    WIDEN: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """(ROWS,TILE) float32 logits. features (ROWS,1), weight (1,TILE): pointers at dimension 0."""
    logits = tl.zeros((ROWS, TILE), dtype=tl.float32)
    for start in range(0, dim, DIM):
        at = start + tl.arange(0, DIM)
        state = tl.load(features + at[None, :] * state_dim, mask=(at < dim)[None, :], other=0.0)
        column = tl.load(weight + at[:, None] * id_dim, mask=(at < dim)[:, None], other=0.0)
        if WIDEN:
            state, column = state.to(tl.float32), column.to(tl.float32)
        logits = tl.dot(state, column, logits, input_precision="ieee")
    shift = tl.load(offset + ids, mask=ids < end, other=float("-inf"))[None, :]
    # Not by adding -inf: a logit of NaN at an illegal id does not matter.
    return tl.where(shift == float("-inf"), float("-inf"), logits + shift)


@triton.jit
def _finite(top):
    """The largest logit so far, or 0 if no id is legal yet; exponents are relative to it."""
    return tl.where(top == float("-inf"), 0.0, top)


@triton.jit
def _summed(top, base, before, logits, rate):
    """Σ exp(rate·(x − base)), given the sum before, relative to top, and further logits."""
    mass = tl.exp((logits - base[:, None]) * rate[:, None])
    return before * tl.exp((top - base) * rate) + tl.sum(mass, axis=1)


@triton.jit
def _mean(top, base, before, mass, logits):
    """Σ (x − base)·exp(x − base), likewise. mass: Σ exp(x − top) before."""
    # At -1e4 there is no mass either, and no NaN from 0 times infinity.
    fall, far = tl.maximum(top - base, -1e4), tl.maximum(logits - base[:, None], -1e4)
    return tl.exp(fall) * (before + fall * mass) + tl.sum(far * tl.exp(far), axis=1)


@triton.jit
def block_statistics(
    features, weight, offset, rates,
    maxima, sums, tempered, mean, best, second,
    rows, vocab, width, blocks, dim,
    state_row, state_dim, id_row, id_dim,
    TEMPERED: tl.constexpr, MEAN: tl.constexpr, BEST: tl.constexpr, SECOND: tl.constexpr,
    WIDEN: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """Statistics of one block of logits for ROWS rows, into (M,K) tensors.

    Of the block's legal logits: maxima, their largest; sums, the mass exp(x − maxima); tempered,
    the same at the row's temperature; mean, Σ (x − maxima)·exp(x − maxima); best, the first id at
    the maximum, and second, the largest except that id. WIDEN: multiply in float32 for any dtype.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    block = tl.program_id(1)
    real = tl.minimum(row, rows - 1).to(tl.int64)
    rate = tl.load(rates + real)
    end = tl.minimum(block * width + width, vocab)
    state = features + real[:, None] * state_row
    top = tl.full((ROWS,), float("-inf"), dtype=tl.float32)
    runner, nothing = top, tl.zeros_like(top)
    total, tempered_sum, moment = nothing, nothing, nothing
    first = tl.zeros((ROWS,), dtype=tl.int32)
    for start in range(block * width, end, TILE):
        ids = start + tl.arange(0, TILE)
        column = weight + tl.minimum(ids, end - 1).to(tl.int64)[None, :] * id_row
        logits = _tile(
            state, column, offset, ids, end, dim, state_dim, id_dim, WIDEN, ROWS, TILE, DIM
        )
        block_max, at = tl.max(
            logits, axis=1, return_indices=True, return_indices_tie_break_left=True
        )
        higher = tl.maximum(top, block_max)
        base = _finite(higher)
        if MEAN:
            moment = _mean(top, base, moment, total, logits)
        if TEMPERED:
            tempered_sum = _summed(top, base, tempered_sum, logits, rate)
        total = _summed(top, base, total, logits, tl.full((ROWS,), 1.0, dtype=tl.float32))
        if BEST:
            first = tl.where(block_max > top, start + at, first)
        if SECOND:
            others = tl.where(tl.arange(0, TILE)[None, :] == at[:, None], float("-inf"), logits)
            lesser = tl.maximum(tl.max(others, axis=1), tl.minimum(top, block_max))
            runner = tl.maximum(runner, lesser)
        top = higher
    to, there = row.to(tl.int64) * blocks + block, row < rows
    tl.store(maxima + to, top, mask=there)
    tl.store(sums + to, total, mask=there)
    if TEMPERED:
        tl.store(tempered + to, tempered_sum, mask=there)
    if MEAN:
        tl.store(mean + to, moment, mask=there)
    if BEST:
        tl.store(best + to, first, mask=there)
    if SECOND:
        tl.store(second + to, runner, mask=there)


@triton.jit
def pick_inside(
    features, weight, offset, rates, uniforms, order, block, known,
    token, logit,
    vocab, width, dim,
    state_row, state_dim, id_row, id_dim,
    WIDTH: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """One row: an id of block (M,) by uniforms (M,), or the known one (M,), and its logit.

    order (M,): the row of each program, with rows of one block next to each other, so that its
    weights are in the cache.
    """
    row = tl.load(order + tl.program_id(0))
    given = tl.load(known + row)
    begin = tl.load(block + row) * width
    ids = begin + tl.arange(0, WIDTH)
    end = tl.minimum(begin + width, vocab)
    wanted = (ids < end) & (ids == tl.where(given < 0, ids, given))
    products = tl.zeros((WIDTH, DIM), dtype=tl.float32)
    for start in range(0, dim, DIM):
        at = start + tl.arange(0, DIM)
        state = tl.load(features + row * state_row + at * state_dim, mask=at < dim, other=0.0)
        where = ids[:, None] * id_row + at[None, :] * id_dim
        line = tl.load(weight + where, mask=wanted[:, None] & (at < dim)[None, :], other=0.0)
        products += line.to(tl.float32) * state.to(tl.float32)[None, :]
    shift = tl.load(offset + ids, mask=wanted, other=float("-inf"))
    legal = shift != float("-inf")
    logits = tl.where(legal, tl.sum(products, axis=1) + shift, float("-inf"))
    mass = tl.exp((logits - _finite(tl.max(logits, axis=0))) * tl.load(rates + row))
    running = tl.cumsum(mass.to(tl.float64), axis=0)
    bound = tl.load(uniforms + row) * tl.max(running, axis=0)
    # For a row without mass, or with NaN, the id is arbitrary, but must be one of the block's.
    inside = tl.sum((running <= bound).to(tl.int32), axis=0)
    chosen = tl.where(given < 0, tl.minimum(begin + inside, end - 1), given)
    tl.store(token + row, chosen)
    tl.store(logit + row, tl.sum(tl.where(ids == chosen, logits, 0.0), axis=0))

"""The state before the first step. Shapes: B rows, N positions, G groups, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unmask.commit import CountPlan
from unmask.constraints import Automaton
from unmask.constraints.constraint import check_drawable, check_vocabulary
from unmask.core.arrays import first_true
from unmask.core.head import illegal_ids, mask_id_of
from unmask.core.network import Denoiser, DenoiserSpec, check_denoiser
from unmask.core.rows import Plan, Rows
from unmask.core.state import NEVER, State
from unmask.decoding.canvas import Canvas
from unmask.decoding.growing import begin_short, check_growth, plan_without_end
from unmask.decoding.inputs import check_blocks, check_canvas, check_strategy
from unmask.decoding.plan import is_kept, plan_in_sequence, plan_of, plan_side_by_side
from unmask.decoding.reading import check_completable
from unmask.decoding.seeds import row_seeds
from unmask.decoding.strategy import Strategy
from unmask.errors import CanvasError, StrategyError


def init(
    denoiser: Denoiser, canvas: Canvas, strategy: Strategy, seeds: Sequence[int] | Tensor
) -> State:
    """Return the state before the first step. seeds: one integer in [0, 2**63) per row.

    Raises SeedError for other seeds; CanvasError for what is no canvas, or has ids outside the
    vocabulary; StrategyError for what is no denoiser or no strategy, or where the plan or a
    constraint does not fit the canvas, or groups the network.
    """
    check_denoiser(denoiser)
    check_canvas(canvas)
    check_strategy(strategy)
    spec = denoiser.spec
    device = denoiser.device or canvas.tokens.device
    seed = row_seeds(canvas, None, seeds).cpu().numpy()
    canvas = canvas.to(device)
    _check(canvas, strategy, spec)
    tokens, legal, required = canvas.tokens, canvas.legal, canvas.required
    if strategy.noise.keeps_sample:
        tokens = tokens.masked_fill(canvas.editable, mask_id_of(spec))
    if legal is not None:
        legal = legal.expand(len(tokens), *legal.shape[-2:])
    group = None if strategy.groups is None else strategy.groups.of(canvas.editable)
    rows = _rows(canvas, strategy, spec, group, seed)
    state = State(
        tokens=tokens,
        masked=canvas.editable,
        editable=canvas.editable,
        valid=canvas.valid,
        group=group,
        logprob=torch.zeros(canvas.shape, device=device),
        sampling_logprob=torch.zeros(canvas.shape, device=device),
        commit_step=torch.full(canvas.shape, NEVER, device=device),
        fault=torch.zeros(len(tokens), dtype=torch.int64, device=device),
        rows=rows,
        spec=spec,
        exact_counts=strategy.exact_counts and is_kept(rows.plan, rows.members),
        readings=strategy.readings,
        basis=strategy.basis,
        condition=canvas.condition,
        legal=legal,
        required=None if required is None else required.expand(canvas.shape),
    )
    if strategy.growth is not None:
        state = begin_short(state, strategy.growth)
    carries = {name: part.init(state) for name, part in strategy.carriers.items()}
    state = replace(state, carries=carries)
    check_blocks(state, strategy)
    if isinstance(strategy.constraint.feasible, Automaton):
        check_completable(state, strategy.constraint.feasible, strategy.constraint.forbidden)
    return state


def _rows(
    canvas: Canvas, strategy: Strategy, spec: DenoiserSpec, group: Tensor | None, seed: np.ndarray
) -> Rows:
    editable = canvas.editable.cpu().numpy()
    side_by_side = strategy.groups is not None and strategy.groups.side_by_side
    where = np.zeros_like(editable, np.int64) if group is None else group.cpu().numpy()
    count = int(where.max(initial=0)) + 1
    each = [editable & (where == g) for g in range(count)]
    plan = _plan(canvas, strategy, each if strategy.groups else None, editable, seed)
    members = np.stack([member.sum(1) for member in each], 1)
    starts = np.stack([member.argmax(1) for member in each], 1)
    places = np.arange(1, editable.shape[1] + 1)
    ends = np.stack([(member * places).max(1) for member in each], 1)
    none, unknown = np.zeros(len(editable), np.int64), members.sum(1)
    opened = np.where(members > 0, np.arange(count), count - 1).min(1)
    cost = spec.forwards_per_call * strategy.readings
    if strategy.budget < cost:
        raise StrategyError(
            f"Budget({strategy.budget}): a step of this strategy takes {cost} network passes: pass "
            f"Budget({cost}) or more"
        )
    row = np.arange(len(editable))
    return Rows(
        index=row,
        seed=seed,
        step=none,
        forwards=none,
        forwards_per_step=np.full_like(none, cost),
        budget=np.full_like(none, strategy.budget),
        length=canvas.valid.sum(1).cpu().numpy(),
        unknown=unknown,
        open_group=none if side_by_side else opened,
        open_unknown=unknown if side_by_side else members[row, opened],
        plan_index=none if side_by_side else plan.starts[row, opened],
        rest=none,
        group_rest=none,
        at_rest=np.zeros(len(editable), bool),
        finished=unknown == 0,
        members=members,
        group_start=starts,
        group_end=ends,
        plan=plan,
    )


def _plan(
    canvas: Canvas,
    strategy: Strategy,
    members: list[np.ndarray] | None,
    editable: np.ndarray,
    seed: np.ndarray,
) -> Plan:
    """The plan of rows with these positions to generate, (B,N) bool, in groups of these members."""
    commit, counts = strategy.commit, strategy.commit.count_plan
    steps = None if canvas.steps is None else np.asarray(canvas.steps.cpu())  # type: ignore[union-attr]
    if steps is not None and not counts.takes_steps:
        raise StrategyError(
            f"the canvas gives steps to its rows, and {strategy.name} goes by {counts!r}, which "
            "has none: leave steps= out of the canvas, or use a plan with steps"
        )

    if strategy.growth is not None:
        return plan_without_end(len(editable), len(members or [editable]))
    if members is None and type(counts).by_position is not CountPlan.by_position:
        return plan_of(*counts.by_position(editable, seed, steps))
    sizes = [commit.count(torch.from_numpy(where)).numpy() for where in members or [editable]]
    if members is None:
        return plan_of(*counts(sizes[0], steps))
    parts = [
        counts.of_group(g)(size, counts.steps_of_group(g, steps)) for g, size in enumerate(sizes)
    ]
    assert strategy.groups is not None
    if strategy.groups.side_by_side:
        return plan_side_by_side(parts)
    return plan_in_sequence(parts, sizes)


def _check(canvas: Canvas, strategy: Strategy, spec: DenoiserSpec) -> None:
    """Raise for ids, lengths, ends and conditions that do not fit the network or the strategy."""
    check_given(canvas, spec.vocab_size)
    check_longest(canvas, spec)
    for part in (strategy.order, strategy.groups):
        if part is not None:
            part.check_lengths(canvas.generated_lengths)
    strategy.constraint.check(spec.vocab_size)
    strategy.sampling.check(spec.vocab_size)
    check_vocabulary(canvas.legal, canvas.required, spec.vocab_size)
    never = illegal_ids(spec, strategy.constraint.forbidden)
    check_drawable(canvas.legal, canvas.required, canvas.editable, never, spec.vocab_size)
    if strategy.guidance is not None:
        strategy.guidance.check(canvas.condition)
    _check_end(canvas, strategy, spec)
    check_growth(canvas, strategy, spec)


def check_longest(canvas: Canvas, spec: DenoiserSpec) -> None:
    """Raise CanvasError for rows longer than the network takes."""
    # A network that cuts rows to their length is not shown padding at the end of all of them.
    of_rows = canvas.valid.sum(1).cpu().numpy()
    longest = of_rows.max(initial=0) if spec.supports_trimming else canvas.shape[1]
    if spec.max_length is not None and longest > spec.max_length:
        raise CanvasError(
            f"the canvas has rows of {int(longest)} positions, and the network takes "
            f"{spec.max_length} at most: pass a canvas of {spec.max_length} or fewer"
        )


def _check_end(canvas: Canvas, strategy: Strategy, spec: DenoiserSpec) -> None:
    """Raise StrategyError unless the end of a sequence is an id that may be drawn."""
    end = strategy.end_id
    if strategy.end is None or end is None:
        return
    fill = strategy.end.fill
    for each in (end, *strategy.end.also):
        if not 0 <= each < spec.vocab_size or each in illegal_ids(spec):
            raise StrategyError(
                f"EndOfSequence({each}): the id is never drawn from this vocabulary of "
                f"{spec.vocab_size}: pass the id that ends a sequence in its data"
            )
    if fill is not None and fill >= spec.vocab_size:
        raise StrategyError(
            f"EndOfSequence({end}, fill={fill}): pass an id of the vocabulary of {spec.vocab_size}"
        )
    bound = [name for name in ("legal", "required") if getattr(canvas, name) is not None]
    if bound:
        raise StrategyError(
            f"EndOfSequence({end}) fills rows behind their end, which {bound[0]}= of the canvas "
            "may not allow: leave one of them out"
        )


def check_given(canvas: Canvas, vocab: int) -> None:
    """Raise CanvasError unless every id that the network will be shown is inside the vocabulary."""
    outside = ~canvas.editable & ((canvas.tokens < 0) | (canvas.tokens >= vocab))
    if (at := first_true(outside)) is not None:
        row, position = at
        way_out = (
            "or make it editable" if canvas.valid[row, position] else "for padding by pad_id=..."
        )
        raise CanvasError(
            f"id {int(canvas.tokens[row, position])} at row {row}, position {position} is outside "
            f"the vocabulary of {vocab}: pass ids from 0 to {vocab - 1}, {way_out}"
        )

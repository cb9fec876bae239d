"""Whether a state may go on under a strategy: only if the strategy would have begun it alike.

`init` works parts of a strategy into the state: the plan, the groups, the budget, the histories and
the rows of the cache. Other parts are read at each step and may change from step to step.
"""

from __future__ import annotations

from unmask.core.state import State
from unmask.decoding.strategy import Strategy
from unmask.errors import StrategyError


def check_basis(state: State, strategy: Strategy) -> None:
    """Raise StrategyError unless the state may go on under this strategy."""
    if state.basis is strategy.basis or state.basis is None:
        return
    for name, value in strategy.basis.items():
        if value != state.basis[name]:
            raise StrategyError(
                f"the state was begun with {name}={state.basis[name]!r}, and {strategy.name} has "
                f"{name}={value!r}, which cannot change between steps: begin anew from what is "
                "known, init(denoiser, Canvas.infill(state.tokens, state.masked, "
                "valid=state.valid), strategy, seeds)"
            )
    strategy.constraint.check(state.spec.vocab_size)
    strategy.order.check_lengths(state.rows.generated_length)

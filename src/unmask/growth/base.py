"""The base class of growth rules. Shapes: B rows, N positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from unmask.core.checks import check_count, is_integer
from unmask.core.network import DenoiserSpec
from unmask.core.part import Part
from unmask.core.state import Proposal, State
from unmask.errors import StrategyError


class Extension(NamedTuple):
    """The change of the length of each row, all (B,) int64 and 0 where there is none."""

    place: Tensor  # where unknown positions are put in; what stands there and behind moves on
    masks: Tensor  # how many; below 0, as many positions are taken from the end of the row
    ends: Tensor  # known positions, of the end id, that are put behind the row


class Growth(Part, ABC):
    """How many positions a row has: at first `initial`, at most those of its canvas.

    end_id: the id that ends a sequence; None for that of the network. expansion: a number of
    positions. reads_known: the rule reads predictions at known positions, too, not only at unknown
    ones.
    """

    initial: int
    expansion: int
    end_id: int | None = None
    reads_known: ClassVar[bool] = False

    def _check_sizes(self) -> None:
        check_count("initial", self.initial)
        check_count("expansion", self.expansion)
        if self.end_id is not None and not is_integer(self.end_id, 0):
            raise StrategyError(
                f"end_id={self.end_id!r}: pass the id that ends a sequence, such as 2, or None for "
                "that of the network"
            )

    def end(self, spec: DenoiserSpec) -> int | None:
        """Return the id that ends a sequence, None where nothing says which."""
        return spec.end_id if self.end_id is None else self.end_id

    def waits(self, state: State, proposal: Proposal) -> Tensor | None:
        """Return (B,) bool: rows that commit nothing at this step; None where no row ever does."""
        return None

    @abstractmethod
    def __call__(self, state: State, proposal: Proposal, after: State) -> Extension:
        """Return the change of lengths. after: the state with what this step has committed.

        More than the canvas holds may be put in: what is moved past its end is lost.
        """

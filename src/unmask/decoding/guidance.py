from dataclasses import dataclass


@dataclass(frozen=True)
class LinearWeight:
    w: float


@dataclass(frozen=True)
class RatioWeight:
    a: float
    b: float


@dataclass(frozen=True)
class Guidance:
    weight: object

    def wrap(self, d):
        raise NotImplementedError

"""Runs that are stopped at a step."""

from unmask.training import Progress


class Stop(KeyboardInterrupt):
    pass


def stop_at(step: int):
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Stop

    return report

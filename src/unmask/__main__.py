"""The program: `unmask`, and `python -m unmask` for launchers such as torchrun."""

from unmask.core import interruption


def main() -> None:
    """Run the command line; signals are in hand before anything else is loaded."""
    interruption.end_at_once()
    from unmask.cli import main as command_line

    try:
        command_line()
    finally:
        interruption.ignore()


if __name__ == "__main__":
    main()

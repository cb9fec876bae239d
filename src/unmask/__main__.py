"""`python -m unmask`, for launchers such as torchrun."""

from unmask.cli import main

if __name__ == "__main__":
    main()

"""`python -m unmask.cli`, where the script `unmask` is not on the path."""

from unmask.cli import main

if __name__ == "__main__":
    main()

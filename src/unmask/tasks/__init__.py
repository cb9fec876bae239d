"""Built-in tasks: the data of Shidoku (4×4 sudoku) and of scikit-learn's 8×8 digits."""

from unmask.tasks import digits, shidoku

__all__ = ["digits", "shidoku"]

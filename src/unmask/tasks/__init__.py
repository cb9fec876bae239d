"""Built-in tasks: the data of Shidoku (4×4 sudoku) and of scikit-learn's 8×8 digits."""

from unmask.tasks import digits, shidoku
from unmask.tasks.task import TASKS, Task, task

__all__ = ["TASKS", "Task", "digits", "shidoku", "task"]

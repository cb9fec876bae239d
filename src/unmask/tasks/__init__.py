"""Built-in tasks: 4×4 sudoku (Shidoku), 9×9 sudoku, and scikit-learn's 8×8 digits."""

from unmask.core.calls import check_calls
from unmask.tasks import digits, shidoku, sudoku
from unmask.tasks.task import TASKS, Task, task

__all__ = ["TASKS", "Task", "digits", "shidoku", "sudoku", "task"]

check_calls(__name__)

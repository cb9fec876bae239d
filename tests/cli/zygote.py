"""Commands in processes that start at once: forked from one that has run the same command before.

Reads lines of JSON, `{"line": [...], "folder": "...", "fork": true}`. Answers with the process id,
and with the exit code when the process has ended. Its stdout and stderr are files of the folder,
`.out` and `.err`.
"""

import json
import os
import signal
import sys
import traceback

from unmask.__main__ import main
from unmask.cli import main as unguarded
from unmask.core.interruption import end_at_once


def redirect(folder):
    os.chdir(folder)
    for number, name in ((1, ".out"), (2, ".err")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)


def outcome(program):
    """Run the command that sys.argv names; its exit code."""
    try:
        program()
    except SystemExit as end:
        return end.code
    except BaseException:
        traceback.print_exc()
    return 1


# Where the tests run in the background, Ctrl-C is ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
answers = os.fdopen(os.dup(1), "w", buffering=1)
for asked in sys.stdin:
    call = json.loads(asked)
    sys.argv = ["unmask", *call["line"]]
    # A signal waits until the child handles signals as a program does from its first line on.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    child = os.fork() if call["fork"] else os.getpid()
    if child in (0, os.getpid()):
        redirect(call["folder"])
    if not child:
        end_at_once()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if not child:
        os._exit(outcome(main))  # taking down a copy of all that is loaded takes seconds
    print(child, file=answers)
    # Run here, a command loads what its children need.
    ended = os.waitpid(child, 0)[1] if call["fork"] else None
    print(outcome(unguarded) if ended is None else os.waitstatus_to_exitcode(ended), file=answers)

"""Servers of the tiny model by the command itself, one after the other, each forked from here.

Reads a line of JSON for each, the options of `unmask serve`; prints its process id. Its stdout and
stderr are the files that the line names.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tiny

from unmask.__main__ import main
from unmask.core.interruption import end_at_once
from unmask.server import app, running, served  # noqa: F401 (what children need is loaded)

made = app.create_app


def with_route(*given):
    found = made(*given)
    found.include_router(tiny.router)
    return found


def serve(call):
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(call[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    app.create_app = with_route
    kind = tiny.Busy if call.get("busy") else tiny.Net
    served.Served.open = lambda name, settings, meter: tiny.served(
        settings, meter, kind=kind, slow=call.get("slow", 0.002)
    )
    end_at_once()
    sys.argv = ["unmask", "serve", "shidoku", "--port", "0", *call["line"]]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        os._exit(code)


for asked in sys.stdin:
    child = os.fork()
    if not child:
        serve(json.loads(asked))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

"""`unmask serve`: what is refused before anything is loaded, and what is said at the start."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from unmask.cli.commands import serve


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["shidoku", "--port", 70000], "type --port 8000"),
        (["shidoku", "--timeout", 0], "type --timeout 600"),
        (["shidoku", "--log-level", "loud"], "known: debug, error, info, warning"),
        (["shidoku", "--dtype", "bfloat"], "--dtype: did you mean 'bfloat16'"),
        (["shidoku", "--device-map", " "], "type --device-map cuda:0"),
        (["shidoku", "--cors", "app.example"], "type --cors https://app.example"),
        (["shidoku", "--api-key", ""], "type one such as --api-key"),
        (["shidoku", "shidoku"], "shidoku is named twice"),
        (["shidokku"], "shidokku"),
        (["shidoku", "--host", "no.such.host.invalid", "--port", 0], "type --host 127.0.0.1"),
        (["shidoku", "--host", "203.0.113.7", "--port", 0], "is no address of this machine"),
        (["--config", "absent.toml"], "absent.toml: the configuration cannot be read"),
    ],
)
def test_what_cannot_work_is_told_with_what_to_type(call, line, words):
    assert words in call("serve", *line).error()


def test_a_port_that_is_in_use(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = call("serve", "shidoku", "--port", port).error()
    assert f"port {port} of 127.0.0.1 is in use by another program" in error
    assert f"--port {port + 1}, or --port 0" in error


@pytest.mark.parametrize("name", ["fastapi", "uvicorn", "prometheus_client", "sse_starlette"])
def test_a_library_that_is_missing(call, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'unmask[serve]'" in call("serve", "shidoku").error(3)


def test_a_model_that_cannot_be_loaded_ends_the_server(call, folders, tmp_path):
    import shutil

    shutil.copytree(folders["shidoku"], tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    told = call("serve", "cut", "--port", 0)
    assert told.code == 2
    assert "cut" in told.err
    assert "Traceback" not in told.err


@contextlib.contextmanager
def started(folder, *line, **environment):
    """What a server in a process of its own prints until it is ready, and its address."""
    program = [sys.executable, "-m", "unmask", "serve", *line]
    env = {**os.environ, **environment}
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(program, stdout=out, stderr=err, env=env, cwd=folder)
    try:
        until = time.monotonic() + 120
        while not re.search(r"^curl .*\n", shown := (folder / "out").read_text(), re.MULTILINE):
            assert time.monotonic() < until, (shown, (folder / "err").read_text())
            assert process.poll() is None, (folder / "err").read_text()
            time.sleep(0.05)
        [url] = re.findall(r"^(http://127\.0\.0\.1:\d+)  loading ", shown, re.MULTILINE)
        yield shown, url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_first_request_as_the_server_says(folders, tmp_path):
    (tmp_path / "server.toml").write_text(
        f'models = ["{folders["shidoku"]}"]\nport = 0\nlog_level = "warning"\n'
    )
    with started(tmp_path, "--config", "server.toml", UNMASK_API_KEY="sesame") as (shown, url):
        assert f"Open {url} in a browser, or try, with the key in UNMASK_API_KEY:\n" in shown
        assert f'curl {url}/v1/infill -H "Authorization: Bearer $UNMASK_API_KEY"' in shown
        assert '"segments": [{"mask": 16}]' in shown
        assert httpx.get(f"{url}/ready", trust_env=False, verify=False).status_code == 200
        assert httpx.get(f"{url}/metrics", trust_env=False, verify=False).status_code == 401
    assert (tmp_path / "err").read_text() == ""


def test_without_arguments_the_bundled_models_and_the_page_are_served(tmp_path):
    with started(tmp_path, "--port", "0", "--log-level", "warning") as (shown, url):
        assert f"{url}  loading shakespeare, digits, shidoku, sudoku\nReady. Open {url} " in shown
        page = httpx.get(url, trust_env=False, verify=False)
        assert page.headers["content-type"].startswith("text/html")
        *_, curl = shown.splitlines()
        answer = json.loads(subprocess.check_output(["sh", "-c", f"{curl} -s"], text=True))
    assert answer["model"] == "shakespeare"
    assert answer["usage"]["completion_tokens"] > 0
    told = (tmp_path / "err").read_text().splitlines()
    # The client may have its answer just before the server counts the request as finished.
    assert [line for line in told if not line.startswith("Ending. Open requests")] == []


def test_others_are_told_of_only_where_they_reach_the_server(capsys):
    serve._warn(None)
    assert "Anyone who reaches this machine may send requests" in capsys.readouterr().err
    serve._warn("sesame")
    assert "A key of 6 characters may be guessed" in capsys.readouterr().err
    serve._warn("a" * serve.SHORT)
    assert capsys.readouterr().err == ""

"""Settings: where they come from, and errors that say what to type."""

import pytest
import torch
from tests.text.models import bert

from unmask.errors import InputError
from unmask.server.configuring import gathered
from unmask.server.served import Served
from unmask.server.settings import Settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 70000}, r"port = 70000 .* type --port 8000"),
        ({"port": True}, r"port = True is not a whole number: type --port 8000"),
        ({"port": "80"}, r"port = '80' is not a whole number"),
        ({"host": " "}, r"type --host 127\.0\.0\.1"),
        ({"max_rows": 0}, r"max_rows = 0 is not 1 or more: type --max-rows 64"),
        ({"max_tokens": -1}, r"type --max-tokens 4096"),
        ({"max_tokens": 1.5}, r"max_tokens = 1\.5 is not a whole number: type --max-tokens"),
        ({"max_queue": -1}, r"0 or more: type --max-queue 256"),
        ({"timeout": 0}, r"seconds, more than 0: type --timeout 600"),
        ({"timeout": float("nan")}, r"type --timeout 600"),
        ({"grace": -0.5}, r"type --grace 30"),
        ({"log_level": "inof"}, r"--log-level: did you mean 'info'\? known: debug"),
        ({"api_key": ""}, r"empty.* type one such as --api-key"),
        ({"api_key": "a b"}, r"--api-key"),
        ({"cors": ("https://a.example/",)}, r"without a path: type --cors https://app.example"),
        ({"cors": ("a.example",)}, r"type --cors"),
        ({"max_body": 0}, r"in the file of --config: max_body = 4194304"),
    ],
)
def test_values_that_cannot_work_are_told_with_one_that_does(given, words):
    with pytest.raises(InputError, match=words):
        Settings(**given)


def test_values_that_work():
    assert Settings(cors=("*", "http://localhost:3000"), timeout=5, max_tokens=None, port=0)
    assert "hush" not in repr(Settings(api_key="hush"))


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(tmp_path):
    file = tmp_path / "server.toml"
    file.write_text(
        'models = ["digits"]\nport = 1\nmax_rows = 3\napi_key = "a"\ncors = ["*"]\nmax_n = 5\n'
    )
    models, settings = gathered({"port": 2, "max_rows": None}, {"UNMASK_API_KEY": "b"}, file)
    assert models == ["digits"]
    assert settings == Settings(port=2, max_rows=3, api_key="b", cors=("*",), max_n=5)
    assert gathered({"api_key": "c"}, {"UNMASK_API_KEY": "b"}, file)[1].api_key == "c"
    assert gathered({}, {}, None) == ([], Settings())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "'prot': did you mean 'port'"),
        ("port = ", "no valid TOML"),
        ('models = "digits"', r'models = \["..."\]'),
        ("cors = [1]", r'cors = \["..."\]'),
        ('port = "8000"', "port = '8000' is not a whole number"),
    ],
)
def test_a_file_that_cannot_work(tmp_path, text, words):
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        gathered({}, {}, file)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"absent\.toml: the configuration cannot be read"):
        gathered({}, {}, tmp_path / "absent.toml")


def test_models_are_opened_as_settings_say(tmp_path):
    folder = str(bert(tmp_path))
    for dtype, expected in (("bfloat16", torch.bfloat16), (None, torch.float32)):
        served = Served.open(folder, Settings(dtype=dtype, device_map="cpu"))
        served.worker.close()
        assert {each.dtype for each in served.denoiser.parameters()} == {expected}
        assert served.text is not None


def test_options_of_loading_are_checked_and_gathered(tmp_path):
    with pytest.raises(InputError, match=r"--dtype: did you mean 'bfloat16'"):
        Settings(dtype="bfloat")
    with pytest.raises(InputError, match=r"type --device-map cuda:0"):
        Settings(device_map=" ")
    file = tmp_path / "server.toml"
    file.write_text('dtype = "float16"\n')
    assert gathered({"device_map": "cpu"}, {}, file)[1].loading == {
        "dtype": "float16",
        "device_map": "cpu",
    }

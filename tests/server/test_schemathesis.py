"""What the OpenAPI document allows, and what it does not, is asked of the server: no 500, no answer
that the document does not have.
"""

from collections import Counter
from random import Random

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server.conftest import served

from unmask.presets import by_name
from unmask.server.app import create_app
from unmask.server.served import Served
from unmask.server.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDPOINTS = [
    ("/v1/completions", "POST"),
    ("/v1/fim/completions", "POST"),
    ("/v1/chat/completions", "POST"),
    ("/v1/infill", "POST"),
    ("/v1/score", "POST"),
    ("/v1/models/{name}", "GET"),
    ("/v1/models", "GET"),
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/metrics", "GET"),
]
NEEDED = {"prompt", "messages", "text", "ids", "grid", "segments"}
ROW = {"/v1/infill": "a [MASK:2]", "/v1/score": "a cat"}
SMALL = {"n", "best_of", "max_tokens", "max_completion_tokens", "steps", "block_length", "samples"}


@pytest.fixture(scope="module")
def app(texts):
    settings = Settings(max_n=4, max_length=64, max_steps=32, max_queue=4)
    models = [
        served("bytes", texts["bytes"], settings),
        Served.open("shidoku", settings),
        served("bert", texts["bert"], settings),
    ]
    yield create_app(models, settings)
    for each in models:
        each.worker.close()


@pytest.fixture(scope="module")
def operations(app):
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = [result.ok() for result in document.get_all_operations()]
    return {(each.path, each.method.upper()): each for each in found}


def likelier(body, path, random):
    """The body with fewer fields and smaller numbers, so that some are answered: chance names no
    model, gives several rows or none, and asks for a thousand million tokens.
    """
    if not isinstance(body, dict):
        return body
    kept = {
        name: value
        for name, value in body.items()
        if value is not None and (name in NEEDED or random.random() < 0.3)
    }
    if path in ROW and (len(kept.keys() & NEEDED) != 1 or random.random() < 0.5):
        kept = {**{name: kept[name] for name in kept.keys() - NEEDED}, "text": ROW[path]}
    if isinstance(kept.get("model"), str):
        kept["model"] = random.choice(["bytes", "shidoku", "bert"])
    if isinstance(kept.get("preset"), str):
        kept["preset"] = random.choice([*by_name.known()])
    for name in SMALL & kept.keys():
        if isinstance(kept[name], int | float):
            kept[name] = 1 + int(kept[name]) % 3
    if isinstance(kept.get("ids"), list):
        kept["ids"] = [token % 3 if isinstance(token, int) else token for token in kept["ids"]]
    return kept


def asked(operation, count, *, as_they_are):
    """The statuses of so many requests; with a body, half of them are what the document forbids.

    as_they_are: whether they are sent as they were made, or likelier ones.
    """
    statuses = Counter()
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE][: 1 + bool(list(operation.body))]
    for mode in modes:

        @hypothesis.seed(0)
        @hypothesis.settings(
            max_examples=count // len(modes),
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(mode))
        def check(case):
            if not as_they_are:
                case.body = likelier(case.body, case.path, Random(repr(case.body)))
                case.path_parameters = dict.fromkeys(case.path_parameters, "shidoku")
            response = case.call(timeout=60)
            case.validate_response(response, checks=CHECKS)
            statuses[response.status_code] += 1

        check()
    return statuses


def test_the_document_has_every_endpoint(operations):
    assert operations.keys() == {*ENDPOINTS}
    for (path, method), operation in operations.items():
        codes = {*operation.definition.raw["responses"]}
        assert "422" not in codes, path
        if method == "POST":
            assert codes == {"200", "400", "401", "404", "408", "413", "429", "500", "503"}


def conform(operations, count):
    total = Counter()
    for place, operation in operations.items():
        total += asked(operation, count, as_they_are=True)
        likely = asked(operation, count, as_they_are=False)
        assert likely[200], (place, likely)
        total += likely
    assert not [status for status in total if status >= 500], total
    return total


pytestmark = pytest.mark.filterwarnings("ignore:Possible (nested set|set .*):FutureWarning")


@pytest.mark.timeout(120)
def test_answers_conform_to_the_document(operations):
    found = conform(operations, 24)
    assert sum(found.values()) >= 200, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_thousand_answers_conform_to_the_document(operations):
    found = conform(operations, 600)
    assert sum(found.values()) >= 5000, found

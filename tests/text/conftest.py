"""Text models, opened once."""

import pytest
from tests.text.models import bert, byte_fallback, byte_level, decoder

import unmask


@pytest.fixture(scope="session")
def masked(tmp_path_factory):
    """The folder of a tiny BERT."""
    return bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def bert_model(masked):
    return unmask.TextModel.load(masked)


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory):
    return unmask.TextModel.load(decoder(tmp_path_factory.mktemp("bytes"), byte_level()))


@pytest.fixture(scope="session")
def fallback_model(tmp_path_factory):
    return unmask.TextModel.load(decoder(tmp_path_factory.mktemp("fallback"), byte_fallback()))

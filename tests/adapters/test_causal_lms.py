"""Every `*ForCausalLM` that the installed transformers can build small is right, or refused."""

import re

import pytest
import transformers
from tests.adapters.alone import check_losses, check_rows, rows
from tests.adapters.architectures import MASK, kinds
from tests.adapters.causal import runs_small, whole

from unmask.errors import ModelError
from unmask.models import Decoder


@pytest.fixture(autouse=True)
def quiet():
    transformers.logging.set_verbosity_error()


@pytest.mark.filterwarnings("ignore")
def test_most_are_built():
    assert sum(runs_small(kind) is not None for kind in kinds("causal")) >= 35


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", kinds("causal"))
def test_rows_do_not_depend_on_their_batch(kind):
    net = runs_small(kind)
    if net is None:
        pytest.skip("cannot be built small")
    for block in (None, 3):
        decoder = taken(net, block)
        if decoder is None:
            return
        tokens, valid = rows(range(3, MASK), MASK)
        check_rows(decoder, tokens, valid, whole(net, block))
    tokens, valid = rows(range(3, MASK), 5)
    check_losses(decoder, tokens, valid)


def taken(net, block):
    """The decoder, or None where it is refused, which is said in a sentence."""
    try:
        return Decoder(net, MASK, block=block)
    except ModelError as refusal:
        message = str(refusal)
    assert re.search("takes no 4-D attention mask: .*Load it|ignores its mask, .*use an", message)
    return None

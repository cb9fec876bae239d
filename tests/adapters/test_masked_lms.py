"""Every `*ForMaskedLM` that the installed transformers can build small is right, or refused."""

import pytest
import torch
import transformers
from tests.adapters.alone import check_close, check_losses, check_rows, logits_of, rows
from tests.adapters.architectures import LONGEST, MASK, TooLarge, build, kinds

import unmask
from unmask.errors import ModelError

PAD = 0
REFUSED = {
    "bart": "encoder with a decoder",
    "mbart": "encoder with a decoder",
    "mvp": "encoder with a decoder",
}
FIXED = {"perceiver": LONGEST, "nystromformer": LONGEST}
"""Networks that run on rows of one length."""
TOO_LARGE = {"modernvbert", "ultravbert"}
"""Networks of images too, whose other parts the small options do not reach."""
KINDS = [kind for kind in kinds("masked") if kind not in TOO_LARGE]


@pytest.fixture(autouse=True)
def quiet():
    transformers.logging.set_verbosity_error()


def test_what_is_not_tried_is_too_large():
    for kind in TOO_LARGE & set(kinds("masked")):
        with pytest.raises(TooLarge, match="parameters"):
            build("masked", kind)
    assert len(KINDS) > 40


def whole(net):
    return lambda tokens, _: net(input_ids=tokens, attention_mask=torch.ones_like(tokens))[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in REFUSED and k not in FIXED])
def test_rows_do_not_depend_on_their_batch(kind, tmp_path):
    net = build("masked", kind)
    denoiser = unmask.wrap(net, mask_id=MASK)
    tokens, valid = rows(range(3, MASK), MASK)
    check_rows(denoiser, tokens, valid, whole(net))
    # The id of padding may be data; what it is then is the network's affair, or that of positions.
    tokens, valid = rows(range(3, MASK), MASK, special=PAD)
    check_rows(denoiser, tokens, valid, lambda row, _: logits_of(denoiser, row))
    tokens, valid = rows(range(3, MASK), 5)
    check_losses(denoiser, tokens, valid)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in REFUSED])
def test_a_saved_network_is_the_same(kind, tmp_path):
    denoiser = unmask.wrap(build("masked", kind), mask_id=MASK)
    again = unmask.load(unmask.save(denoiser, tmp_path / "saved"))
    tokens, valid = rows(range(3, MASK), MASK)
    if kind in FIXED:
        tokens, valid = rows(range(3, MASK), MASK, lengths=(FIXED[kind],) * 2)
    assert torch.equal(logits_of(again, tokens, valid), logits_of(denoiser, tokens, valid))


@pytest.mark.parametrize("kind", REFUSED)
def test_networks_that_cannot_be_right_are_refused(kind):
    with pytest.raises(ModelError, match=REFUSED[kind]):
        unmask.wrap(build("masked", kind), mask_id=MASK)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FIXED)
def test_networks_of_one_length_say_which(kind):
    net = build("masked", kind)
    denoiser = unmask.wrap(net, mask_id=MASK)
    tokens, _ = rows(range(3, MASK), MASK, lengths=(FIXED[kind],) * 2)
    with torch.no_grad():
        check_close(logits_of(denoiser, tokens), net(input_ids=tokens)[0])
    with pytest.raises(unmask.errors.CanvasError, match=f"on rows of {FIXED[kind]}: pass rows"):
        logits_of(denoiser, tokens[:, :7])

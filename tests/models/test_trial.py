"""A network is tried when it is wrapped, and runs in a way that does not change its rows."""

import copy
from typing import NamedTuple

import numpy as np
import peft
import pytest
import torch
from tests.adapters.alone import check_losses, check_rows, logits_of, rows
from tests.adapters.architectures import MASK, build
from torch import nn
from transformers import BertForMaskedLM
from x_transformers import Encoder, TransformerWrapper

import unmask
from unmask import Canvas, presets
from unmask.compat import NonAutoregressiveWrapper
from unmask.core.network import Query
from unmask.errors import CanvasError, LogitsError, ModelError
from unmask.models import Decoder

IDS = range(3, MASK)


def bert(**options):
    return build("masked", "bert", **options)


def encoder(**options):
    torch.manual_seed(0)
    layers = Encoder(dim=16, depth=2, heads=2, **options)
    return TransformerWrapper(num_tokens=MASK + 1, max_seq_len=16, attn_layers=layers).eval()


def alone(net):
    return lambda tokens, _: net(tokens)


class Deaf(nn.Module):
    """Takes an attention mask and ignores it, as a LLaDA in the wild does."""

    def __init__(self):
        super().__init__()
        self.net = encoder()

    def forward(self, tokens, attention_mask=None):
        return self.net(tokens)


class Passes(nn.Module):
    """Counts the rows and positions of each pass of the network inside."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, []
        trunk = getattr(net, "base_model", net)
        trunk.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module, args, given):
        tokens = args[0] if args else given["input_ids"]
        self.seen.append(tokens.numel())


def test_it_costs_less_than_two_passes_of_eight_positions():
    for make, wrapped in (
        (bert, lambda net: unmask.wrap(net, mask_id=MASK)),
        (encoder, lambda net: unmask.wrap(net, mask_id=MASK)),
        (encoder, lambda net: NonAutoregressiveWrapper(net, mask_id=MASK)),
        (lambda: build("causal", "llama"), lambda net: Decoder(net, MASK)),
    ):
        count = Passes(make())
        wrapped(count.net)
        assert count.seen == [6, 6]


def test_a_network_is_believed_only_where_that_is_asked_for():
    count = Passes(encoder(shift_tokens=1))
    denoiser = unmask.wrap(count.net, mask_id=MASK, try_network=False)
    assert count.seen == []
    tokens, valid = rows(IDS, MASK)
    with pytest.raises(AssertionError):
        check_rows(denoiser, tokens, valid, alone(count.net))


def test_it_leaves_the_generator_of_torch_and_the_modes_as_they_were():
    net = encoder(attn_dropout=0.5).train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    unmask.wrap(net, mask_id=MASK)
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training


def test_a_mask_that_is_ignored_is_no_mask():
    net = Deaf().eval()
    tokens, valid = rows(IDS, MASK)
    denoiser = unmask.wrap(net, mask_id=MASK)
    check_rows(denoiser, tokens, valid, alone(net))
    check_losses(denoiser, *rows(IDS, 5))


def test_scores_are_those_of_rows_alone():
    denoiser = unmask.wrap(encoder(shift_tokens=1), mask_id=MASK)
    tokens, valid = rows(IDS, 5)
    by = unmask.scoring.PseudoLikelihood()
    together = unmask.score(denoiser, tokens, valid=valid, by=by).per_example
    for index, length in enumerate(valid.sum(1).tolist()):
        single = unmask.score(denoiser, tokens[index : index + 1, :length], by=by)
        torch.testing.assert_close(single.per_example[0], together[index])


def test_a_subclass_that_changes_the_logits_is_not_taken_apart():
    class Bars(BertForMaskedLM):
        def forward(self, *args, **given):
            output = super().forward(*args, **given)
            output.logits[..., 3:20] = -torch.inf
            return output

    net = Bars(bert().config).eval()
    denoiser = unmask.wrap(net, mask_id=MASK)
    out = unmask.generate(denoiser, batch_size=8, length=8, seed=0)
    assert not ((out >= 3) & (out < 20)).any()


def test_what_stands_around_a_network_is_not_passed_by():
    """A hook, or a forward of its own, such as a library that moves weights puts there."""
    plain, hooked, replaced = bert(), bert(), bert()
    hooked.register_forward_hook(lambda module, args, out: (out.logits * 2,))
    forward = replaced.forward
    replaced.forward = lambda **given: forward(**given).logits * 2
    tokens, _ = rows(IDS, MASK)
    with torch.no_grad():
        wanted = 2 * plain(input_ids=tokens).logits
    for net in (hooked, replaced):
        torch.testing.assert_close(logits_of(unmask.wrap(net, mask_id=MASK), tokens), wanted)


@pytest.mark.filterwarnings("ignore")
def test_learned_prompts_are_refused_and_other_adapters_are_not():
    for kind in (peft.PromptTuningConfig, peft.PrefixTuningConfig):
        config = kind(task_type="TOKEN_CLS", num_virtual_tokens=2)
        with pytest.raises(ModelError, match="learns a prompt"):
            unmask.wrap(peft.get_peft_model(bert(), config), mask_id=MASK)
    lora = peft.get_peft_model(bert(), peft.LoraConfig(target_modules=["query"])).eval()
    tokens, valid = rows(IDS, MASK)
    check_rows(unmask.wrap(lora, mask_id=MASK), tokens, valid, lambda row, _: lora(row).logits)


class Remote(nn.Module):
    """A network of code of its own, whose output has logits."""

    def __init__(self, shape):
        super().__init__()
        self.net, self.shape = bert(), shape

    def forward(self, tokens, attention_mask):
        output = self.net(input_ids=tokens, attention_mask=attention_mask.long())
        return {
            "output": output,
            "tensor": output.logits,
            "tuple": (output.logits, None),
            "dict": {"logits": output.logits},
        }[self.shape]


@pytest.mark.parametrize("shape", ["output", "tensor", "tuple", "dict"])
def test_outputs_of_any_form_are_read(shape):
    net = Remote(shape).eval()
    tokens, valid = rows(IDS, MASK)
    check_rows(unmask.wrap(net, mask_id=MASK), tokens, valid, lambda row, _: net.net(row).logits)


def test_outputs_of_another_shape_are_told_what_they_look_like():
    net = encoder()
    for wrong, words in (
        (lambda tokens: net(tokens).mean(1), "do not pool over positions"),
        (
            lambda tokens: net(tokens).repeat(1, 2, 1)[:, : tokens.shape[1] + 1],
            "with a class token: leave the first",
        ),
        (lambda tokens: (net(tokens),) * 2, "2 outputs of one shape"),
    ):
        with pytest.raises(LogitsError, match=words):
            unmask.wrap(wrong, mask_id=MASK)


FORMS = {
    "without return_dict": lambda: bert(return_dict=False),
    "DataParallel": lambda: nn.DataParallel(bert()),
    "compiled": lambda: torch.compile(bert(), backend="eager"),
    "a mask id of numpy": bert,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_networks_in_other_forms_are_networks(form):
    tokens, valid = rows(IDS, MASK)
    mask_id = np.int64(MASK) if "numpy" in form else MASK
    denoiser = unmask.wrap(FORMS[form](), mask_id=mask_id)
    assert denoiser.spec.vocab_size == MASK + 1
    plain = bert()
    check_rows(denoiser, tokens, valid, lambda row, _: plain(row).logits)


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_module_gets_its_padding_mask():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(MASK + 1, 8), nn.Linear(8, MASK + 1)

        def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            shown = self.embed(tokens) * attention_mask.unsqueeze(-1)
            mean = shown.sum(1, keepdim=True) / attention_mask.sum(1)[:, None, None]
            return self.head(shown + mean)

    net = Mean()
    denoiser = unmask.wrap(torch.jit.script(net), mask_id=MASK)
    assert not denoiser.way.by_length
    tokens, valid = rows(IDS, MASK)
    check_rows(denoiser, tokens, valid, lambda row, _: net(row, torch.ones_like(row)))


def test_sparse_attention_is_what_it_was_after_a_short_row():
    net = build("masked", "big_bird", attention_type="block_sparse", block_size=2)
    fresh = copy.deepcopy(net)
    denoiser = unmask.wrap(net, mask_id=MASK)
    tokens, valid = rows(IDS, MASK, lengths=(4, 32))
    long, short = tokens[1:], tokens[:1, :4]
    wanted = logits_of(unmask.wrap(fresh, mask_id=MASK, try_network=False), long)
    logits_of(denoiser, short)
    assert torch.equal(logits_of(denoiser, long), wanted)
    assert torch.equal(logits_of(denoiser, tokens, valid)[1:], wanted)


def test_positions_end_where_the_table_of_positions_does():
    net = build("masked", "roberta", max_position_embeddings=14)
    denoiser = unmask.wrap(net, mask_id=MASK)
    assert denoiser.spec.max_length == 13  # a row of the table is that of padding
    assert unmask.generate(denoiser, batch_size=1, length=13, seed=0).shape == (1, 13)
    with pytest.raises(CanvasError, match="13 at most"):
        unmask.generate(denoiser, batch_size=1, length=14, seed=0)


@pytest.mark.parametrize(
    ("denoiser", "longest"),
    [
        (lambda: unmask.wrap(encoder(rotary_pos_emb=True), mask_id=MASK), 16),
        (lambda: Decoder(build("causal", "llama"), MASK), 64),
        (lambda: Decoder(build("causal", "mistral", sliding_window=8), MASK), 8),
    ],
)
def test_rows_are_no_longer_than_the_network_was_made_for(denoiser, longest):
    """Rotary positions would go on without a word, and be those of no training."""
    network = denoiser()
    assert network.spec.max_length == longest
    with pytest.raises(CanvasError, match=f"{longest} at most"):
        unmask.generate(network, batch_size=1, length=longest + 1, seed=0)


def test_embeddings_before_a_row_do_not_move_its_targets():
    """Where the reference's losses are those of targets shifted by three."""
    net = encoder()
    model = NonAutoregressiveWrapper(net, mask_id=MASK, no_replace_prob=0.0, random_token_prob=0.0)
    tokens, before = rows(IDS, 5)[0], torch.randn(3, 3, 16)
    found = model(tokens, prepend_embeds=before, seed=3).loss.item()
    net_alone = lambda x, prepend_embeds: net(x, prepend_embeds=prepend_embeds)[:, 3:]  # noqa: E731
    plain = unmask.wrap(net_alone, mask_id=MASK, vocab_size=MASK + 1)
    wanted = unmask.objectives.count(
        plain, tokens, torch.ones_like(tokens).bool(), 3, condition={"prepend_embeds": before}
    )
    assert found == pytest.approx(wanted.loss.item(), rel=1e-5)


def test_positions_and_masks_that_all_rows_share_are_those_of_each_row():
    net = encoder()
    model = NonAutoregressiveWrapper(net, mask_id=MASK)
    tokens = rows(IDS, 5)[0]
    pos, seen = torch.arange(12).flip(0), torch.rand(12, 12) < 0.5
    seen |= torch.eye(12, dtype=torch.bool)
    apart = {"pos": pos.expand(3, 12), "attn_mask": seen.expand(3, 1, 12, 12)}
    for name, value in (("pos", pos), ("attn_mask", seen), ("attn_mask", seen.expand(2, 12, 12))):
        found = model(tokens, seed=3, **{name: value}).loss
        assert found == model(tokens, seed=3, **{name: apart[name]}).loss
        assert found != model(tokens, seed=3).loss


def test_outputs_are_checked_in_training_too():
    net = encoder()
    denoiser = unmask.wrap(net, mask_id=MASK)
    forward = net.forward
    net.forward = lambda x, **given: forward(x, **given)[:, 1:]
    tokens = rows(IDS, 5)[0]
    with pytest.raises(LogitsError, match=r"for tokens of shape \(3, 12\)"):
        unmask.objectives.count(denoiser, tokens, torch.ones_like(tokens).bool(), 3)


def test_rows_of_a_network_that_padding_changes_go_by_length_in_a_generation():
    net = encoder(shift_tokens=1)
    denoiser = unmask.wrap(net, mask_id=MASK)
    canvas = Canvas.ragged([[MASK] * n for n in (5, 12, 9)], pad_id=0)
    strategy = presets.confidence(3)
    together = unmask.generate(denoiser, canvas, strategy, seeds=[1, 2, 3])
    for index, length in enumerate((5, 12, 9)):
        single = Canvas.blank(1, length)
        out = unmask.generate(denoiser, single, strategy, seeds=[index + 1])
        assert out[0].tolist() == together[index, :length].tolist()


def test_conditions_of_rows_stay_whole_where_rows_go_by_length():
    """Even one that is as wide as the canvas; what belongs to tokens is named by the adapter."""
    ids, head = nn.Embedding(MASK + 1, 8), nn.Linear(8, MASK + 1)

    def net(tokens, source):
        return head(ids(tokens) + ids(source).mean(1, keepdim=True))

    tokens, valid = rows(IDS, MASK)
    condition = {"source": torch.randint(MASK, tokens.shape)}
    denoiser = unmask.wrap(net, mask_id=MASK, vocab_size=MASK + 1)
    found = logits_of(denoiser, tokens, valid, condition)
    for index, length in enumerate(valid.sum(1).tolist()):
        row = tokens[index : index + 1, :length]
        right = net(row, condition["source"][index : index + 1])[0]
        torch.testing.assert_close(found[index, :length], right.detach())


def test_the_way_is_that_of_the_weights_that_are_read(tmp_path):
    class Zeroed(nn.Module):
        """Padding changes a row through weights that begin at zero."""

        def __init__(self):
            super().__init__()
            self.net, self.mix = encoder(), nn.Parameter(torch.zeros(()))

        def forward(self, tokens, valid):
            logits = self.net(tokens, mask=valid)
            return logits + self.mix * logits.mean(1, keepdim=True)

    trained = Zeroed().eval()
    trained.mix.data.fill_(1.0)
    folder = unmask.save(unmask.wrap(trained, mask_id=MASK), tmp_path / "saved")
    denoiser = unmask.load(folder, net=Zeroed())
    tokens, valid = rows(IDS, MASK)
    every = torch.ones_like
    check_rows(denoiser, tokens, valid, lambda x, _: trained(x, every(x, dtype=torch.bool)))


def test_one_barred_id_does_not_hide_that_the_head_is_not_all():
    net = build("causal", "bert")
    net.cls.predictions.decoder.bias.data[-1] = -1e9
    assert not Decoder(net, MASK).way.split


def test_padding_that_is_not_at_the_end_is_refused_before_a_pass():
    denoiser = unmask.wrap(encoder(shift_tokens=1), mask_id=MASK)
    tokens, valid = rows(IDS, 5)
    with pytest.raises(CanvasError, match="not at the end"):
        logits_of(denoiser, tokens, valid.flip(1))


def test_a_row_of_padding_alone_is_no_pass():
    denoiser = unmask.wrap(encoder(shift_tokens=1), mask_id=MASK)
    tokens, valid = rows(IDS, 5)
    valid[0] = False
    assert (denoiser.forward(Query.of(tokens, valid), None)[0][0] == 0).all()


def test_a_hook_that_comes_later_is_heeded():
    net = bert()
    denoiser = unmask.wrap(net, mask_id=MASK)
    tokens, _ = rows(IDS, MASK)
    before = logits_of(denoiser, tokens)
    net.register_forward_hook(lambda module, args, out: (out.logits * 2,))
    torch.testing.assert_close(logits_of(denoiser, tokens), 2 * before)


def test_named_outputs_are_read_by_name():
    class Output(NamedTuple):
        hidden: torch.Tensor
        logits: torch.Tensor

    net = encoder()
    denoiser = unmask.wrap(lambda x: Output(torch.zeros(*x.shape, 8), net(x)), mask_id=MASK)
    assert denoiser.spec.vocab_size == MASK + 1


def test_a_mask_beside_padding_is_refused():
    denoiser = unmask.wrap(bert(), mask_id=MASK)
    tokens, valid = rows(IDS, MASK)
    with pytest.raises(CanvasError, match="leave it out of the condition"):
        logits_of(denoiser, tokens, valid, {"attention_mask": valid.long()})


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_adapter_is_saved_merged(tmp_path):
    lora = peft.get_peft_model(bert(), peft.LoraConfig(target_modules=["query"])).eval()
    denoiser = unmask.wrap(torch.compile(lora, backend="eager"), mask_id=MASK)
    again = unmask.load(unmask.save(denoiser, tmp_path / "saved"))
    tokens, _ = rows(IDS, MASK)
    torch.testing.assert_close(logits_of(again, tokens), logits_of(denoiser, tokens))


def test_cross_attention_with_shifted_tokens_is_tried():
    net = encoder(cross_attend=True, shift_tokens=1)
    assert unmask.wrap(net, mask_id=MASK).way.by_length

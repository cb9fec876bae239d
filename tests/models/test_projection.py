"""features @ weightᵀ + bias is what the head says, and a head that is not known offers nothing."""

import pytest
import torch
from tests.conformance.test_networks import (
    MASK,
    NETWORKS,
    SMALL,
    SPLIT,
    VOCAB,
    build,
    of_the_family,
    wrapped,
    x_transformer,
)
from tests.models.decoders import decoder
from tests.reference.network import Network
from torch import nn

import unmask
from unmask import ClassConditioned, Packed
from unmask.core.head import projection_of
from unmask.core.network import Query
from unmask.core.projection import Projection
from unmask.errors import LogitsError
from unmask.models import BlockCache, ReusedCache
from unmask.models.compiled import Compiled


def random_biases(net):
    """The network, with every bias random where it was 0, so that a forgotten one is seen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return net.eval()


def hidden_of(denoiser):
    tokens = torch.arange(5, 11).unsqueeze(0)
    with torch.no_grad():
        hidden, _ = denoiser.forward(Query.of(tokens), None)
    return hidden[0]


@torch.no_grad()
def check(denoiser, hidden=None):
    hidden = hidden_of(denoiser) if hidden is None else hidden
    projection = projection_of(denoiser, hidden)
    assert projection is not None
    product = projection.features @ projection.weight.T
    product = product if projection.bias is None else product + projection.bias
    wanted = denoiser.logits(hidden)
    assert wanted.std() > 0.01
    torch.testing.assert_close(product, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SPLIT)
def test_the_product_is_the_logits(name):
    check(wrapped(random_biases(build(name))))


@pytest.mark.parametrize("kind", ["Camembert", "XLMRoberta", "XLMRobertaXL", "Longformer"])
def test_relatives_of_roberta_end_alike(kind):
    options = {"attention_window": 4} if kind == "Longformer" else {}
    denoiser = wrapped(random_biases(of_the_family(kind, **options)))
    check(denoiser, torch.randn(6, 32))


@pytest.mark.parametrize("kind", ["MegatronBert", "Ernie", "BigBird", "RoFormer", "FNet", "Yoso"])
def test_relatives_of_bert_end_alike(kind):
    denoiser = wrapped(random_biases(of_the_family(kind)))
    check(denoiser, torch.randn(6, 32))


def test_a_linear_head_of_ones_own_and_a_scaled_tie():
    check(wrapped(x_transformer(to_logits=nn.Linear(32, VOCAB)).eval()))
    check(wrapped(x_transformer(tie_embedding=True, tie_embedding_scale=3.0).eval()))


def mobilebert():
    from transformers import MobileBertConfig, MobileBertForMaskedLM

    sizes = {"embedding_size": 16, "intra_bottleneck_size": 32, "true_hidden_size": 32}
    return MobileBertForMaskedLM(MobileBertConfig(**SMALL, **sizes))


class Cooled(nn.Linear):
    """A layer that is linear by name and not by deed."""

    def forward(self, hidden):
        return super().forward(hidden).tanh()


def hooked():
    net = x_transformer()
    net.to_logits.register_forward_hook(lambda module, given, out: out * 2)
    return net


def replaced():
    net = x_transformer()
    net.to_logits.forward = lambda hidden: hidden[..., :VOCAB]
    return net


@pytest.mark.parametrize(
    "make",
    [
        NETWORKS["DistilBERT"],
        mobilebert,
        hooked,
        replaced,
        lambda: x_transformer(to_logits=nn.Sequential(nn.Linear(32, VOCAB), nn.Tanh())),
        lambda: x_transformer(to_logits=Cooled(32, VOCAB)),
        lambda: x_transformer(sigsoftmax_logits=True),
    ],
    ids=["DistilBERT", "MobileBERT", "hook", "replaced", "tanh", "subclass", "sigsoftmax"],
)
def test_a_head_that_ends_in_anything_else_offers_nothing(make):
    denoiser = wrapped(make().eval())
    assert projection_of(denoiser, torch.randn(6, 32)) is None


def test_a_callable_offers_nothing():
    denoiser = unmask.wrap(lambda tokens: torch.zeros(*tokens.shape, VOCAB), mask_id=MASK)
    assert projection_of(denoiser, torch.randn(6, VOCAB)) is None


# Raised by peft's own use of transformers.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapted_decoder_offers_nothing_and_an_adapted_trunk_does():
    peft = pytest.importorskip("peft")

    def adapted(target):
        config = peft.LoraConfig(target_modules=[target], init_lora_weights=False)
        return wrapped(peft.get_peft_model(random_biases(build("ESM, rotary")), config).eval())

    assert projection_of(adapted("decoder"), torch.randn(6, 32)) is None
    check(adapted("query"))


def test_decoders_and_their_caches_offer_their_head():
    causal, seeing_all = decoder(block=4, shift=True), decoder(tie_word_embeddings=True)
    check(causal)
    check(BlockCache(causal), hidden_of(causal))
    check(seeing_all)
    check(ReusedCache(seeing_all, 4), hidden_of(seeing_all))


def test_wrappers_offer_what_they_wrap():
    bert = wrapped(random_biases(build("BERT")))
    check(ClassConditioned(bert, 1))
    check(Packed(bert, 12), hidden_of(bert))
    check(Compiled(bert), hidden_of(bert))


def test_a_projection_of_another_size_is_refused():
    class Denoiser(Network):
        vocab_size, mask_id = VOCAB, MASK

        def projection(self, hidden):
            return Projection(hidden, torch.zeros(3, 32))

    with pytest.raises(LogitsError, match="6 features and the weights of 3 ids, for 6 positions"):
        projection_of(Denoiser(), torch.randn(6, 32))

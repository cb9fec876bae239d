"""Same arguments, same methods, same checkpoints as x-transformers' wrapper; and what it gains."""

import inspect
import itertools

import pytest
import torch
from tests.compat.nets import Ours, Recorder, Reference, Scripted, critic, encoder
from torch import nn

from unmask import compat, errors

MASK, LENGTH = 11, 16
FLAGS = ("self_cond", "can_mask_prev_unmasked", "use_simple_mdlm_loss_weight")
CRITICS = {"none": {}, "self": {"self_token_critic": True}, "separate": {"token_critic": critic}}
COMBINATIONS = [
    pytest.param(dict(zip(FLAGS, values, strict=True)), name, id=f"{name}-{values}")
    for values in itertools.product([False, True], repeat=3)
    for name in CRITICS
]


def build(kind, options, critic_name="none", **further):
    made = {k: v() if callable(v) else v for k, v in CRITICS[critic_name].items()}
    return kind(encoder(), mask_id=MASK, **options, **made, **further)


def data(rows=4, length=LENGTH):
    return torch.arange(rows * length).view(rows, length) % MASK


# --- the interface of the reference ---


@pytest.mark.parametrize("method", ["__init__", "generate", "forward"])
def test_arguments_are_those_of_the_reference(method):
    theirs = inspect.signature(getattr(Reference, method)).parameters
    ours = inspect.signature(getattr(Ours, method)).parameters
    for name, parameter in theirs.items():
        assert (ours[name].kind, ours[name].default) == (parameter.kind, parameter.default), name
    kinds = {p.kind for p in ours.values()}
    assert [n for n in ours if n in theirs] == list(theirs)
    assert all(ours[n].kind is inspect.Parameter.KEYWORD_ONLY for n in ours.keys() - theirs.keys())
    assert (inspect.Parameter.VAR_KEYWORD in kinds) == (method != "__init__")


def test_losses_have_the_fields_of_the_reference():
    from x_transformers.nonautoregressive_wrapper import Losses

    assert compat.Losses._fields == Losses._fields


@pytest.mark.parametrize(("options", "critic_name"), COMBINATIONS)
def test_state_dict_and_parameter_order_are_those_of_the_reference(options, critic_name):
    theirs, ours = build(Reference, options, critic_name), build(Ours, options, critic_name)
    shapes = [(k, v.shape) for k, v in theirs.state_dict().items()]
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == shapes
    # An optimizer's checkpoint refers to parameters by their place.
    named = [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_parameters()] == named


@pytest.mark.parametrize(("options", "critic_name"), COMBINATIONS)
def test_checkpoints_load_strictly_both_ways(options, critic_name):
    theirs, ours = build(Reference, options, critic_name), build(Ours, options, critic_name)
    for source, target in ((theirs, ours), (ours, theirs)):
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.normal_()
        target.load_state_dict(source.state_dict(), strict=True)
        for name, value in source.state_dict().items():
            assert torch.equal(value, target.state_dict()[name]), name


def test_the_self_critic_is_stored_under_both_of_its_names():
    keys = build(Ours, {}, "self").state_dict().keys()
    assert {f"token_critic.{key}" for key in keys if key.startswith("net.")} <= keys
    assert {"token_critic.to_logits.weight", "token_critic.to_logits.bias"} <= keys


def test_initial_values_are_those_of_the_reference():
    made = []
    for kind in (Reference, Ours):
        net = encoder()
        torch.manual_seed(7)
        made.append(kind(net, mask_id=MASK, self_cond=True, self_token_critic=True).state_dict())
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])


# --- every row of the method works ---


@pytest.mark.parametrize("schedule", ["linear", "cosine", lambda t: 1 - t**2])
def test_schedules(schedule):
    model = build(Ours, {}, schedule=schedule, steps=4)
    assert len(list(model.stream(2))) == 4
    assert torch.isfinite(model(data()).loss)


@pytest.mark.parametrize(("options", "critic_name"), COMBINATIONS)
def test_generates_and_trains_with_every_option(options, critic_name):
    model = build(Ours, options, critic_name, steps=5)
    generated = model.generate(batch_size=3, start_temperature=1.0)
    assert generated.shape == (3, LENGTH)
    assert generated.dtype == torch.int64
    assert not (generated == MASK).any()
    losses = model(data())
    assert torch.isfinite(losses.loss)
    losses.loss.backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in touched} >= {"net"} | (
        {"null_embed", "to_self_cond"} if options["self_cond"] else set()
    )
    if critic_name == "none":
        assert losses.critic_loss is None
        assert losses.loss is losses.generator_loss
    else:
        assert torch.equal(losses.loss, losses.generator_loss + losses.critic_loss)


def test_generate_as_in_the_reference_s_readme():
    model = build(Ours, {})
    assert model.generate(batch_size=16, start_temperature=1.0).shape == (16, LENGTH)
    assert model.generate(start_temperature=1.0).shape == (LENGTH,)
    assert model.generate(batch_size=1).shape == (1, LENGTH)


def test_eighteen_steps_by_default():
    model = Ours(encoder(length=40), mask_id=MASK)
    assert model.steps == 18
    assert len(list(model.stream(2))) == 18


def test_settings_are_read_at_each_use():
    model = build(Ours, {})
    model.steps = 3
    assert len(list(model.stream())) == 3


def test_critic_loss_weight():
    a, b = (build(Ours, {}, "self", critic_loss_weight=w)(data(), seed=5) for w in (1.0, 3.0))
    assert torch.allclose(b.loss - a.loss, 2 * a.critic_loss)


def test_only_train_generator_leaves_the_critic_alone():
    model = build(Ours, {}, "separate")
    losses = model(data(), only_train_generator=True)
    assert losses.critic_loss is None
    losses.loss.backward()
    assert all(p.grad is None for p in model.token_critic.parameters())


@pytest.mark.parametrize("critic_name", ["self", "separate"])
def test_only_train_critic_freezes_the_generator(critic_name):
    model = build(Ours, {"self_cond": True}, critic_name)
    losses = model(data(), only_train_critic=True)
    assert losses.generator_loss is None
    assert losses.loss is losses.critic_loss
    losses.loss.backward()
    assert all(p.grad is None for p in model.net.parameters())
    own = model.token_critic.to_logits if critic_name == "self" else model.token_critic
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in own.parameters())


def test_the_reference_trains_the_generator_s_trunk_as_part_of_the_self_critic():
    model = build(Reference, {}, "self")
    model(data(), only_train_critic=True).loss.backward()
    assert any(p.grad is not None for p in model.net.parameters())


def test_every_part_is_put_back_into_the_mode_it_had():
    def modes(kind):
        model = build(kind, {}, "separate")
        model.train()
        model.net.attn_layers.eval()  # frozen on purpose
        before = [module.training for module in model.modules()]
        model.generate()
        return before, [module.training for module in model.modules()]

    before, after = modes(Ours)
    assert before == after
    before, after = modes(Reference)
    assert before != after


def test_dropout_is_off_in_network_and_critic_while_generating():
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            seen.append((self.training, torch.is_grad_enabled()))
            return torch.zeros(*x.shape, 1)

    model = Ours(encoder(), mask_id=MASK, token_critic=Watching())
    model.train()
    for _ in model.stream(2):
        assert model.training
        assert torch.is_grad_enabled()
    assert set(seen) == {(False, False)}


# --- what it gains ---


def test_a_prompt_is_kept_and_the_rest_generated():
    model = build(Ours, {"can_mask_prev_unmasked": True})
    prompt = torch.tensor([3, MASK, 4])  # a prompt may hold the mask id
    one = model.generate(prompt=prompt)
    assert one.shape == (LENGTH,)
    assert torch.equal(one[:3], prompt)
    assert not (one[3:] == MASK).any()
    many = model.generate(batch_size=5, prompt=prompt)
    assert many.shape == (5, LENGTH)
    assert (many[:, :3] == prompt).all()
    each = model.generate(prompt=torch.tensor([[1, 2], [3, 4]]))
    assert each[:, :2].tolist() == [[1, 2], [3, 4]]


def test_infill_writes_where_editable_only():
    model, x = build(Ours, {}), data()
    editable = torch.zeros_like(x, dtype=torch.bool)
    editable[:, ::2] = True
    out = model.generate(prompt=x, editable=editable, seed=1)
    assert torch.equal(out[~editable], x[~editable])
    assert not torch.equal(out[editable], x[editable])


@pytest.mark.parametrize("critic_name", CRITICS)
def test_padding_changes_nothing(critic_name):
    model = build(Ours, {"self_cond": True}, critic_name)
    short = torch.arange(LENGTH) < 10
    free = torch.ones(1, 10, dtype=torch.bool)
    alone = model.generate(prompt=torch.zeros(1, 10).long(), editable=free, seeds=[4])
    among = model.generate(valid=torch.stack([short, torch.ones_like(short)]), seeds=[4, 5])
    assert torch.equal(alone[0], among[0, :10])
    as_kwarg = model.generate(2, mask=torch.stack([short, torch.ones_like(short)]), seeds=[4, 5])
    assert torch.equal(as_kwarg, among)


def test_seeds_make_rows_their_own():
    model = build(Ours, {}, "self")
    rows = model.generate(3, seeds=[5, 6, 7])
    assert torch.equal(model.generate(2, seeds=[7, 5]), rows[[2, 0]])
    assert torch.equal(model.generate(3, seed=1), model.generate(3, seed=1))


def test_torch_manual_seed_reproduces_a_generation():
    model = build(Ours, {}, "self")
    torch.manual_seed(3)
    first = model.generate(2)
    assert not torch.equal(model.generate(2), first)
    torch.manual_seed(3)
    assert torch.equal(model.generate(2), first)


def test_the_last_step_of_a_stream_is_what_generate_returns():
    model = build(Ours, {"self_cond": True}, "self")
    *_, last = model.stream(3, seed=8)
    assert torch.equal(last.tokens, model.generate(3, seed=8))


def test_a_prompt_in_training_is_shown_and_not_in_the_loss():
    free = torch.zeros(2, LENGTH, dtype=torch.bool)
    free[:, 8:] = True
    net = Scripted(lambda x: torch.zeros(*x.shape, 12), 12, LENGTH)
    model = Ours(net, mask_id=MASK, no_replace_prob=0.0, random_token_prob=0.0)
    for seed in range(5):
        loss = model(data(2), editable=free, seed=seed).loss.detach()
        assert float(loss) == pytest.approx(torch.tensor(11.0).log().item(), rel=1e-6)
    assert all(not (x[:, :8] == MASK).any() and (x[:, 8:] == MASK).any() for x, _ in net.calls)


def test_network_arguments_reach_network_and_critic():
    judge = Recorder(lambda x: x / 10)
    net, calls = encoder(cross_attend=True), []
    model = Ours(net, mask_id=MASK, token_critic=judge)
    net.register_forward_pre_hook(lambda _, x, given: calls.append((x, given)), with_kwargs=True)
    context = torch.randn(4, 3, 16)
    valid = (torch.arange(LENGTH) < 9).expand(4, -1)
    model(data(), context=context, mask=valid)
    model.generate(4, context=context, valid=valid)
    assert len(calls) > 1
    for _, given in [*calls, *judge.calls]:
        assert torch.equal(given["context"], context)
        assert torch.equal(given["mask"], valid)


def test_a_critic_without_cross_attention_is_not_given_the_context():
    model = Ours(encoder(cross_attend=True), mask_id=MASK, token_critic=critic())
    context = torch.randn(4, 3, 16)
    assert model.generate(4, context=context).shape == (4, LENGTH)
    assert torch.isfinite(model(data(), context=context).loss)


def test_a_critic_that_cannot_be_told_of_padding_is_an_error_where_there_is_some():
    class Deaf(nn.Module):
        def forward(self, x):
            return torch.zeros(*x.shape, 1)

    model = Ours(encoder(), mask_id=MASK, token_critic=Deaf(), steps=2)
    assert model.generate(2).shape == (2, LENGTH)
    with pytest.raises(errors.StrategyError, match="no `mask`"):
        model.generate(2, valid=torch.arange(LENGTH) < 9)


# --- bad input ---


def test_options_of_a_critic_need_one():
    model = wrapper()
    with pytest.raises(errors.StrategyError, match=r"noise_level_scale=0\.5 applies to a critic"):
        model.generate(2, noise_level_scale=0.5)
    with pytest.raises(errors.StrategyError, match=r"temperature=1\.0 applies to a critic"):
        model(data(), generator_sample_temperature=1.0)
    judged = wrapper(self_token_critic=True)
    assert judged.generate(2, noise_level_scale=0.5).shape == (2, LENGTH)
    assert judged(data(), generator_sample_temperature=1.0).critic_loss is not None


def wrapper(**options):
    return Ours(encoder(), mask_id=MASK, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ours(nn.Linear(2, 2), mask_id=MASK), "TransformerWrapper"),
        (lambda: Ours(encoder(), mask_id=12), "outside the vocabulary"),
        (lambda: wrapper(steps=0), "steps=0"),
        (lambda: wrapper(schedule="cosin"), "did you mean 'cosine'"),
        (lambda: wrapper(schedule=lambda t: 1 - t / 2), "must end at 0"),
        (lambda: wrapper(no_replace_prob=1.5), "probability in"),
        (lambda: wrapper(self_cond=True, self_cond_train_prob=-1), "self_cond_train_prob"),
        (lambda: wrapper(token_critic=critic(), self_token_critic=True), "pass one of them"),
        (lambda: Ours(encoder(emb_dim=8), mask_id=MASK, self_cond=True), "emb_dim equal"),
        (lambda: wrapper().generate(filter_thres=1.0), "filter_thres=1.0"),
        (lambda: wrapper().generate(start_temperature=-1.0), "temperature=-1.0"),
        (lambda: wrapper(self_token_critic=True).generate(noise_level_scale=-1.0), "noise scale"),
        (
            lambda: wrapper().generate(editable=torch.ones(16) > 0),
            "editable is given without a prompt",
        ),
        (lambda: wrapper().generate(3, prompt=data(4)), "must agree"),
        (lambda: wrapper().generate(prompt=data(1, 17)), "at most 16"),
        (lambda: wrapper().generate(prompt=data().float()), "integer ids"),
        (lambda: wrapper().generate(2, return_embeddings=True), "cannot be passed"),
        (lambda: wrapper(self_cond=True)(data(), sum_embeds=torch.zeros(4, 16, 16)), "cannot be"),
        (lambda: wrapper()(data(), mask=data() > 0, valid=data() > 0), "pass one"),
        (lambda: wrapper()(data(), only_train_critic=True), "needs a critic"),
        (lambda: wrapper(self_token_critic=True)(data(), True, True), "excludes only_train_gen"),
        (lambda: wrapper()(data(4, 17)), "at most 16"),
        (lambda: wrapper()(data() + 5), "outside the vocabulary"),
    ],
)
def test_bad_input_is_a_clear_error(make, words):
    with pytest.raises(errors.InputError, match=words):
        make()


def test_a_misspelt_option_is_an_error():
    with pytest.raises(TypeError):
        wrapper(shedule="linear")
    with pytest.raises(errors.DenoiserError, match="start_temprature"):
        wrapper().generate(start_temprature=0.5)
    with pytest.raises(TypeError, match="only_train_critc"):
        wrapper()(data(), only_train_critc=True)

"""Two training steps on whatever processes there are; rank 0 writes the gradients it stepped with.

Run as a script: gradients.py OUT NETWORK PIECES
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # of a process that runs this file

import torch
from safetensors.torch import save_file
from tests.training.talks import CHECKPOINT, characters, talk
from transformers import TrainerCallback, TrainingArguments

import unmask
from unmask.data import Example
from unmask.data.padding import EndFill
from unmask.data.talks import Talk
from unmask.text import TokenizerEncoding
from unmask.text.talks import Reader
from unmask.training.processes import leave
from unmask.training.trainer import MaskedTrainer

GLOBAL_BATCH, STEPS, VOCAB, MASK, LENGTH = 16, 2, 19, 18, 12


def network(name):
    torch.manual_seed(0)
    if name == "x-transformers":
        from x_transformers import Encoder, TransformerWrapper

        layers = Encoder(dim=16, depth=1, heads=2, attn_flash=False)
        return TransformerWrapper(num_tokens=VOCAB, max_seq_len=LENGTH, attn_layers=layers)
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForMaskedLM(
        BertConfig(
            **sizes,
            vocab_size=VOCAB,
            intermediate_size=16,
            max_position_embeddings=LENGTH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def packed():
    """A decoder in blocks, with documents in shared rows."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(**sizes, vocab_size=VOCAB, intermediate_size=16, head_dim=8)
    torch.manual_seed(0)
    return unmask.Packed(unmask.models.Decoder(LlamaForCausalLM(config), MASK, block=4), 16)


def denoiser_of(name):
    """The denoiser of a name: of talks, a tiny LLaDA."""
    if name.startswith("talks"):
        return unmask.load(CHECKPOINT)
    if name == "packed":
        return packed()
    return unmask.wrap(network(name), mask_id=MASK)


def padding_of(name):
    """Where padding is learnt, all rows have one length."""
    if name == "talks, filled":
        return {"padding": EndFill(126), "length": 120}
    return {}


def examples(count=37, name=""):
    """Rows of different lengths, some with a prompt: batches differ in how many tokens count."""
    if name.startswith("talks"):
        return spoken(count)
    generator = torch.Generator().manual_seed(1)
    rows = []
    for i in range(count):
        length = 2 + i % (LENGTH - 1)
        tokens = torch.randint(0, MASK, (length,), generator=generator)
        rows.append(Example(tokens, torch.arange(length) >= i % 3 % length))
    return rows


def spoken(count):
    """Talks of 2 to 90 characters, of which only the answers, of 1 to 60 ids, are learnt."""
    letters = "abcdefghij klmno"
    said = [
        (letters[i % 9] * (1 + 7 * i % 40), letters[i % 11] * (i * i % 60)) for i in range(count)
    ]
    read = Reader(TokenizerEncoding(characters(), None, surround=False), {}, (127,))
    rows = [read.talk(Talk(talk(*pair), "row"), each=True)[0] for pair in said]
    return [Example(torch.tensor(row.ids), torch.tensor(row.learnt)) for row in rows]


class Recorder(TrainerCallback):
    """The gradients of every step, by name."""

    def __init__(self):
        self.seen = {}

    def on_pre_optimizer_step(self, args, state, control, model, **_):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.seen[f"{state.global_step} {name}"] = parameter.grad.detach().clone()


def gradients(name, pieces, folder, **options):
    """Of STEPS steps of GLOBAL_BATCH examples, in pieces, on this process and its siblings."""
    torch.set_num_threads(1)
    recorder = Recorder()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        gradient_accumulation_steps=pieces,
        max_grad_norm=0.0,
        optim="sgd",  # Adam would turn rounding of a tiny gradient into a step
        learning_rate=1e-1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        log_level="error",
        seed=3,
    )
    arguments.per_device_train_batch_size = GLOBAL_BATCH // (pieces * arguments.world_size)
    options = padding_of(name) | options
    trainer = MaskedTrainer(
        denoiser_of(name), arguments, examples(name=name), callbacks=[recorder], **options
    )
    trainer.train()
    return recorder.seen, arguments


if __name__ == "__main__":
    out, name, pieces = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    seen, arguments = gradients(name, pieces, out.with_suffix(""))
    if arguments.process_index == 0:
        seen["world"] = torch.tensor(arguments.world_size)
        save_file(seen, out)
    leave()

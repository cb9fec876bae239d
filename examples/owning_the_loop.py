"""A loop of your own over `unmask.step`: generate until half is known, look, then go on."""

import torch

import unmask

MASK = 10


def net(tokens):
    """A toy network: every position prefers its left neighbour's id plus one."""
    left = torch.roll(tokens, 1, dims=1)
    return 3.0 * torch.nn.functional.one_hot((left + 1) % MASK, MASK + 1)


denoiser = unmask.wrap(net, mask_id=MASK)
strategy = unmask.presets.maskgit(steps=8)
canvas = unmask.Canvas.blank(batch_size=4, length=16)

state = unmask.init(denoiser, canvas, strategy, seeds=torch.tensor([1, 2, 3, 4]))
while not unmask.done(state):
    state = unmask.step(state, denoiser, strategy).state
    if state.masked.float().mean() < 0.5:
        break

# The state is a value: keep it, copy it, continue it with other sampling or on another worker.
greedy = strategy.but(sampling=unmask.Sampling(temperature=0.0))
finished = {}
for name, rest in {"as it was": strategy, "greedy from here": greedy}.items():
    branch = state
    while not unmask.done(branch):
        branch = unmask.step(branch, denoiser, rest).state
    finished[name] = unmask.finish(branch)

for name, result in finished.items():
    print(f"{name}: {result.tokens[0].tolist()}, {int(result.forwards[0])} forwards")

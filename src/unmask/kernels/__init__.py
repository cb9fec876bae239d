"""Kernels for CUDA, written in Triton, which is imported when one is first launched.

`fused_draw` is `sampling.draw_with_statistics` without logits in memory; `can_fuse` and `can_run`
say when it applies.
"""

from unmask.kernels.fused import can_fuse, can_run, fused_draw, give_up

__all__ = ["can_fuse", "can_run", "fused_draw", "give_up"]

"""What the package keeps of a device between calls."""

from unmask import noise, orders
from unmask.core import arrays, head, random


def forget_devices():
    """Drop tensors that were made on a device that a test had played."""
    tables = (orders.fixed._halton_score, noise._all_but, random._numbers)
    for cached in (*tables, head.illegal_tensor, arrays.arange):
        cached.cache_clear()

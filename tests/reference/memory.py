"""Bytes that are alive, counted on the CPU."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary


class LiveBytes(TorchDispatchMode):
    """Within, `now` is how many bytes are alive of the storages made within, `peak` the most."""

    def __init__(self):
        super().__init__()
        self.now, self.peak = 0, 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for storage in _storages((args, kwargs)):
            self._known[storage] = True
        out = function(*args, **kwargs)
        for storage in _storages(out):
            if storage not in self._known:  # else a view, or written in place
                self._note(storage)
        return out

    def _note(self, storage):
        size = storage.nbytes()
        self._known[storage] = True
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size):
        self.now -= size


def _storages(tree):
    for leaf in tree_leaves(tree):
        if isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu":
            yield leaf.untyped_storage()

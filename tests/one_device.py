"""Follows what is computed on another device where there is none: on "meta", whose tensors have shapes alone."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class HandedOver(Exception):
    """The content of a tensor was asked for by way of the CPU: all before it was computed on the device."""


class OneDevice(TorchDispatchMode):
    """Refuses to compute with tensors on two devices, as a GPU does and "meta" alone would not."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors if tensor.dim()}  # numbers may be anywhere
        assert len(devices) < 2, f"{func} of tensors on {devices}"
        if devices == {"meta"} and kwargs.get("device") == torch.device("cpu"):
            raise HandedOver
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "meta":
            return False  # whether nothing is masked, which models ask
        return func(*args, **kwargs)


def on_meta(model):
    """A context in which a model, which must be on "meta", computes with no tensor that was left on the CPU."""
    assert model.device.type == "meta"
    return OneDevice()

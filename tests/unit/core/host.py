"""Watches a computation on torch's `meta` device for what would cost a GPU's time on the host."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
READS = (aten._local_scalar_dense.default, aten.nonzero.default, aten.is_nonzero.default, aten.equal.default)
"""Operations that wait until a GPU has computed what they read."""
FROM_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)


class HostWatch(TorchDispatchMode):
    """Notes the largest tensor made on the CPU and every wait for the device, which is `meta`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        """Bytes."""
        self.sent = 0
        """Bytes in all, to the device."""
        self.waits: list[str] = []
        self.on_device = 0
        """Operations."""
        self._numbers = _NumbersToDevice(self.waits)

    def __enter__(self) -> "HostWatch":
        super().__enter__()  # type: ignore[no-untyped-call]
        self._numbers.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._numbers.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        ours = [tensor for tensor in inputs if tensor.is_meta]
        theirs = [tensor for tensor in inputs if not tensor.is_meta and tensor.ndim]
        if operation in READS and ours:
            self.waits.append(f"{operation} reads from the device")
        result = operation(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.on_device += any(tensor.is_meta for tensor in made)
        for tensor in made:
            if tensor.device.type == "cpu":
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        if operation in COPIES:
            self._note_copy(operation, args, kwargs or {}, made)
        elif ours and theirs:
            self.waits.append(f"{operation} takes a tensor of the CPU to the device unseen")
        elif ours and any(not tensor.is_meta for tensor in made):
            self.waits.append(f"{operation} brings a tensor to the CPU")
        return result

    def _note_copy(
        self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], made: list[Tensor]
    ) -> None:
        source = args[1] if operation is aten.copy_.default else args[0]
        if source.is_meta and not made[0].is_meta:
            self.waits.append(f"{operation} brings a tensor to the CPU")
        if not source.is_meta and made[0].is_meta:
            self.sent += source.untyped_storage().nbytes()
            at_once = kwargs.get("non_blocking") or (operation is aten.copy_.default and args[2:] == (True,))
            if not at_once:
                self.waits.append(f"{operation} waits until {tuple(source.shape)} has arrived")


class _NumbersToDevice(TorchFunctionMode):
    """Notes tensors made on the device from Python's numbers, which torch hides from a dispatch mode for `meta`."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in (*FROM_NUMBERS, Tensor.new_tensor) and result.is_meta:
            self.waits.append(f"{function.__name__} waits until its numbers have arrived")
        return result

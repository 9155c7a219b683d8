"""What a training takes from the wall, as far as the GPUs say: NVML's counter of energy (extra ``energy``)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

MILLIJOULES = 1000
"""To a joule; the counter has these, since the driver was loaded."""


class GpuEnergy:
    """Adds up what the GPUs of this process have used since it was made.

    Other processes on the same GPU are counted with it: the counter is the board's.

    Args:
        handles: of NVML; empty where there is no GPU that counts.
        nvml: the module ``pynvml``, or one like it.
    """

    def __init__(self, handles: Sequence[Any] = (), nvml: Any = None):
        self._handles, self._nvml = list(handles), nvml
        self._at_first = self._counters()

    @classmethod
    def of_this_machine(cls) -> GpuEnergy:
        """A meter of every GPU that torch may use; of none without an NVIDIA GPU, its driver or ``pynvml``."""
        try:
            import pynvml  # pyright: ignore[reportMissingImports]
        except ImportError:
            return cls()
        with contextlib.suppress(Exception):  # no driver, no GPU, or one too old to count
            pynvml.nvmlInit()
            return cls(list(_visible(pynvml)), pynvml)
        return cls()

    def joules(self) -> float | None:
        """Joules since it was made; None where nobody counts them."""
        if not self._handles:
            return None
        return sum(now - then for now, then in zip(self._counters(), self._at_first, strict=True)) / MILLIJOULES

    def _counters(self) -> list[int]:
        return [self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles]


def _visible(nvml: Any) -> Iterator[Any]:
    """The GPUs that torch has, found by their UUID, since CUDA numbers them otherwise."""
    torch: Any = sys.modules.get("torch")
    if torch is None:  # whoever learns without it learns on the CPU
        return
    for number in range(torch.cuda.device_count()):
        uuid = torch.cuda.get_device_properties(number).uuid
        yield nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")

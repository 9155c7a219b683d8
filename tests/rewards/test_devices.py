"""Which device a model computes on, on machines that have one and on machines that do not."""

import subprocess
import sys

import pytest

from dialogym.rewards.devices import resolve_device

torch = pytest.importorskip("torch")


@pytest.fixture
def machine(monkeypatch):
    """Makes torch find so many GPUs."""

    def has(num_cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("num_cuda", "mps", "expected"), [(2, True, "cuda"), (1, False, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_auto_takes_the_fastest_there_is(machine, num_cuda, mps, expected):
    machine(num_cuda, mps)
    assert resolve_device("auto") == torch.device(expected)


def test_a_device_that_is_named_is_taken(machine):
    machine(num_cuda=2, mps=True)
    assert [str(resolve_device(name)) for name in ("cpu", "mps", "cuda", "cuda:1")] == ["cpu", "mps", "cuda", "cuda:1"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", r"device 'cuda' is not there: torch finds no cuda device here; device='auto' takes one of mps, cpu"),
        ("cuda:1", r"'cuda:1' is not there: torch finds no cuda device here"),
        ("gpu", r"device must be one of auto, cuda, cuda:N, mps, cpu, got 'gpu'"),
        ("cudo", r"got 'cudo'; did you mean 'cuda'\?"),
        ("Auto", r"got 'Auto'; did you mean 'auto'\?"),
        ("cuda:", r"got 'cuda:'"),
        ("cuda:x", r"got 'cuda:x'"),
        ("cuda:-1", r"got 'cuda:-1'"),
        ("cuda:²", r"got 'cuda:²'"),
        ("cpu:0", r"got 'cpu:0'"),
        ("", r"got ''"),
    ],
)
def test_a_device_that_is_not_there_and_one_that_is_none_are_told_apart(machine, device, message):
    machine(mps=True)
    with pytest.raises(ValueError, match=message):
        resolve_device(device)


def test_a_gpu_beyond_the_last_is_not_there(machine):
    machine(num_cuda=2)
    with pytest.raises(ValueError, match=r"'cuda:2' is not there: torch finds 2 CUDA devices, counted from 0"):
        resolve_device("cuda:2")


def test_a_device_is_a_str():
    with pytest.raises(TypeError, match=r"device must be a str such as 'auto', got 0"):
        resolve_device(0)


def test_importing_the_module_imports_no_torch():
    code = "import sys, dialogym.rewards.devices; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Runs jobs side by side, each in a process of its own, with dependencies, progress and a clean Ctrl-C.

Where it is safe, processes are forked from one that has imported what jobs import, and done nothing else: importing
torch and transformers takes seconds, and a comparison has a dozen jobs.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeAlias

from . import ahead

Report: TypeAlias = Callable[[dict[str, Any]], None]
"""What a job calls to say how far it is, with anything that pickles."""

DONE, FAILED, SKIPPED, INTERRUPTED = "done", "failed", "skipped", "interrupted"
GRACE_SECONDS = 60.0
"""How long an interrupted job may take to write its checkpoint."""

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd")
"""Present where there is a GPU of NVIDIA or AMD: an import may wake its driver, which does not outlive a fork."""
ONE_THREAD: Mapping[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Environment variables that libraries read when they are imported, which before a fork is too early for a job."""


@dataclass(frozen=True)
class Job:
    """Something to run.

    Attributes:
        name: unique.
        run: called as ``run(*args, report=...)`` in the job's process; it, its arguments and its result must pickle.
        args: its arguments.
        needs: names of the jobs that must be done before it starts.
        module: imported in the process first, for what it registers; "" for none.
        imports: modules that it will import, which may be imported ahead.
    """

    name: str
    run: Callable[..., Any]
    args: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    module: str = ""
    imports: tuple[str, ...] = ()


@dataclass
class Outcome:
    """How a job ended.

    Attributes:
        status: "done", "failed", "skipped" (one that it needs is not done) or "interrupted".
        result: what it returned, when done.
        error: the traceback, or why it did not run.
    """

    status: str
    result: Any = None
    error: str = ""


@dataclass(frozen=True)
class Watcher:
    """Who is told what happens; every function is called in the parent process."""

    started: Callable[[str], None] = lambda name: None
    reported: Callable[[str, dict[str, Any]], None] = lambda name, row: None
    ended: Callable[[str, Outcome], None] = lambda name, outcome: None


def run_jobs(jobs: Sequence[Job], workers: int | None = None, watcher: Watcher | None = None) -> dict[str, Outcome]:
    """Runs jobs as their needs and the number of workers allow, in the order given; a failing one stops no other.

    Args:
        jobs: what to run.
        workers: processes at a time; None is the number of CPUs.
        watcher: is told of starts, reports and ends.

    Returns:
        The outcome of each job, by name.

    Raises:
        ValueError: for two jobs of one name, an unknown or circular need, or fewer than one worker.
        KeyboardInterrupt: on Ctrl-C, after every running job was interrupted and had time to write its checkpoint.
    """
    _check(jobs)
    workers = _cpus() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    return _Pool(jobs, workers, watcher or Watcher()).run()


def _cpus() -> int:
    """CPUs that this process may use, which in a container can be fewer than there are."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, _quota(available)))


def _quota(available: int, path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """CPUs' worth of time that a container is allowed, rounded up; ``available`` where no limit is written."""
    try:
        allowed, period = Path(path).read_text().split()
        return math.ceil(int(allowed) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return available


def can_fork() -> bool:
    """Whether processes may be forked from one that has imported torch."""
    return sys.platform == "linux" and not any(Path(driver).exists() for driver in GPU_DRIVERS)


def _context(imports: Sequence[str]) -> Any:
    """How processes are started: forked from one that has imported these modules, or anew where that is not safe.

    That one is started with the first of them and goes on as long as this process; later calls import nothing ahead.
    """
    if not can_fork():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ahead.__name__])
    with _environment({**ONE_THREAD, ahead.MODULES: " ".join(imports), "PYTHONSAFEPATH": "1"}):  # not of this folder
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """With these environment variables, for processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _check(jobs: Sequence[Job]) -> None:
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise ValueError(f"job names must differ, got {', '.join(names)}")
    settled: set[str] = set()
    waiting = list(jobs)
    while waiting:
        ready = [job for job in waiting if settled.issuperset(job.needs)]
        if not ready:
            raise ValueError(f"these jobs need unknown jobs or each other: {', '.join(job.name for job in waiting)}")
        settled.update(job.name for job in ready)
        waiting = [job for job in waiting if job.name not in settled]


@dataclass
class _Pool:
    jobs: Sequence[Job]
    workers: int
    watcher: Watcher
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    running: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Outcome]:
        self.context = _context(sorted({module for job in self.jobs for module in job.imports}))
        self.messages = self.context.Queue()
        try:
            while len(self.outcomes) < len(self.jobs):
                self._start_ready()
                self._listen(timeout=0.2)
                self._bury()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        finally:
            self._kill()
            self.messages.close()
        return {job.name: self.outcomes[job.name] for job in self.jobs}

    def _start_ready(self) -> None:
        for job in self.jobs:
            if job.name in self.outcomes or job.name in self.running:
                continue
            states = {need: self.outcomes[need].status for need in job.needs if need in self.outcomes}
            missing = [need for need, status in states.items() if status != DONE]
            if missing:
                self._end(job.name, Outcome(SKIPPED, error=f"needs {', '.join(missing)}, which {states[missing[0]]}"))
            elif len(states) == len(job.needs) and len(self.running) < self.workers:
                self._start(job)

    def _start(self, job: Job) -> None:
        process = self.context.Process(
            target=_work, args=(job, self.messages, dict(os.environ)), name=job.name, daemon=True
        )
        process.start()
        self.running[job.name] = process
        self.watcher.started(job.name)

    def _listen(self, timeout: float) -> None:
        """Handles every message that has come, waiting for the first."""
        with contextlib.suppress(queue.Empty):
            while True:
                name, kind, content = self.messages.get(timeout=timeout)
                timeout = 0.0
                if kind == "report":
                    self.watcher.reported(name, content)
                else:
                    self.running.pop(name).join()
                    self._end(name, content)

    def _bury(self) -> None:
        """Processes that ended without a word: killed, out of memory, or a crash of native code."""
        dead = [name for name, process in self.running.items() if not process.is_alive()]
        if dead:
            self._listen(timeout=0.5)  # its last words may still be under way
        for name in dead:
            if name in self.running:
                code = self.running.pop(name).exitcode
                self._end(name, Outcome(FAILED, error=f"its process died with exit code {code}"))

    def _end(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        self.watcher.ended(name, outcome)

    def _interrupt(self) -> None:
        """Tells every job to stop and waits; a second Ctrl-C waits no longer."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        with contextlib.suppress(KeyboardInterrupt):
            while self.running and time.monotonic() < deadline:
                self._listen(timeout=0.1)
                self._bury()

    def _kill(self) -> None:
        for process in self.running.values():
            process.kill()
            process.join()


# In the job's process


def _work(job: Job, messages: Any, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    _interrupt_once()
    _follow_parent()
    _one_thread()
    try:
        if job.module:
            importlib.import_module(job.module)
        result = job.run(*job.args, report=lambda row: messages.put((job.name, "report", row)))
        pickle.dumps(result)  # the queue would fail in a thread of its own, and say nothing
        outcome = Outcome(DONE, result)
    except KeyboardInterrupt:
        outcome = Outcome(INTERRUPTED, error="interrupted")
    except BaseException:
        outcome = Outcome(FAILED, error=traceback.format_exc())
    messages.put((job.name, "end", outcome))


def _interrupt_once() -> None:
    """Ctrl-C reaches this process from the terminal and from the parent; the second must not cut a checkpoint short."""

    def interrupt(signum: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def _follow_parent() -> None:
    """Interrupts this process when the parent is gone, so that a killed comparison leaves no orphans at work."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one_thread() -> None:
    """One thread for each job: several that each use every core are slower than one after the other."""
    os.environ.update(ONE_THREAD)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)

"""vLLM behind threads: one renders requests, one owns the engine, one watches its process.

Whoever asks never waits in vLLM: its `step` blocks for ever when the engine's core has died, and a
GPU that hangs does the same. `poll` waits in a queue and gives up when nothing moves.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from recaptioner.engines.base import EngineLostError, Reply, Request
from recaptioner.engines.gpus import GpuLease, cuda_is_in_use, lease_gpus, visible_gpus
from recaptioner.engines.orphans import Guard
from recaptioner.engines.vllm_config import VllmConfig, check_vllm
from recaptioner.engines.vllm_core import RequestRefusedError, VllmCore, refusal

_CLOSE_SECONDS = 20.0
_LOOK_SECONDS = 1.0


class Core(Protocol):
    """What `VllmCore` is to its threads."""

    processes: list[BaseProcess]
    """Those that the engine does not survive."""

    def render(self, request: Request) -> Any:
        """Text into tokens and picture into pixels."""

    def add(self, request: Request, rendered: Any) -> None:
        """Hand a request over."""

    def step(self) -> list[Reply]:
        """Compute what is next; what has ended by it."""

    def close(self) -> None:
        """Give back memory and processes."""


class VllmEngine:
    """An `Engine` of vLLM in this process.

    Args:
        config: Checked here once more.
        with_prompt_ids: Let replies carry the tokens of their prompts.

    Raises:
        RecipeError: vLLM is missing, makes nothing of the model, or every GPU is taken.
        EngineLostError: It was not loaded in time.
    """

    def __init__(self, config: VllmConfig, *, with_prompt_ids: bool = False) -> None:
        check_vllm(config)
        with ExitStack() as held:
            if (lease := _lease(config)) is not None:
                held.callback(lease.release)
            if config.has_own_core:
                held.callback(Guard().close)
            self._threads = EngineThreads(
                lambda: VllmCore(config, with_prompt_ids), config.load_seconds, config.step_seconds
            )
            held.callback(self._threads.close)
            self._held = held.pop_all()
        self.capacity = config.capacity
        self.model = config.record_name

    @property
    def llm(self) -> Any:
        """The `vllm.LLM` itself, for whoever has no request in flight."""
        assert isinstance(self._threads.core, VllmCore)
        return self._threads.core.llm

    def submit(self, request: Request) -> None:
        """Take a request up. Returns at once."""
        self._threads.submit(request)

    def poll(self) -> list[Reply]:
        """Wait until at least one request has ended; all that have. Empty: none is in flight."""
        return self._threads.poll()

    def close(self) -> None:
        """End the engine, and let others have its GPUs."""
        self._held.close()


def _lease(config: VllmConfig) -> GpuLease | None:
    names = visible_gpus()
    if not names:
        return None
    count = config.tensor_parallel_size
    if cuda_is_in_use() and not config.has_own_core:
        # Another model of this process has been on a GPU: vLLM gets the first one it sees.
        names = names[:count]
    return lease_gpus(names, count, config.gpu_wait_seconds)


class EngineThreads:
    """A core and its threads; the methods are for one thread, that of the caller.

    Args:
        load: Makes the core, in the thread that owns it.
        load_seconds: Longest time that this may take.
        step_seconds: Longest time in which nothing moves.

    Raises:
        EngineLostError: It was not loaded in time. What `load` raises is raised here.
    """

    def __init__(self, load: Callable[[], Core], load_seconds: float, step_seconds: float) -> None:
        self._load = load
        self._step_seconds = step_seconds
        self._in_flight = 0
        self._lost = ""
        self._moved = time.monotonic()
        # None: there is nothing more to come, or look at `_lost`.
        self._asked: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._rendered: queue.SimpleQueue[tuple[Request, Any] | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self.core: Core | None = None
        self._load_error: BaseException | None = None
        self._is_loaded = threading.Event()
        self._closing = False
        self._owner = threading.Thread(target=self._own, name="vllm-engine", daemon=True)
        self._owner.start()
        if not self._is_loaded.wait(load_seconds):
            raise EngineLostError(f"vLLM has not loaded its model within {load_seconds:g} s")
        if self._load_error is not None:
            raise self._load_error

    # --- the caller's thread

    def submit(self, request: Request) -> None:
        """Take a request up. Returns at once."""
        if self._lost:
            raise EngineLostError(self._lost)
        self._moved = time.monotonic()
        self._in_flight += 1
        self._asked.put(request)

    def poll(self) -> list[Reply]:
        """Wait until at least one request has ended; all that have. Empty: none is in flight."""
        replies: list[Reply] = []
        while self._in_flight and not replies:
            woken = self._take(0.0 if self._lost else _LOOK_SECONDS)
            replies = [reply for reply in woken if reply is not None]
            if not replies and time.monotonic() - self._moved > self._step_seconds:
                self._lost = self._lost or f"vLLM moves no request for {self._step_seconds:g} s"
            if self._lost:
                break
        # What had ended before the engine was lost is an answer all the same.
        if self._lost and not replies:
            raise EngineLostError(self._lost)
        self._in_flight -= len(replies)
        return replies

    def _take(self, seconds: float) -> list[Reply | None]:
        """All that is in the queue, once there is something; empty after that time."""
        taken: list[Reply | None] = []
        try:
            taken.append(self._replies.get(timeout=seconds))
            while True:
                taken.append(self._replies.get_nowait())
        except queue.Empty:
            return taken

    def close(self) -> None:
        """End the core, and its processes whether they hang or not."""
        self._closing = True
        self._lost = self._lost or "the engine is closed"
        self._asked.put(None)
        self._rendered.put(None)
        self._owner.join(_CLOSE_SECONDS)
        if self.core is not None:
            for process in self.core.processes:
                # It has ended by now, unless it hangs.
                process.kill()

    # --- threads of the engine

    def _own(self) -> None:
        try:
            core = self.core = self._load()
        except BaseException as error:
            self._load_error = error
            return
        finally:
            self._is_loaded.set()
        threading.Thread(target=self._render, args=[core], name="vllm-render", daemon=True).start()
        if core.processes:
            threading.Thread(
                target=self._watch, args=[core.processes], name="vllm-watch", daemon=True
            ).start()
        try:
            self._feed(core)
        except Exception as error:
            self._lose(f"vLLM has failed: {refusal(error)}")
        finally:
            self._asked.put(None)
            core.close()

    def _render(self, core: Core) -> None:
        while (request := self._asked.get()) is not None:
            try:
                rendered = core.render(request)
            except RequestRefusedError as error:
                self._replies.put(Reply(request.key, error=str(error)))
            else:
                self._rendered.put((request, rendered))
            self._moved = time.monotonic()

    def _feed(self, core: Core) -> None:
        running = 0
        while not self._closing:
            while not self._closing:
                try:
                    item = self._rendered.get(block=running == 0)
                except queue.Empty:
                    break
                if item is None:
                    return
                try:
                    core.add(*item)
                    running += 1
                except RequestRefusedError as error:
                    self._replies.put(Reply(item[0].key, error=str(error)))
            ended = core.step()
            running -= len(ended)
            self._moved = time.monotonic()
            for reply in ended:
                self._replies.put(reply)

    def _watch(self, processes: list[BaseProcess]) -> None:
        dead = wait([process.sentinel for process in processes])
        codes = []
        for process in processes:
            if process.sentinel in dead:
                # The sentinel may tell of it before the exit code is there.
                process.join(_CLOSE_SECONDS)
                codes.append(str(process.exitcode))
        self._lose(f"vLLM's EngineCore has died: exit code {', '.join(codes)}")

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._replies.put(None)

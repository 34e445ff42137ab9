"""Joins the items of many requests to one model in shared batches, in fair turns.

A request is one call that has a function applied to a list of items. Requests with equal functions
may share a batch, so that many short sounds cost about as much as one long sound.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from yivideo_pipeline.speech.runtime import DeviceConfig, ModelRuntime

Model = TypeVar("Model")
Item = TypeVar("Item")

HEARTBEAT_S = 1.0
"""How often `on_done` is called for a request that still waits."""

_sizes: Counter[int] = Counter()
_sizes_lock = threading.Lock()
_background: ContextVar[bool] = ContextVar("background", default=False)
_one_by_one: ContextVar[bool] = ContextVar("one_by_one", default=False)


class BatchFunction(Protocol):
    """Processes a group of items with the model; requests whose functions are equal share groups."""

    def __call__(self, model: Any, items: list[Any], /) -> list[Any]:
        """Return one result an item, in order."""
        ...


OnDone = Callable[[Sequence[Any], Sequence[Any]], None]
"""Receives finished items and their results; no items while the request waits."""


def batch_sizes() -> dict[int, int]:
    """Return how many batches of each size this process has run."""
    with _sizes_lock:
        return dict(_sizes)


@contextmanager
def in_background() -> Generator[None]:
    """Give the requests of this thread a lower priority than all others."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def is_in_background() -> bool:
    """Return whether the requests of this thread have a lower priority than others."""
    return _background.get()


@contextmanager
def one_by_one() -> Generator[None]:
    """Put no two items of a request of this thread into one batch: each is done as early as it can be."""
    token = _one_by_one.set(True)
    try:
        yield
    finally:
        _one_by_one.reset(token)


@dataclass(eq=False)
class _Request:
    function: BatchFunction
    items: Sequence[Any]
    background: bool
    one_by_one: bool = False
    pending: deque[int] = field(init=False)
    running: int = 0
    outbox: SimpleQueue[dict[int, Any] | BaseException] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.pending = deque(range(len(self.items)))


_Entry = tuple[_Request, int]


class Batcher(Generic[Model]):
    """Processes all requests in worker threads, which end when nothing is pending.

    Args:
        runtime: The model.
        adapt: Returns the configuration with the batch size to use at present.
    """

    def __init__(
        self,
        runtime: ModelRuntime[DeviceConfig, Model],
        adapt: Callable[[DeviceConfig], DeviceConfig] = lambda config: config,
    ) -> None:
        self._runtime = runtime
        self._adapt = adapt
        self._changed = threading.Condition()
        self._queue: deque[_Request] = deque()
        self._workers = 0

    def map(self, items: Sequence[Item], function: BatchFunction, on_done: OnDone | None = None) -> list[Any]:
        """Process all items; returns one result an item, in order.

        Args:
            items: The items to process.
            function: Processes a group of items, given the model.
            on_done: Receives finished items, in this thread. An exception that it raises ends the request.

        Raises:
            YivideoError: what `function` raised, classified.
        """
        request = _Request(function, items, _background.get(), _one_by_one.get())
        with self._changed:
            self._queue.append(request)
            self._start_workers()
        results: dict[int, Any] = {}
        try:
            while len(results) < len(items):
                try:
                    finished = request.outbox.get(timeout=HEARTBEAT_S)
                except Empty:
                    finished = {}
                if isinstance(finished, BaseException):
                    raise finished
                results.update(finished)
                if on_done:
                    on_done([items[index] for index in finished], list(finished.values()))
            return [results[index] for index in range(len(items))]
        finally:
            self._withdraw(request)

    def _withdraw(self, request: _Request) -> None:
        """Remove a request once none of its items is running: its sound may be deleted afterwards."""
        with self._changed:
            request.pending.clear()
            self._changed.wait_for(lambda: not request.running)
            self._queue.remove(request)

    def _start_workers(self) -> None:
        """Start as many threads as the model can use; the caller holds the lock."""
        config = self._adapt(self._runtime.config)
        # On a GPU a second thread prepares the next group's sound while the first one computes.
        most = config.workers + (config.device == "cuda")
        for _ in range(min(most, sum(len(request.pending) for request in self._queue)) - self._workers):
            self._workers += 1
            threading.Thread(target=self._serve, name="speech", daemon=True).start()

    def _serve(self) -> None:
        """Process groups until nothing is pending."""
        while group := self._next_group():
            try:
                self._deliver(group, self._process(group))
            except BaseException as error:  # noqa: BLE001 - raised in the request's own thread
                self._isolate_failure(group, error)
            with self._changed:
                for request, _ in group:
                    request.running -= 1
                self._changed.notify_all()

    def _next_group(self) -> list[_Entry]:
        """Take the next group: one item of each request in turn that has an equal function.

        Returns an empty group, and counts this worker out, when nothing is pending.
        """
        with self._changed:
            config = self._adapt(self._runtime.config)
            ready = [request for request in self._queue if request.pending]
            if not ready:
                self._workers -= 1
                return []
            ready.sort(key=lambda request: request.background)  # stable: keeps the turns among equals
            sharing = [request for request in ready if request.function == ready[0].function]
            pending = sum(len(request.pending) for request in sharing)
            # The last few items are spread over the workers, so that none takes them all and others idle.
            size = min(config.group_size, -(-pending // config.workers))
            group: list[_Entry] = []
            while sharing and len(group) < size:
                for request in sharing[: size - len(group)]:
                    group.append((request, request.pending.popleft()))
                    request.running += 1
                sharing = [one for one in sharing if one.pending and not one.one_by_one]
            # Requests are served in turn: those served now go to the end of the queue.
            for request in _requests_of(group):
                self._queue.remove(request)
                self._queue.append(request)
            return group

    def _process(self, group: list[_Entry]) -> dict[_Entry, Any]:
        """Run a group through the model; after a fallback only what is left runs again, in smaller parts."""
        results: dict[_Entry, Any] = {}
        function = group[0][0].function
        while rest := [entry for entry in group if entry not in results]:
            model, config = self._runtime.current()
            size = self._adapt(config).group_size
            try:
                for part in (rest[at : at + size] for at in range(0, len(rest), size)):
                    items = [request.items[index] for request, index in part]
                    results.update(zip(part, function(model, items), strict=True))
                    with _sizes_lock:
                        _sizes[len(items)] += 1
            except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                del model
                self._runtime.fall_back(config, error)
        return results

    def _deliver(self, group: list[_Entry], results: dict[_Entry, Any]) -> None:
        for request in _requests_of(group):
            request.outbox.put({index: results[owner, index] for owner, index in group if owner is request})

    def _isolate_failure(self, group: list[_Entry], error: BaseException) -> None:
        """Fail a group's only request, or process its requests one by one so that only one fails."""
        owners = _requests_of(group)
        if len(owners) == 1:
            self._fail(owners[0], error)
            return
        for owner in owners:
            own = [entry for entry in group if entry[0] is owner]
            try:
                self._deliver(own, self._process(own))
            except BaseException as own_error:  # noqa: BLE001 - raised in the request's own thread
                self._fail(owner, own_error)

    def _fail(self, request: _Request, error: BaseException) -> None:
        with self._changed:
            request.pending.clear()
        request.outbox.put(error)


def _requests_of(group: list[_Entry]) -> list[_Request]:
    """Return the requests of a group, each once, in order."""
    return list(dict.fromkeys(request for request, _ in group))

"""Many requests, one model: their items are joined in common batches, in fair turns.

A request is one call that has work done on a list of items. What two requests want done alike (equal
`work`) may share a batch, so that many short sounds cost about what one long one does.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from yivideo_pipeline.speech.runtime import HeldModel, Placement

Model = TypeVar("Model")
Item = TypeVar("Item")

PATIENCE_S = 1.0
"""A request that waits for results is told so often that it still waits."""

_sizes: Counter[int] = Counter()
_counting = threading.Lock()
_background: ContextVar[bool] = ContextVar("background", default=False)


class Work(Protocol):
    """What is done with a group of items; works that are equal can be done in one group."""

    def __call__(self, model: Any, items: list[Any], /) -> list[Any]:
        """Return one result an item, in order."""
        ...


OnDone = Callable[[Sequence[Any], Sequence[Any]], None]
"""Told the items that are done and their results; of no items, that the request still waits."""


def batch_sizes() -> dict[int, int]:
    """Return how many batches of each size this process has worked on."""
    with _counting:
        return dict(_sizes)


@contextmanager
def in_background() -> Generator[None]:
    """Let the requests of this thread go behind all others."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


@dataclass(eq=False)
class _Request:
    work: Work
    items: Sequence[Any]
    background: bool
    waiting: deque[int] = field(init=False)
    in_hand: int = 0
    outbox: SimpleQueue[dict[int, Any] | BaseException] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.items)))


_Entry = tuple[_Request, int]


class Batcher(Generic[Model]):
    """Does the work of all requests in threads that end when there is none.

    Args:
        held: The model.
        adapt: Called with the model's place; says how large a batch may be now.
    """

    def __init__(
        self, held: HeldModel[Placement, Model], adapt: Callable[[Placement], Placement] = lambda place: place
    ) -> None:
        self._held = held
        self._adapt = adapt
        self._changed = threading.Condition()
        self._line: deque[_Request] = deque()
        self._workers = 0

    def map(self, items: Sequence[Item], work: Work, on_done: OnDone | None = None) -> list[Any]:
        """Do work on all items; returns one result an item, in order.

        Args:
            items: What to work on.
            work: Does it, given the model and a group of items.
            on_done: Told of finished items, in this thread. What it raises ends the request.

        Raises:
            YivideoError: what `work` raised, classified.
        """
        request = _Request(work, items, _background.get())
        with self._changed:
            self._line.append(request)
            self._hire()
        try:
            return self._collect(request, on_done)
        finally:
            self._withdraw(request)

    def _collect(self, request: _Request, on_done: OnDone | None) -> list[Any]:
        results: dict[int, Any] = {}
        while len(results) < len(request.items):
            try:
                told = request.outbox.get(timeout=PATIENCE_S)
            except Empty:
                told = {}
            if isinstance(told, BaseException):
                raise told
            results.update(told)
            if on_done:
                on_done([request.items[index] for index in told], list(told.values()))
        return [results[index] for index in range(len(request.items))]

    def _withdraw(self, request: _Request) -> None:
        """Take a request out of the line, once nothing of it is in work: its sound may be gone after."""
        with self._changed:
            request.waiting.clear()
            self._changed.wait_for(lambda: not request.in_hand)
            self._line.remove(request)

    def _hire(self) -> None:
        """Start threads up to what the model takes; only with the lock."""
        place = self._adapt(self._held.place)
        # On a GPU a second thread prepares the next group's sound while the first one computes.
        most = place.workers + (place.device == "cuda")
        for _ in range(min(most, sum(len(request.waiting) for request in self._line)) - self._workers):
            self._workers += 1
            threading.Thread(target=self._serve, name="speech", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                group = self._take(self._adapt(self._held.place))
                if not group:
                    self._workers -= 1
                    return
            self._do(group)
            with self._changed:
                for request, _ in group:
                    request.in_hand -= 1
                self._changed.notify_all()

    def _take(self, place: Placement) -> list[_Entry]:
        """The next group: an item of each request in turn that wants the same work; only with the lock."""
        ready = [request for request in self._line if request.waiting]
        ready.sort(key=lambda request: request.background)  # keeps the turns among equals
        sharing = [request for request in ready if request.work == ready[0].work]
        waiting = sum(len(request.waiting) for request in sharing)
        # The last few are shared out: one worker would be at all of them while the others have nothing.
        size = min(place.group_size, -(-waiting // place.workers))
        group: list[_Entry] = []
        while sharing and len(group) < size:
            for request in sharing[: size - len(group)]:
                group.append((request, request.waiting.popleft()))
                request.in_hand += 1
            sharing = [request for request in sharing if request.waiting]
        # Who was served goes to the end of the line.
        for request in dict.fromkeys(request for request, _ in group):
            self._line.remove(request)
            self._line.append(request)
        return group

    def _do(self, group: list[_Entry]) -> None:
        """Work on a group and hand out the results; what one request's item breaks harms no other's."""
        try:
            results = self._work(group)
        except BaseException as error:  # noqa: BLE001 - it is raised in the request's own thread
            owners = dict.fromkeys(request for request, _ in group)
            if len(owners) == 1:
                self._fail(group[0][0], error)
                return
            for owner in owners:
                self._do([entry for entry in group if entry[0] is owner])
            return
        for request in dict.fromkeys(request for request, _ in group):
            request.outbox.put({index: results[owner, index] for owner, index in group if owner is request})

    def _work(self, group: list[_Entry]) -> dict[_Entry, Any]:
        results: dict[_Entry, Any] = {}
        work: Any = group[0][0].work

        def do_rest(model: Model, place: Placement) -> None:
            size = self._adapt(place).group_size
            rest = [entry for entry in group if entry not in results]
            for at in range(0, len(rest), size):
                part = rest[at : at + size]
                items = [request.items[index] for request, index in part]
                results.update(zip(part, work(model, items), strict=True))
                with _counting:
                    _sizes[len(items)] += 1

        self._held.run(do_rest)
        return results

    def _fail(self, request: _Request, error: BaseException) -> None:
        with self._changed:
            request.waiting.clear()
        request.outbox.put(error)

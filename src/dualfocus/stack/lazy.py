"""Decoding in a thread what will be asked for soon."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray


class NotAhead(BaseException):
    """Raised in the thread by what only the caller's thread may do; no `except Exception` of a decoder catches it."""


_here = threading.local()


def decoding_ahead() -> bool:
    """Whether this is a thread that decodes ahead, beside whatever the caller does meanwhile."""
    return getattr(_here, "ahead", False)


class LazyPlanes(ABC):
    """A sequence of planes, each made when it is asked for or, if told so, in a thread before.

    Never two at a time, as readers share files; whoever asks may be in any thread.
    """

    def __init__(self) -> None:
        self._ahead: _Ahead | None = None
        self._alone, self._process = threading.Lock(), os.getpid()

    @abstractmethod
    def make(self, n: int) -> NDArray[Any]:
        """Plane n."""

    def __getitem__(self, n: int) -> NDArray[Any]:
        """Plane n, made now unless it was begun; with whatever error its making raised."""
        self._after_fork()
        ahead = self._ahead
        return self.make_alone(n) if ahead is None else ahead.get(n)

    def make_alone(self, n: int) -> NDArray[Any]:
        """Plane n, after whatever another thread is making."""
        with self._alone:
            return self.make(n)

    def decode_ahead(self, n: int) -> None:
        """Begin to make plane n in a thread; it stays in memory until it is asked for."""
        self._after_fork()
        ahead = self._ahead or _Ahead(self)
        self._ahead = ahead
        ahead.begin(n)

    def forget(self) -> None:
        """Drop what was begun and end the thread; for whoever has read enough, or has failed."""
        self._after_fork()
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.end()

    def _after_fork(self) -> None:
        """Begin anew in a child process: threads, and locks that they hold, stayed with the parent."""
        if self._process != os.getpid():
            LazyPlanes.__init__(self)

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, to which threads and locks cannot go."""
        own = {"_ahead", "_alone", "_process"}
        return {key: value for key, value in self.__dict__.items() if key not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the state, with nothing begun."""
        self.__dict__.update(state)
        LazyPlanes.__init__(self)


class _Ahead:
    """The planes of a sequence that were begun."""

    def __init__(self, planes: LazyPlanes) -> None:
        self._planes, self._thread = planes, ThreadPoolExecutor(1)
        self._begun: dict[int, Future[NDArray[Any]]] = {}
        self._refused = False  # a plane turned out to be one that the caller's thread must make: so are the others

    def begin(self, n: int) -> None:
        if n not in self._begun and not self._refused:
            with suppress(RuntimeError):  # `end` was called, by a caller in another thread
                self._begun[n] = self._thread.submit(self._make_ahead, n)

    def get(self, n: int) -> NDArray[Any]:
        begun = self._begun.pop(n, None)
        if begun is not None:
            try:
                return begun.result()
            except NotAhead:
                self._refused = True
            except CancelledError:  # `end` was called before the thread came to it
                pass
        return self._planes.make_alone(n)

    def end(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _make_ahead(self, n: int) -> NDArray[Any]:
        _here.ahead = True
        if self._refused:
            raise NotAhead
        return self._planes.make_alone(n)

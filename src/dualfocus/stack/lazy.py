"""Decoding in a thread what will be asked for soon."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
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

    Never two at a time, as readers share files.
    """

    _ahead: _Ahead | None = None

    @abstractmethod
    def make(self, n: int) -> NDArray[Any]:
        """Plane n."""

    def __getitem__(self, n: int) -> NDArray[Any]:
        """Plane n, made now unless it was begun; with whatever error its making raised."""
        if self._ahead is not None and self._ahead.process != os.getpid():
            self._ahead = None  # a fork: the thread stayed with the parent
        return self.make(n) if self._ahead is None else self._ahead.get(n)

    def decode_ahead(self, n: int) -> None:
        """Begin to make plane n in a thread; it stays in memory until it is asked for."""
        if self._ahead is None or self._ahead.process != os.getpid():
            self._ahead = _Ahead(self)
        self._ahead.begin(n)

    def forget(self) -> None:
        """Drop what was begun and end the thread; for whoever has read enough, or has failed."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.process == os.getpid():
            ahead.end()

    def __getstate__(self) -> dict[str, Any]:
        """For another process, to which threads and locks cannot go."""
        return {**self.__dict__, "_ahead": None}


class _Ahead:
    """The planes of a sequence that were begun."""

    def __init__(self, planes: LazyPlanes) -> None:
        self._planes, self._alone, self._thread = planes, threading.Lock(), ThreadPoolExecutor(1)
        self.process = os.getpid()
        self._begun: dict[int, Future[NDArray[Any]]] = {}
        self._refused = False  # by a plane that the caller's thread must make, and so by the others of its kind

    def begin(self, n: int) -> None:
        if n not in self._begun and not self._refused:
            self._begun[n] = self._thread.submit(self._make_ahead, n)

    def get(self, n: int) -> NDArray[Any]:
        begun = self._begun.pop(n, None)
        if begun is not None:
            try:
                return begun.result()
            except NotAhead:
                self._refused = True
        return self._make(n)

    def end(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _make_ahead(self, n: int) -> NDArray[Any]:
        _here.ahead = True
        if self._refused:
            raise NotAhead
        return self._make(n)

    def _make(self, n: int) -> NDArray[Any]:
        with self._alone:
            return self._planes.make(n)

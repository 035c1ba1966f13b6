"""Decoding in a thread what will be asked for soon."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from numpy.typing import NDArray


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
        return self.make(n) if self._ahead is None else self._ahead.get(n)

    def decode_ahead(self, n: int) -> None:
        """Begin to make plane n in a thread; it stays in memory until it is asked for."""
        if self._ahead is None:
            self._ahead = _Ahead(self)
        self._ahead.begin(n)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, to which threads and locks cannot go."""
        return {**self.__dict__, "_ahead": None}


class _Ahead:
    """The planes of a sequence that were begun."""

    def __init__(self, planes: LazyPlanes) -> None:
        self._planes, self._alone, self._thread = planes, Lock(), ThreadPoolExecutor(1)
        self._begun: dict[int, Future[NDArray[Any]]] = {}

    def begin(self, n: int) -> None:
        if n not in self._begun:
            self._begun[n] = self._thread.submit(self._make, n)

    def get(self, n: int) -> NDArray[Any]:
        begun = self._begun.pop(n, None)
        return self._make(n) if begun is None else begun.result()

    def _make(self, n: int) -> NDArray[Any]:
        with self._alone:
            return self._planes.make(n)

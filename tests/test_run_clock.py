"""The times of a run: what is counted, and that a resumed run goes on counting."""

import pytest

from dualfocus.training import run_clock
from dualfocus.training.run_clock import RunClock


class Time:
    """Seconds that pass when told so; a processor is busy half of them."""

    now = 100.0

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.now / 2


@pytest.fixture
def seconds(monkeypatch):
    fake = Time()
    monkeypatch.setattr(run_clock, "time", fake)
    return fake


def test_waiting_is_counted_apart_from_the_steps(seconds):
    def load():
        for batch in range(3):
            seconds.now += 2
            yield batch
        seconds.now += 50  # nothing came of this wait

    clock = RunClock()
    seconds.now += 7  # the run has not started
    clock.start()
    ticked = []
    for _ in clock.waiting(load()):
        ticked.append(clock.elapsed)
        seconds.now += 10  # a step
    assert ticked == [2, 14, 26] and clock.waited == 6
    clock.tick()
    assert clock.state() == {"elapsed": 86, "processor": 43, "waited": 6}


def test_a_resumed_run_goes_on_counting(seconds):
    clock = RunClock()
    clock.restore({"elapsed": 30.0, "processor": 4.0, "waited": 3.0})
    seconds.now += 8
    clock.start()
    seconds.now += 2
    assert clock.state() == {"elapsed": 30, "processor": 4, "waited": 3}  # until it ticks
    clock.tick()
    assert clock.state() == {"elapsed": 32, "processor": 5, "waited": 3}


def test_what_is_due_is_due_once(seconds):
    clock = RunClock()
    asked = []
    for _ in range(5):
        seconds.now += 4
        asked.append(clock.due(7))
    assert asked == [False, True, False, True, False]

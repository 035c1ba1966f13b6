"""Reading planes of files ahead and keeping them: the same planes, each decoded no more often than memory asks for."""

import os
import pickle
import signal
import threading
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from dualfocus import load_model
from dualfocus.alignment import align
from dualfocus.inference import plane_reader
from dualfocus.inference.plane_reader import PlaneReader, decode_first
from dualfocus.pipeline import Settings, predict_to_folder
from dualfocus.readers import Reading, load_stack
from dualfocus.readers.frames import LazyFrames, naming
from dualfocus.stack import FocalStack
from dualfocus.stack.lazy import LazyPlanes

RNG = np.random.default_rng(8)
IMAGES = RNG.integers(0, 255, (4, 6, 8, 3), dtype=np.uint8)
DISTANCES = [2.0, 0.5, 1.0, 4.0]  # near to far: planes 1, 2, 0 and 3


@pytest.fixture
def stack(tmp_path):
    for n, image in enumerate(IMAGES):
        cv2.imwrite(str(tmp_path / f"{n}.png"), image[..., ::-1])
    return load_stack(tmp_path, focus=DISTANCES)


@pytest.fixture
def decoded(stack, monkeypatch):
    """Indices of the planes that were decoded, with whether the main thread did."""
    found, original = [], LazyFrames.make

    def counting(self, n):
        found.append((n, threading.current_thread() is threading.main_thread()))
        return original(self, n)

    monkeypatch.setattr(LazyFrames, "make", counting)
    return found


def read_all(stack, times):
    said = []
    planes = PlaneReader(stack, times, lambda *what: said.append(what))
    for turn in range(times):
        for n, k in enumerate((1, 2, 0, 3)):
            assert np.array_equal(planes.read(n, f"turn {turn}"), IMAGES[k])
    assert said == [(4 * turn + n + 1, 4 * times, f"turn {turn}") for turn in range(times) for n in range(4)]


def test_files_are_decoded_once_in_a_thread(stack, decoded):
    read_all(stack, 3)
    assert decoded == [(1, True), (2, False), (0, False), (3, False)]  # the first one is asked for by the caller


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_no_more_is_kept_than_fits(stack, decoded, kept, monkeypatch):
    monkeypatch.setattr(plane_reader, "KEPT_BYTES", kept * IMAGES[0].nbytes)
    read_all(stack, 2)
    order = [1, 2, 0, 3]
    assert [n for n, _ in decoded] == order + order[kept:]
    assert [main for _, main in decoded] == [True] + [False] * (len(decoded) - 1)


def test_what_was_read_for_the_last_time_is_forgotten(stack):
    planes = PlaneReader(stack, 2, None)
    for turn in range(2):
        for n in range(4):
            planes.read(n, "")
            assert len(planes._kept) == (n + 1 if turn == 0 else 3 - n)


class Asked:
    """A sequence of somebody else's, which wants to be asked in one thread."""

    shape, dtype = IMAGES.shape[1:3], IMAGES.dtype

    def __init__(self):
        self.times = 0

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, n):
        assert threading.current_thread() is threading.main_thread()
        self.times += 1
        return IMAGES[n]


def test_other_sequences_are_asked_in_the_thread_of_the_caller():
    planes = Asked()
    stack = FocalStack(planes, DISTANCES)
    before = planes.times
    stack.decode_ahead(2)
    read_all(stack, 2)
    assert planes.times - before == 8


def test_an_error_ahead_is_raised_when_its_plane_is_read(stack, tmp_path):
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    planes = PlaneReader(stack, 2, None)
    planes.read(0, "")
    with pytest.raises(ValueError, match=r"2\.png"):
        planes.read(1, "")


def test_planes_begun_early_are_decoded_once(stack, decoded):
    for n in (1, 2, 1):
        stack.decode_ahead(n)
    read_all(stack, 1)
    assert sorted(decoded) == [(0, False), (1, False), (2, False), (3, False)]


@pytest.mark.parametrize("fit", [0, 2, 9])
def test_as_many_are_begun_as_are_kept(stack, decoded, fit, monkeypatch):
    monkeypatch.setattr(plane_reader, "KEPT_BYTES", fit * IMAGES[0].nbytes)
    decode_first(stack)
    read_all(stack, 1)
    assert decoded[: min(fit, 4)] == [(n, False) for n in (1, 2, 0, 3)][:fit] and len(decoded) == 4


def test_a_stack_goes_to_another_process_whatever_was_begun(stack):
    stack.decode_ahead(2)
    read_all(pickle.loads(pickle.dumps(stack)), 1)


def test_a_stack_that_decodes_ahead_is_aligned_as_one_that_does_not(tmp_path):
    scene = np.zeros((96, 128, 3), np.uint8)
    scene[:] = cv2.resize(RNG.integers(0, 255, (24, 32, 3), dtype=np.uint8), (128, 96))
    for n in range(4):
        moved = cv2.warpAffine(scene, np.float32([[1, 0, 3 * n], [0, 1, 0]]), (128, 96), borderMode=cv2.BORDER_REFLECT)
        cv2.imwrite(str(tmp_path / f"{n}.png"), moved)
    plain, ahead = (align(load_stack(tmp_path), "translation") for _ in range(2))
    for n in (3, 0, 1):
        ahead.decode_ahead(n)
    assert ahead.from_files
    for n in range(4):
        assert np.array_equal(ahead[n], plain[n])


def test_a_thread_that_decodes_ahead_leaves_stderr_alone(tmp_path, decoded):
    for n in range(4):
        cv2.imwrite(str(tmp_path / f"{n}.png"), IMAGES[n].astype(np.uint16) * 257)  # read with stderr silenced
    stack = load_stack(tmp_path, focus=DISTANCES)
    expected = [np.array(stack[n]) for n in range(4)]
    decoded.clear()
    planes = PlaneReader(stack, 2, None)
    for _ in range(2):
        for n, k in enumerate((1, 2, 0, 3)):
            np.testing.assert_array_equal(planes.read(n, ""), expected[k])
    # the thread gave the first back, and was not asked again
    assert [n for n, main in decoded if not main] == [2]
    assert [n for n, main in decoded if main] == [1, 2, 0, 3]


class Warned(LazyPlanes):
    """Planes whose making notes the filters of warnings and warns."""

    def __init__(self):
        super().__init__()
        self.filters = []

    def make(self, n):
        with naming(Path("plane"), "bad"):
            self.filters.append(list(warnings.filters))
            warnings.warn("a remark of a decoder", stacklevel=1)
        return IMAGES[n]


def test_a_thread_that_decodes_ahead_leaves_the_filters_of_warnings_alone():
    planes = Warned()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        planes[0]  # in the caller's thread remarks of decoders are dropped
        planes.decode_ahead(1)
        with pytest.raises(ValueError, match="a remark of a decoder"):
            planes[1]
    assert planes.filters[0] != before and planes.filters[1] == before
    planes.forget()


def test_planes_of_one_picture_are_named(tmp_path):
    for n, k in enumerate((0, 1, 1, 3, 3)):
        cv2.imwrite(str(tmp_path / f"{n}.png"), IMAGES[k])
    model = load_model("classical", device="cpu")
    (said,) = [text for text in model.predict(load_stack(tmp_path, focus="1,2,3,4,5")).warnings if "picture" in text]
    assert said.startswith("2.png and 1 more ")
    for n, image in enumerate((*IMAGES, IMAGES[3] ^ (np.arange(8)[:, None] == 5))):  # one level in one column
        cv2.imwrite(str(tmp_path / f"{n}.png"), image)
    assert not [text for text in model.predict(load_stack(tmp_path, focus="1,2,3,4,5")).warnings if "picture" in text]


def test_what_was_begun_is_dropped_when_a_prediction_ends_or_fails(stack):
    model = load_model("classical", device="cpu")

    def interrupt(done, total, purpose):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict(stack, progress=interrupt)
    assert stack._planes._ahead is None
    model.predict(stack)
    assert stack._planes._ahead is None


def test_threads_may_share_a_stack(stack):
    """Each drops what was begun when it has read enough, whatever the others wait for."""
    failed, making = [], []
    make = LazyFrames.make

    def alone(self, n):
        making.append(n)
        assert len(making) == 1, "two at a time"
        time.sleep(0.001)
        making.pop()
        return make(self, n)

    def work():
        try:
            for _ in range(10):
                read_all(stack, 2)
                stack.forget()
        except BaseException as error:
            failed.append(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LazyFrames, "make", alone)
        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failed and not any(thread.is_alive() for thread in threads)


def test_a_command_whose_model_fails_says_one_line_and_leaves_no_thread(stack, tmp_path):
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="no-such-model"):
        predict_to_folder(tmp_path, tmp_path / "out", Settings("no-such-model", reading=Reading(DISTANCES)))
    assert not [thread for thread in threading.enumerate() if thread not in before]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_thread_of_its_own(stack):
    stack.decode_ahead(0)
    stack[0]
    child = os.fork()
    if child == 0:
        stack.decode_ahead(1)
        os._exit(0 if np.array_equal(stack[1], IMAGES[1]) else 1)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child waits for a thread that stayed with its parent")
    assert os.waitstatus_to_exitcode(status) == 0

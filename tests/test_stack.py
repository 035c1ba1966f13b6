"""FocalStack: what it accepts, what it says of units and order, and the sentence for each bad input."""

import numpy as np
import pytest
from PIL import Image

from dualfocus.stack import Camera, FocalStack


def grey(count=3, height=4, width=6, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 200, (count, height, width)).astype(dtype)


class Lazy:
    """A lazy sequence that counts what it decodes."""

    def __init__(self, planes, shape, dtype):
        self.planes, self.shape, self.dtype, self.decoded = planes, shape, dtype, []

    def __len__(self):
        return len(self.planes)

    def __getitem__(self, n):
        self.decoded.append(n)
        return self.planes[n]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_arrays_become_three_channels(dtype):
    images = grey(dtype=dtype)
    for given in (
        images,
        images[..., None],
        list(images),
        tuple(images[..., None]),
        np.repeat(images[..., None], 3, 3),
    ):
        stack = FocalStack(given)
        assert (len(stack), stack.size, stack.dtype, stack.unit) == (3, (4, 6), dtype, "index")
        assert stack[2].shape == (4, 6, 3)
        np.testing.assert_array_equal(stack[2], np.repeat(images[2][..., None], 3, 2))


def test_floats_become_float32_and_big_endian_native():
    images = grey() / 255
    for dtype in (np.float16, np.float32, np.float64):
        stack = FocalStack(images.astype(dtype))
        assert stack.dtype == stack[0].dtype == np.float32
        np.testing.assert_allclose(stack[1][..., 0], images[1], atol=1e-3)
    swapped = FocalStack(grey(dtype=">u2"))
    assert swapped.dtype == np.uint16 and swapped[0].dtype.isnative
    np.testing.assert_array_equal(swapped[0][..., 0], grey()[0])


def test_rounding_just_outside_the_unit_range_is_clipped():
    images = np.zeros((2, 3, 5), np.float32)
    images[0, 0, 0], images[1, 0, 0] = 1 + 5e-6, -5e-6
    stack = FocalStack(images)
    assert stack[0].max() == 1 and stack[1].min() == 0


def test_input_is_never_changed():
    images, distances = grey(), np.array([3.0, 1.0, 2.0])
    images_before, distances_before = images.copy(), distances.copy()
    stack = FocalStack(images, distances)
    stack[0][:] = 0
    distances[0] = 9
    np.testing.assert_array_equal(images, images_before)
    np.testing.assert_array_equal(stack.focus_distances, distances_before)
    with pytest.raises(ValueError, match="read-only"):
        stack.focus_distances[0] = 1


def test_sequence_protocol():
    stack = FocalStack(grey())
    np.testing.assert_array_equal(stack[-1], stack[2])
    assert len(list(stack)) == 3
    for outside in (3, -4):
        with pytest.raises(IndexError, match="of 3 planes"):
            stack[outside]
    assert "3 planes of 6 x 4" in repr(stack)


def test_lazy_sequence_is_decoded_on_use_only():
    lazy = Lazy(list(grey()), (4, 6), np.uint8)
    stack = FocalStack(lazy, [1, 2, 3])
    assert stack.size == (4, 6) and stack.near_to_far.tolist() == [0, 1, 2] and lazy.decoded == []
    stack[1]
    assert lazy.decoded == [1]


def test_lazy_planes_are_checked_when_decoded():
    wrong_size = FocalStack(Lazy([grey()[0], grey(height=5)[0]], (4, 6), np.uint8), names=["a.png", "b.png"])
    with pytest.raises(ValueError, match="b.png is 6 x 5 pixels but a.png is 6 x 4"):
        wrong_size[1]
    nan = FocalStack(Lazy([np.zeros((4, 6)), np.full((4, 6), np.nan)], (4, 6), np.float32))
    nan[0]
    with pytest.raises(ValueError, match="plane 1 holds NaN"):
        nan[1]


@pytest.mark.parametrize(
    ("distances", "unit", "result_unit", "coordinates", "near_to_far"),
    [
        ([2, 0.5, 1], None, "m", [0.5, 2, 1], [1, 2, 0]),
        ([2, 0.5, 1], "m", "m", [0.5, 2, 1], [1, 2, 0]),
        ([200, 50, 100], "mm", "mm", [0.005, 0.02, 0.01], [1, 2, 0]),
        ([0, 4, 1], "dioptre", "m", [0, 4, 1], [1, 2, 0]),
        ([0, -5, 10], "um", "um", [0, -5, 10], [1, 0, 2]),
        (None, None, "index", [0, 1, 2], [0, 1, 2]),
        (None, "index", "index", [0, 1, 2], [0, 1, 2]),
    ],
)
def test_units(distances, unit, result_unit, coordinates, near_to_far):
    stack = FocalStack(grey(), distances, unit)
    assert stack.unit == (unit or ("m" if distances else "index"))
    assert stack.result_unit == result_unit
    np.testing.assert_allclose(stack.coordinates, coordinates)
    assert stack.near_to_far.tolist() == near_to_far
    if distances:
        assert stack.focus_distances.dtype == np.float64
        depth = stack.depth_from_coordinate(stack.coordinates)
        in_result_unit = [1 / d if d else np.inf for d in distances] if unit == "dioptre" else distances
        np.testing.assert_allclose(depth, in_result_unit)


def test_depth_and_std_of_inverse_depth():
    stack = FocalStack(grey(), [0.5, 1, 2])
    u, sigma = np.array([2.0, 0.5, 0, -0.1], np.float32), np.full(4, 0.01, np.float32)
    depth = stack.depth_from_coordinate(u)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [0.5, 2, np.inf, np.inf])
    np.testing.assert_allclose(stack.depth_std(u, sigma), [0.0025, 0.04, np.inf, np.inf], rtol=1e-6)
    assert stack.depth_std(0.0, 0.0) == np.inf
    by_difference = (stack.depth_from_coordinate(0.7 - 1e-6) - stack.depth_from_coordinate(0.7 + 1e-6)) / 2e-6
    assert stack.depth_std(0.7, 1.0) == pytest.approx(by_difference, rel=1e-6)


def test_depth_and_std_of_linear_units():
    for stack in (FocalStack(grey(), [-1, 0, 1], "um"), FocalStack(grey())):
        u = np.array([-0.5, 1.5])
        np.testing.assert_array_equal(stack.depth_from_coordinate(u), u)
        np.testing.assert_array_equal(stack.depth_std(u, [0.1, 0.2]), [0.1, 0.2])
        assert stack.depth_from_coordinate(u) is not u


def test_camera_names_order_aligned():
    stack = FocalStack(
        grey(), camera={"focal_length_mm": 50, "f_number": 2}, names="abc", order="far_to_near", aligned=True
    )
    assert stack.camera == Camera(None, 50.0, 2.0)
    assert (stack.names, stack.order, stack.aligned) == (["a", "b", "c"], "far_to_near", True)
    assert (stack.warnings, stack.extra) == ([], {})


def test_ground_truth(tmp_path):
    truth = np.arange(24.0).reshape(4, 6)
    np.save(tmp_path / "truth.npy", truth)
    for given in (truth, tmp_path / "truth.npy", str(tmp_path / "truth.npy")):
        stack = FocalStack(grey(), ground_truth=given)
        assert stack.ground_truth.dtype == np.float32
        np.testing.assert_array_equal(stack.ground_truth, truth)
    assert FocalStack(grey()).ground_truth is None
    np.save(tmp_path / "other.npy", truth.T)
    (tmp_path / "text.npy").write_text("no array")
    for name in ("other.npy", "text.npy", "absent.npy"):
        with pytest.raises(ValueError, match=name):
            FocalStack(grey(), ground_truth=tmp_path / name).ground_truth  # noqa: B018


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (grey()[0], "one photograph alone.*a focal stack is at least two photographs"),
        (np.zeros((4, 6, 3), np.uint8), "one photograph alone.*a focal stack is"),
        (grey(1), "one photograph alone.*a focal stack is"),
        ([grey()[0]], "one photograph alone.*a focal stack is"),
        ([], "no photographs.*a focal stack is"),
        (np.zeros((2, 4, 6, 4), np.uint8), r"plane 0 must be .* not of shape \(4, 6, 4\)"),
        (np.zeros((2, 2, 4, 6, 3), np.uint8), r"not of shape \(2, 2, 4, 6, 3\)"),
        (np.zeros((1, 2, 4, 6, 3), np.uint8), r"not of shape \(1, 2, 4, 6, 3\)"),
        ([grey()[0], grey(height=5)[0]], "plane 1 is 6 x 5 pixels but plane 0 is 6 x 4"),
        ([grey()[0], grey(dtype=np.uint16)[0]], "plane 1 is uint16 but plane 0 is uint8"),
        (grey(dtype=np.int64), "type int64: images must be uint8, uint16 or float32"),
        (grey() > 100, "type bool"),
        (grey(dtype=np.float32), r"plane 0 spans .* float images must be in \[0, 1\]"),
        (np.full((2, 3, 5), -0.5), "plane 0 spans -0.5 to -0.5"),
        (np.stack([np.zeros((3, 5)), np.full((3, 5), np.nan)]), "plane 1 holds NaN"),
        (np.stack([np.zeros((3, 5)), np.full((3, 5), np.inf)]), "plane 1 holds NaN or infinite"),
        (np.zeros((2, 0, 5), np.uint8), "plane 0 is empty: 5 x 0"),
        ("photos/", "load_stack"),
        (["a.png", "b.png"], "load_stack"),
        (7, "must be arrays, not int"),
    ],
)
def test_bad_images(images, words):
    with pytest.raises(ValueError, match=words):
        FocalStack(images)


@pytest.mark.parametrize(
    ("distances", "unit", "words"),
    [
        ([1, 2], None, "2 focus distances for 3 images"),
        ([1, 2, 3, 4], None, "4 focus distances for 3 images"),
        ([[1, 2, 3]], None, r"shape \(1, 3\)"),
        (0.5, None, r"shape \(\)"),
        ([1, np.nan, 3], None, "focus distance nan of image 1"),
        ([1, 2, np.inf], "m", "inf of image 2.*0 in unit dioptre"),
        ([1, None, 3], "m", "image 1"),
        ([1, "far", 3], None, "must be numbers"),
        ([1, 10**400, 3], None, "must be numbers"),
        ([1, 2, 1], None, "images 0 and 2 have the same focus distance, 1 m"),
        ([1, 0, 2], None, "0 m of image 1 must be above zero"),
        ([1, -3, 2], "mm", "-3 mm of image 1 must be above zero"),
        ([1, -3, 2], "dioptre", "-3 dioptre of image 1 must not be negative"),
        ([1, 2, 1e-310], "m", "1e-310 m of image 2 is too extreme"),
        ([1, 1e-310, 1e-311], "m", "1e-310 m of image 1 is too extreme"),
        ([1e300, 1, 2], "um", r"1e\+300 um of image 0 is too extreme"),
        ([1, 2, 3], "index", "'index' has no focus distances"),
        ([1, 2, 3], "feet", "unknown unit 'feet': use one of m, mm, um, dioptre, index"),
        (None, "m", "unit 'm' needs focus distances"),
    ],
)
def test_bad_distances(distances, unit, words):
    with pytest.raises(ValueError, match=words) as caught:
        FocalStack(grey(), distances, unit)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ["a"]}, "1 names for 3 images"),
        ({"order": "forwards"}, "order must be one of near_to_far, far_to_near.*'forwards'"),
        ({"aligned": "yes"}, "aligned must be.*'yes'"),
        ({"camera": {"focal": 3}}, "camera must be.*focal_length_mm"),
        ({"camera": {"f_number": -2}}, "camera f_number must be a number above zero, not -2"),
        ({"camera": {"f_number": float("nan")}}, "camera f_number.*nan"),
        ({"camera": {"model": 5}}, "camera model must be text"),
        ({"ground_truth": np.zeros((2, 2))}, r"ground_truth is of shape \(2, 2\)"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        FocalStack(grey(), **options)


def test_what_numpy_cannot_take_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="cannot be read as arrays"):
        FocalStack(torch.zeros(2, 4, 5, requires_grad=True))
    with pytest.raises(ValueError, match="cannot be read as arrays"):
        FocalStack([torch.zeros(4, 5, dtype=torch.bfloat16)] * 2)
    palette = Image.fromarray(grey(1)[0]).convert("P")
    with pytest.raises(ValueError, match=r"convert\('RGB'\)"):
        FocalStack([palette, palette])
    assert len(FocalStack([palette.convert("RGB")] * 2)) == 2

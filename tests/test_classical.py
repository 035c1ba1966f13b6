from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from fit_classical_confidence import read_stack

from dualfocus.models.classical import Classical
from dualfocus.models.classical.focus_measure import gaussian_blur, luma
from dualfocus.models.classical.peak import fit_peak
from dualfocus.models.classical.probability import expected_error, focus_probability
from dualfocus.models.classical.smoothing import edge_aware_smooth

HEIGHT, WIDTH = 72, 96


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Answer(NamedTuple):
    coordinate: torch.Tensor
    std: torch.Tensor
    confidence: torch.Tensor


def solve(images: torch.Tensor, coordinates: torch.Tensor) -> Answer:
    return Answer(*Classical().estimate(images.__getitem__, coordinates))


def slanted_stack(coordinates, blur: float = 8.0, noise: float = 0.003, seed: int = 0):
    """Textured plane slanted from coordinate 0.1 to 0.9, Gaussian CoC of deviation blur * |u - u_n|, and its truth."""
    generator = torch.Generator().manual_seed(seed)
    texture = gaussian_blur(torch.rand(3, HEIGHT, WIDTH, generator=generator), 0.7) * 0.8 + 0.1
    truth = torch.linspace(0.1, 0.9, WIDTH).expand(HEIGHT, WIDTH)
    sigmas = torch.linspace(0, blur, 41)
    levels = torch.stack([texture if s == 0 else gaussian_blur(texture, float(s)) for s in sigmas])
    planes = []
    for u in coordinates:
        position = (blur * (truth - u).abs() / (sigmas[1] - sigmas[0])).clamp(max=39.999)
        lower = position.floor().long()
        share = position - lower
        pick = [levels.gather(0, (lower + k).expand(1, 3, HEIGHT, WIDTH))[0] for k in (0, 1)]
        planes.append(pick[0] * (1 - share) + pick[1] * share)
    images = torch.stack(planes)
    images = images + noise * torch.randn(images.shape, generator=generator)
    return images, torch.as_tensor(coordinates, dtype=torch.float32), truth


@pytest.mark.parametrize(
    "coordinates",
    [np.linspace(0, 1, 9), np.linspace(0, 1, 5), np.array([0, 0.08, 0.2, 0.38, 0.62, 1.0]), np.linspace(0, 1, 25)],
    ids=["nine", "five", "uneven", "many"],
)
def test_slanted_plane_is_measured_below_the_plane_spacing(coordinates):
    images, u, truth = slanted_stack(coordinates)
    output = solve(images, u)
    error = (output.coordinate - truth).abs()
    assert error.mean() < 0.15 * np.diff(coordinates).max()
    assert np.corrcoef(output.coordinate.flatten(), truth.flatten())[0, 1] > 0.98
    assert output.confidence.mean() > 0.8


@pytest.mark.parametrize("planes", [2, 3, 5, 7])
def test_planes_that_are_all_alike_have_no_confidence_and_no_nan(planes):
    image = slanted_stack(np.array([0, 1.0]))[0][:1]
    output = solve(image.expand(planes, *image.shape[1:]), torch.linspace(0, 1, planes))
    assert all(values.isfinite().all() for values in output)
    assert output.confidence.max() < 0.05


def test_output_has_the_moments_of_a_probability():
    images, u, _ = slanted_stack(np.array([0, 0.1, 0.3, 0.7, 1.0]))
    output = solve(images, u)
    assert all(values.shape == (HEIGHT, WIDTH) for values in output)
    error = expected_error(output.confidence, 5)
    p, axis = focus_probability(output.coordinate, error, u), u[:, None, None]
    assert p.shape == (5, HEIGHT, WIDTH) and p.min() >= -1e-6
    torch.testing.assert_close(p.sum(0), torch.ones(HEIGHT, WIDTH))
    torch.testing.assert_close((p * axis).sum(0), output.coordinate, atol=1e-5, rtol=0)
    variance = (p * (axis - output.coordinate).square()).sum(0)
    torch.testing.assert_close(torch.maximum(variance.sqrt(), error), output.std, atol=1e-4, rtol=0)
    ends = (output.coordinate == 0) | (output.coordinate == 1)
    assert ends.any() and (output.std[ends] > 0.01).all()  # however unsure, the probability has one plane there
    assert output.confidence.min() >= 0 and output.confidence.max() <= 1


def test_two_planes_order_the_scene():
    images, u, truth = slanted_stack(np.array([0.0, 1.0]), blur=3.0)
    output = solve(images, u)
    assert np.corrcoef(output.coordinate.flatten(), truth.flatten())[0, 1] > 0.95
    assert (output.coordinate - truth).abs().mean() < 0.15


@pytest.mark.parametrize("planes", [2, 3, 5])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_are_finite_and_not_believed(planes, value):
    output = solve(torch.full((planes, 3, 20, 24), value), torch.linspace(0, 1, planes))
    assert all(item.isfinite().all() for item in output)
    assert output.confidence.max() < 0.1


def test_pure_noise_is_believed_less_than_texture():
    noise = 0.5 + 0.02 * torch.randn(9, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    u = torch.linspace(0, 1, 9)
    textured = solve(*slanted_stack(np.linspace(0, 1, 9))[:2])
    assert solve(noise, u).confidence.mean() < 0.6 * textured.confidence.mean()


def test_textureless_area_takes_the_depth_around_it():
    images, u, truth = slanted_stack(np.linspace(0, 1, 9))
    images[..., 20:50, 40:56] = 0.5 + 0.003 * torch.randn(images[..., 20:50, 40:56].shape)
    hole = (solve(images, u).coordinate - truth).abs()[20:50, 40:56]
    assert hole.mean() < 0.125


def test_intensity_scale_and_offset_do_not_matter():
    images, u, _ = slanted_stack(np.linspace(0, 1, 7))
    expected = solve(images, u)
    changed = solve(0.4 * images + 0.3, u)
    torch.testing.assert_close(changed.coordinate, expected.coordinate, atol=0.01, rtol=0)
    torch.testing.assert_close(changed.confidence, expected.confidence, atol=0.05, rtol=0)


def test_exposure_drift_does_not_matter():
    images, u, truth = slanted_stack(np.linspace(0, 1, 7))
    drift = torch.linspace(0.7, 1.0, 7)[:, None, None, None]
    assert (solve(images * drift, u).coordinate - truth).abs().mean() < 0.03


def test_reversed_planes_give_the_mirrored_answer():
    images, u, _ = slanted_stack(np.array([0, 0.1, 0.3, 0.7, 1.0]))
    forward = solve(images, u).coordinate
    backward = solve(images.flip(0), 1 - u.flip(0)).coordinate
    torch.testing.assert_close(backward, 1 - forward, atol=1e-3, rtol=0)


def test_same_answer_twice_and_input_untouched():
    images, u, _ = slanted_stack(np.linspace(0, 1, 5))
    before = images.clone()
    first, second = solve(images, u), solve(images, u)
    assert torch.equal(images, before)
    assert all(torch.equal(one, again) for one, again in zip(first, second, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (7, 5)])
def test_tiny_images(size):
    images = torch.rand(4, 3, *size, generator=torch.Generator().manual_seed(0))
    output = solve(images, torch.linspace(0, 1, 4))
    assert output.coordinate.shape == size
    assert all(item.isfinite().all() for item in output)


def test_peak_of_a_parabola_is_exact_on_uneven_planes():
    u = torch.tensor([0, 0.1, 0.35, 0.5, 0.9, 1.0])
    truth = torch.linspace(0.02, 0.98, 50)[None]
    score = -(u[:, None, None] - truth).square() * 30
    peak = fit_peak(score - score.mean(0), u)
    torch.testing.assert_close(peak.coordinate, truth, atol=2e-3, rtol=0)
    assert (peak.curvature > 0).all()


def test_focus_probability_has_the_expectation_at_the_ends_too():
    coordinates = torch.tensor([0, 0.2, 0.5, 1.0])
    target = torch.linspace(0, 1, 101)[None]
    for error in (0.02, 0.1, 0.5):
        p = focus_probability(target, torch.full_like(target, error), coordinates)
        torch.testing.assert_close((p * coordinates[:, None, None]).sum(0), target, atol=1e-5, rtol=0)
        torch.testing.assert_close(p.sum(0), torch.ones_like(target))
        assert p.min() >= -1e-6


def test_edge_aware_smoothing_keeps_means_and_stops_at_edges():
    generator = torch.Generator().manual_seed(0)
    guide = torch.zeros(3, 30, 40)
    guide[..., 20:] = 1
    volume = torch.randn(2, 30, 40, generator=generator)
    volume[..., 20:] += 5
    before = volume.clone()
    smooth = edge_aware_smooth(volume, guide, strength=1000, edge=0.05)
    assert torch.equal(volume, before)
    torch.testing.assert_close(smooth.mean((1, 2)), volume.mean((1, 2)), atol=1e-3, rtol=0)
    assert smooth[..., :20].std() < 0.2 and smooth[..., 20:].std() < 0.2
    assert (smooth[..., 20:].mean() - smooth[..., :20].mean()) > 4.8


def test_luma_of_grey_is_grey():
    torch.testing.assert_close(luma(torch.full((2, 3, 4, 4), 0.25)), torch.full((2, 4, 4), 0.25))


@pytest.mark.parametrize("name", ["relief1", "relief2"])
def test_reliefs(shared_data: Path, name: str):
    folder = shared_data / "stacks" / "generated_relief" / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    images, u, truth = read_stack(folder)
    found = solve(images, u).coordinate.numpy()
    valid = np.isfinite(truth)
    assert np.abs(found - truth)[valid].mean() * (len(images) - 1) < 0.12
    assert np.corrcoef(found[valid], truth[valid])[0, 1] >= 0.9995


def test_path_traced_scenes(shared_data: Path):
    folders = sorted((shared_data / "pathtraced").glob("*"))[::6]
    if not folders:
        pytest.skip("no path-traced scenes")
    right, said = [], []
    for folder in folders:
        images, u, truth = read_stack(folder)
        output = solve(images, u)
        valid = np.isfinite(truth)
        error = np.abs(output.coordinate.numpy() - truth)[valid] * (len(images) - 1)
        right.append((error < 0.5).mean())
        said.append(output.confidence.numpy()[valid].mean())
    assert np.mean(right) > 0.85
    assert abs(np.mean(right) - np.mean(said)) < 0.1

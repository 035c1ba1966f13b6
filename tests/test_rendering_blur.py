import numpy as np
import pytest
import torch

from dualfocus.rendering.gather import gather_blur
from dualfocus.rendering.layered import render_layers
from dualfocus.rendering.psf import LADDER, blur_kernel, blur_variance, ladder_levels, psf_shape

SIZE = 64


def _render(rgb, alpha, coc, psf="disk", margin=0):
    """Numpy (L, 3, H, W), (L, H, W), (L, N, H, W) through the renderer: (N, 3, h, w)."""
    tensors = (torch.from_numpy(np.ascontiguousarray(a, np.float32))[None] for a in (rgb, alpha[:, None], coc))
    return render_layers(*tensors, psf=psf, margin=margin)[0].numpy()


@pytest.mark.parametrize("psf", ["disk", "gaussian", 0.4])
@pytest.mark.parametrize("diameter", [3.0, 4.3, 6.0, 9.1, 12.0, 16.0, 20.0])
def test_point_has_the_diameter_of_its_circle_of_confusion(psf, diameter):
    point = np.zeros((1, 3, 81, 81))
    point[..., 40, 40] = 1.0
    image = _render(point, np.ones((1, 81, 81)), np.full((1, 1, 81, 81), diameter), psf)[0, 0]
    assert image.sum() == pytest.approx(1.0, abs=1e-4)
    axis = np.arange(81) - 40.0
    squared = (image.sum(0) * axis**2).sum() + (image.sum(1) * axis**2).sum() - 2 / 12
    assert 2 * np.sqrt(2) * np.sqrt(squared) == pytest.approx(diameter, rel=0.05)


def test_shapes_of_the_psf_family():
    disk, gaussian = blur_kernel(14.0, 0.0), blur_kernel(14.0, 1.0)
    center = disk.shape[0] // 2
    inside = disk[center, center - 5 : center + 6]
    assert np.ptp(inside) < 1e-6 and disk[center, center] == pytest.approx(4 / (np.pi * 14**2), rel=0.05)
    center = gaussian.shape[0] // 2
    # sigma = C / 4, apart from the pixel's own variance
    sigma = np.sqrt(blur_variance(14.0))
    assert gaussian[center, center + 4] / gaussian[center, center] == pytest.approx(np.exp(-8 / sigma**2), rel=0.03)


def test_blur_grows_steadily_from_nothing():
    diameters = np.linspace(0.0, 6.0, 25)
    point = np.zeros((1, 3, 33, 33))
    point[..., 16, 16] = 1.0
    coc = np.broadcast_to(diameters[None, :, None, None], (1, 25, 33, 33))
    images = _render(point, np.ones((1, 33, 33)), coc)[:, 0]
    axis = np.arange(33) - 16.0
    variance = (images.sum(1) * axis**2).sum(1)
    assert images[0, 16, 16] == pytest.approx(1.0, abs=1e-5)
    assert variance == pytest.approx([blur_variance(d) for d in diameters], abs=2e-4)
    assert (np.diff(variance) > 0).all()


def test_ladder_brackets_any_range():
    assert ladder_levels(0.0, 0.0) == (0.0, 0.5)
    assert ladder_levels(4.0, 6.0) == (3.75, 5.0, 6.5)
    assert ladder_levels(5.0, 5.0) == (5.0, 6.5)
    levels = ladder_levels(30.0, 60.0)
    assert levels[0] <= 30.0 < levels[1] and levels[-1] >= 60.0 and levels[0] >= LADDER[-1]


def test_psf_names_are_checked():
    assert (psf_shape("disk"), psf_shape("gaussian"), psf_shape(0.3)) == (0.0, 1.0, 0.3)
    for wrong in ("square", -0.1, 1.5):
        with pytest.raises(ValueError, match="psf must be"):
            psf_shape(wrong)


@pytest.mark.parametrize("margin", [0, 6])
def test_constant_image_stays_constant(margin):
    rng = np.random.default_rng(0)
    alpha = np.stack([np.ones((SIZE, SIZE)), rng.random((SIZE, SIZE)) > 0.6, rng.random((SIZE, SIZE))])
    coc = rng.uniform(0, 18, (3, 4, SIZE, SIZE))
    image = _render(np.full((3, 3, SIZE, SIZE), 0.37), alpha, coc, 0.5, margin)
    assert image.shape == (4, 3, SIZE - 2 * margin, SIZE - 2 * margin)
    assert np.abs(image - 0.37).max() < 1e-5


def test_in_focus_is_the_plain_composite():
    rng = np.random.default_rng(1)
    rgb, alpha = rng.random((2, 3, SIZE, SIZE)), np.stack([np.ones((SIZE, SIZE)), rng.random((SIZE, SIZE))])
    image = _render(rgb, alpha, np.zeros((2, 1, SIZE, SIZE)))[0]
    assert image == pytest.approx(rgb[0] + (rgb[1] - rgb[0]) * alpha[1], abs=1e-5)


def test_batch_and_margin_do_not_change_the_picture():
    rng = np.random.default_rng(2)
    rgb = torch.from_numpy(rng.random((2, 2, 3, SIZE, SIZE), dtype=np.float32))
    alpha = torch.zeros(2, 2, 1, SIZE, SIZE)
    alpha[:, 0] = 1.0
    alpha[0, 1, :, 20:30, 20:44] = 1.0
    alpha[1, 1, :, 25:50, 5:20] = 1.0
    coc = torch.from_numpy(rng.uniform(0, 9, (2, 2, 3, SIZE, SIZE)).astype(np.float32))
    together = render_layers(rgb, alpha, coc)
    for b in range(2):
        alone = render_layers(rgb[b : b + 1], alpha[b : b + 1], coc[b : b + 1], margin=7)
        assert torch.allclose(alone[0], together[b, ..., 7:-7, 7:-7], atol=2e-5)


def _background(x, y):
    return 0.4 + 0.3 * np.sin(0.45 * x + 0.2 * y)


def _foreground(x, y):
    return 0.6 + 0.25 * np.cos(0.3 * x - 0.35 * y)


def _covers(x, y):
    """A tilted edge through the middle of the picture."""
    return (x - SIZE / 2) + 0.4 * (y - SIZE / 2) < 0


def _ray_average(near_coc, far_coc):
    """Mean over aperture points and pixel area of the first surface each ray meets (signed CoC: before / behind)."""
    grid = np.arange(SIZE, dtype=float)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    total, count = np.zeros((SIZE, SIZE)), 0
    rng = np.random.default_rng(3)
    golden = np.pi * (3 - np.sqrt(5))
    for k in range(600):
        radius, angle = 0.5 * np.sqrt((k + 0.5) / 600), k * golden
        ax, ay = radius * np.cos(angle), radius * np.sin(angle)
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        nx, ny = x + dx + near_coc * ax, y + dy + near_coc * ay
        fx, fy = x + dx + far_coc * ax, y + dy + far_coc * ay
        total += np.where(_covers(nx, ny), _foreground(nx, ny), _background(fx, fy))
        count += 1
    return total / count


# With both layers blurred the worst pixel is looser: compositing two blurred layers takes which rays the near one
# blocks as independent of where the far one is hit. That is exact only when either is in focus or the far one uniform.
@pytest.mark.parametrize(
    ("near_coc", "far_coc", "mean_error", "worst_error"),
    [(0.0, 9.0, 0.004, 0.04), (9.0, 0.0, 0.004, 0.03), (4.0, 12.0, 0.006, 0.09), (-6.0, 4.0, 0.006, 0.06)],
)
def test_occluding_edge_agrees_with_rays_over_the_aperture(near_coc, far_coc, mean_error, worst_error):
    grid = np.arange(SIZE, dtype=float)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    fine = (np.arange(8) + 0.5) / 8 - 0.5
    alpha = np.mean([_covers(x + dx, y + dy) for dx in fine for dy in fine], 0)
    layers = np.stack([_background(x, y), _foreground(x, y)])
    rgb = np.repeat(layers[:, None], 3, 1)
    coc = np.abs(np.array([far_coc, near_coc]))[:, None, None, None] * np.ones((2, 1, SIZE, SIZE))
    image = _render(rgb, np.stack([np.ones_like(alpha), alpha]), coc, "disk", margin=10)[0, 0]
    difference = np.abs(image - _ray_average(near_coc, far_coc)[10:-10, 10:-10])
    assert difference.mean() < mean_error
    assert difference.max() < worst_error


def _naive_gather(image, radius, size):
    channels, height, width = image.shape
    half, out = size // 2, image.copy()
    for y in range(height):
        for x in range(width):
            if radius[y, x] <= 1:
                continue
            total, weights = np.zeros(channels), 0.0
            for dy in range(-half, half + 1):
                for dx in range(-half, half + 1):
                    sy, sx = y + dy, x + dx
                    if not (0 <= sy < height and 0 <= sx < width) or radius[sy, sx] <= 1:
                        continue
                    c = radius[sy, sx]
                    weight = np.exp(-2 * (dx * dx + dy * dy) / c**2) / c**2
                    total, weights = total + weight * image[:, sy, sx], weights + weight
            out[:, y, x] = total / weights
    return out


@pytest.mark.parametrize("size", [1, 7, 9])
def test_gather_agrees_with_the_definition(size):
    rng = np.random.default_rng(4)
    image, radius = rng.random((2, 3, 13, 17)), rng.uniform(0, 6, (2, 1, 13, 17))
    radius[0, 0, 3:6, 4:9] = 1.0
    radius[1, 0, 5, 5] = 1e6
    result = gather_blur(torch.from_numpy(image), torch.from_numpy(radius), size).numpy()
    for b in range(2):
        assert result[b] == pytest.approx(_naive_gather(image[b], radius[b, 0], size), abs=1e-10)


def test_gather_refuses_an_even_window():
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        gather_blur(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4), 6)

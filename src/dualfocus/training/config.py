"""The training configuration: strict YAML, an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from dualfocus.models import KINDS, NETWORKS
from dualfocus.stack.axis import AxisName
from dualfocus.training.recipes import LOSSES
from dualfocus.training.yaml_config import read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _off(value: Any) -> Any:
    """The word `off`, which YAML reads as false."""
    return "off" if value is False else value


def _no_mixed_precision(value: Any) -> Any:
    """What prediction calls fp32 is `no` mixed precision in accelerate's words, which YAML reads as false."""
    return "no" if value is False or value == "fp32" else value


class ModelConfig(_Strict):
    """Which network, and changes to its configuration (ablations)."""

    name: Literal[NETWORKS] = "dualfocus-s"  # type: ignore[valid-type]
    options: dict[str, Annotated[Any, BeforeValidator(_off)]] = {}


class LossConfig(_Strict):
    """Weights of the objective; `spatial` and `focal` of 0 switch a constraint's loss off.

    In a training configuration what is left out is as in the network's recipe (`training.recipes`), not as here.
    """

    spatial: float = Field(default=0.1, ge=0)
    focal: float = Field(default=1.0, ge=0)
    # cross-entropy of the confidence head, which reads detached features: the rest of the network feels it through the
    # clipping of gradients alone
    confidence: float = Field(default=0.1, ge=0)
    beta: float = Field(default=1.0, gt=0)  # smooth-L1 turns from quadratic to linear here, in units of `beta_unit`
    beta_unit: Literal["spacing", "range"] = "spacing"  # the mean plane spacing, or the whole focus range
    side: tuple[float, ...] = (0.5, 0.25)  # smooth-L1 of further outputs, beside 1 for the answer
    # distances, in cells of the map, over which L_sv takes differences; their mean counts
    baselines: tuple[int, ...] = Field(default=(1,), min_length=1)
    temperature: float | None = Field(default=None, gt=0)  # tau of the sharpness weights in plane spacings; null = 1
    space: Literal["coordinate", "inverse", "log"] = "coordinate"  # what L_sv takes the gradient of

    @field_validator("baselines")
    @classmethod
    def _at_least_one_cell(cls, baselines: tuple[int, ...]) -> tuple[int, ...]:
        if min(baselines) < 1:
            raise ValueError(f"{list(baselines)} holds a baseline below 1 cell")
        return baselines


class SourceConfig(_Strict):
    """One source of stacks.

    `kind`: `rendered` (packs of `dualfocus render`), `stacks` (folders with stack.json and truth), `rgbd`
    (images + depth), `nyu` (the training images in any form, blurred as HybridDepth does), `fod500` and `ddff12`
    (their training splits) or `procedural` (rendered on the fly).
    """

    kind: Literal["rendered", "stacks", "rgbd", "nyu", "fod500", "ddff12", "procedural"]
    path: Path | None = None  # folder or pack; procedural: folder of textures, or null for noise textures alone
    weight: float = Field(default=1.0, gt=0)
    include: tuple[str, ...] = ("*",)  # globs on the names (stacks, nyu, fod500, ddff12)
    exclude: tuple[str, ...] = ()
    focus_distances: tuple[float, ...] | None = None  # kind nyu, in metres; null: over the depth range of each image
    clip_truth: bool = False  # truth beyond the planes is moved to the nearer end; else it teaches nothing
    licence: str = ""

    @model_validator(mode="after")
    def _distances(self) -> SourceConfig:
        given = self.focus_distances
        if given is None:
            return self
        if self.kind != "nyu":
            raise ValueError(f"focus_distances belong to kind nyu, not {self.kind}")
        if len(set(given)) != len(given) or len(given) < 2 or not all(0 < d < float("inf") for d in given):
            raise ValueError(f"focus_distances must be two or more different distances above 0, not {list(given)}")
        return self

    @field_validator("include", mode="before")
    @classmethod
    def _one_or_more(cls, include: Any) -> Any:
        return (include,) if isinstance(include, str) else include

    @field_validator("path")
    @classmethod
    def _exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError(f"{path} does not exist")
        return path


def _least_and_most(planes: tuple[int, int]) -> tuple[int, int]:
    if not 2 <= planes[0] <= planes[1]:
        raise ValueError(f"{list(planes)} is not [least, most] with least >= 2")
    return planes


PlaneRange = Annotated[tuple[int, int], AfterValidator(_least_and_most)]


class DataConfig(_Strict):
    """Batches: every batch has one N; stacks x planes x pixels stay near `planes_per_batch` x crop^2."""

    sources: list[SourceConfig] = Field(min_length=1)
    crop: int = Field(default=128, ge=32, multiple_of=32)
    planes: PlaneRange = (2, 12)
    planes_per_batch: int = Field(default=40, ge=2)
    most_stacks: int = Field(default=12, ge=1)  # stacks in a batch at most, however few their planes
    coordinate: AxisName = "focus"  # what truth and planes are affine in, see dualfocus.stack.axis
    # mirror: crops and left-right flips alone; flips: upside-down too, as DFV trains
    augmentation: Literal["full", "mirror", "flips"] = "full"
    registered: float = Field(default=0.0, ge=0, le=1)  # share of the stacks resampled as by a registration (full)
    blur: Literal["worker", "device"] = "worker"  # who blurs (kind nyu with mirror): device spares a GPU the waiting
    workers: int = Field(default=1, ge=0)

    def stacks(self, planes: int) -> int:
        """How many stacks a batch of so many planes has."""
        return max(1, min(self.most_stacks, round(self.planes_per_batch / planes)))

    @model_validator(mode="after")
    def _can_blur_on_the_device(self) -> DataConfig:
        if self.blur == "device":
            if self.augmentation != "mirror" or any(source.kind != "nyu" for source in self.sources):
                raise ValueError("blur: device is for sources of kind nyu alone, with augmentation: mirror")
            fixed = [len(s.focus_distances) for s in self.sources if s.focus_distances is not None]
            if any(self.planes != (count, count) for count in fixed):
                raise ValueError(f"blur: device takes all fixed distances: set planes to [{fixed[0]}, {fixed[0]}]")
        return self


class OptimiserConfig(_Strict):
    """AdamW with warm-up, then a cosine that ends with the budget, or a constant rate."""

    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=200, ge=0)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.998, ge=0, lt=1)


class BudgetConfig(_Strict):
    """Training ends at whichever comes first; the schedule follows the one that is closer to its end."""

    steps: int = Field(ge=1)
    minutes: float | None = Field(default=None, gt=0)


class ValidationConfig(_Strict):
    """Held-out stacks, whole or centre-cropped, evaluated with the averaged weights."""

    sources: list[SourceConfig] = []
    stacks: int = Field(default=24, ge=1)
    planes: PlaneRange = (3, 10)
    # the next two keep the names that they have in people's files: they fit the confidence map, and no distances
    calibration_stacks: int = Field(default=120, ge=1)  # other stacks, drawn once at the end
    calibration_planes: PlaneRange = (2, 12)  # planes of these stacks; longer ones are used in part
    every_steps: int = Field(default=500, ge=1)
    crop: int = Field(default=256, ge=32, multiple_of=32)
    pictures: int = Field(default=4, ge=0)


class TeacherConfig(_Strict):
    """A trained network whose answers are learned as well as the truth, see `dualfocus.training.distillation`."""

    weights: Path
    weight: float = Field(default=1.0, gt=0)


class TrainConfig(_Strict):
    """Everything a run depends on."""

    output: Path
    seed: int = Field(default=0, ge=0, lt=2**63)  # what the generators of random numbers take
    precision: Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(_no_mixed_precision)] = "no"
    checkpoint_minutes: float = Field(default=3.0, gt=0)
    initial_weights: Path | None = None
    looks: Literal[1, 2] | None = None  # looks of `predict` at large photographs; null: as with the shipped weights
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    teacher: TeacherConfig | None = None
    data: DataConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    budget: BudgetConfig
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _loss_of_the_network(self) -> TrainConfig:
        """Give the loss what it is not told, as its network is trained in configs/; without surfaces or `no_loss` 0."""
        left_out = {key: v for key, v in LOSSES[self.model.name].items() if key not in self.loss.model_fields_set}
        if self.model.options.get("spatial") in ("no_loss", "off"):
            left_out["spatial"] = 0.0
        self.loss = self.loss.model_copy(update=left_out)  # the given one may serve others, too
        return self

    @model_validator(mode="after")
    def _normalises(self) -> TrainConfig:
        """Refuse batches of one value a channel at the network's coarsest level, of which norms take no statistics."""
        coarsest = KINDS[self.model.name].scene_stride
        most = self.data.planes[1]
        if coarsest is not None and self.data.crop == coarsest and self.data.stacks(most) == 1:
            raise ValueError(
                f"data.crop of {coarsest} needs two stacks in every batch with {self.model.name}: set data.crop to"
                f" {2 * coarsest}, or data.planes_per_batch to {2 * most} (of at most {most} planes a stack) and"
                " data.most_stacks to 2 or more"
            )
        return self


def read_config(path: Path) -> TrainConfig:
    """Read and check a training configuration, see `dualfocus.training.yaml_config.read_yaml`."""
    config: TrainConfig = read_yaml(path, TrainConfig)
    return config

"""What a config.toml can say, as frozen models: `config` fills them, everybody after it only reads."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from semver import Version

from reconciler.pipeline.enums import TRAINING


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Metadata(_Frozen):
    name: str
    version: Version
    description: str | None
    type: str


class Execution(_Frozen):
    """Paths are relative to the folder; classes are written `utils/inputs.py:ClassName`."""

    pipeline_script: str | None
    requirements_file: str | None
    parameters_class: str | None
    inputs_class: str | None


class Docker(_Frozen):
    """`image_name` is "" until somebody chose one; the command decides whether it asks or refuses."""

    image_name: str
    image_tag: str
    cpu: int | None
    gpu: int | None


class ModelTarget(_Frozen):
    """One model version that gets the training image.

    Framework and inference type are None when the file does not have the key: a model version that exists
    keeps its own. An empty text in the file is NOT_CONFIGURED. `line` is the one of the table or the row.
    """

    origin_name: str
    name: str
    framework: str | None
    inference_type: str | None
    line: int | None


_Text = Annotated[str, Field(min_length=1)]


class ImageOptions(_Frozen):
    """`[reconciler.image]`: how the image is made, for pipelines that ask for more than a Dockerfile."""

    builder: Literal["auto", "engine", "append"] = "auto"
    base: _Text | None = None
    workdir: _Text | None = None
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    platform: Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$")] = "linux/amd64"
    build_args: dict[str, str] = Field(default_factory=dict)
    dockerfile: _Text = "Dockerfile"


class Reconciler(_Frozen):
    """`[reconciler]`: our own table, which the official tool ignores. Unknown keys are errors here."""

    pin: Literal["channel", "version"] = "channel"
    ignore_changes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    protect: tuple[str, ...] = ()
    image: ImageOptions = ImageOptions()


class Config(_Frozen):
    metadata: Metadata
    execution: Execution
    docker: Docker
    targets: tuple[ModelTarget, ...]
    reconciler: Reconciler

    @property
    def is_training(self) -> bool:
        return self.metadata.type == TRAINING

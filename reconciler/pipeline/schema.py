"""What a config.toml can say, as frozen models: `config` fills them, everybody after it only reads."""

import posixpath
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
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
    keeps its own. An empty text in the file is NOT_CONFIGURED. `line` is the one of the table or the row, and
    `key` the path of it.
    """

    origin_name: str
    name: str
    framework: str | None
    inference_type: str | None
    line: int | None
    key: tuple[str | int, ...] = ("model_version",)


_Text = Annotated[str, Field(min_length=1)]

_SecretId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _by_name(secrets: object) -> object:
    """`["TOKEN"]` as `{"TOKEN": "TOKEN"}`."""
    if isinstance(secrets, list) and all(isinstance(name, str) for name in secrets):
        return {str(name): str(name) for name in secrets}
    return secrets


def _day(value: object) -> object:
    """A date of TOML, or the same as text; a time of day is none."""
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError("not a date")  # noqa: TRY004 - pydantic takes no other
    return value


class AcceptedSecret(_Frozen):
    """`[[reconciler.image.accepted_secrets]]`: a file that may be in the image although it holds a secret.

    `path` is relative to the build context; `until` is the last day.
    """

    path: Annotated[_Text, AfterValidator(posixpath.normpath)]  # "./key.pem" is "key.pem"
    reason: _Text
    until: Annotated[date, BeforeValidator(_day)]


class ImageOptions(_Frozen):
    """`[reconciler.image]`: how the image is made, for pipelines that ask for more than a Dockerfile.

    `dockerfile` and `context` are paths relative to the pipeline's folder. `secrets` maps a secret's name to
    the environment variable that has its value; a list names both alike. `config` says what config.toml is to
    the image: what is deployed, which makes no other image, or source, for a pipeline that reads the file.
    """

    builder: Literal["auto", "buildx", "buildkit", "engine", "append"] = "auto"
    base: _Text | None = None
    workdir: _Text | None = None
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    platform: Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$")] = "linux/amd64"
    build_args: dict[str, str] = Field(default_factory=dict)
    dockerfile: _Text = "Dockerfile"
    context: _Text = "."
    target: _Text | None = None
    secrets: Annotated[dict[_SecretId, _Name], BeforeValidator(_by_name)] = Field(default_factory=dict)
    cache_from: tuple[_Text, ...] = ()
    cache_to: tuple[_Text, ...] = ()
    accepted_secrets: tuple[AcceptedSecret, ...] = ()
    config: Literal["deployment", "source"] = "deployment"


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

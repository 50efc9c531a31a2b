"""The content of a config.toml as frozen values: `config` creates them, the rest of the code reads them."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from msgspec import Struct, field
from semver import Version

from providers.enums import TRAINING
from reconciler.core.values import Address
from reconciler.pipeline.stack_name import stack_name

Pin = Literal["channel", "version"]
Builder = Literal["auto", "buildx", "buildkit", "engine", "append"]
ConfigRole = Literal["deployment", "source"]
ContractPolicy = Literal["major", "warn", "off"]


class Metadata(Struct, frozen=True):
    name: str
    version: Version
    description: str | None
    type: str


class Execution(Struct, frozen=True):
    """Paths are relative to the folder; classes are written `utils/inputs.py:ClassName`."""

    pipeline_script: str | None
    requirements_file: str | None
    parameters_class: str | None
    inputs_class: str | None


class Docker(Struct, frozen=True):
    """`image_name` is "" if it is not set yet; the command then prompts for it or refuses."""

    image_name: str
    image_tag: str
    cpu: int | None
    gpu: int | None


class ModelTarget(Struct, frozen=True):
    """One model version that gets the training image.

    `fields` has for each kind what the row gives of it; an object that exists keeps its other fields. `line`
    is the one of the table or the row, and `key` the path of it.
    """

    origin_name: str
    name: str
    fields: dict[str, dict[str, Any]]
    line: int | None
    key: tuple[str | int, ...] = ("model_version",)


class AcceptedSecret(Struct, frozen=True):
    """`[[reconciler.image.accepted_secrets]]`: a file that may be in the image although it holds a secret.

    `path` is relative to the build context; `until` is the last day.
    """

    path: str
    reason: str
    until: date


class ImageOptions(Struct, frozen=True):
    """`[reconciler.image]`: build settings, for pipelines that need more than a Dockerfile.

    `dockerfile` and `context` are paths relative to the pipeline's folder. `secrets` maps a secret's name to
    the environment variable with its value; a list uses one name for both. `config` is the role of
    config.toml in the image: "deployment" (its deployment settings do not change the image), or "source" for
    a pipeline that reads the whole file.
    """

    builder: Builder = "auto"
    base: str | None = None
    workdir: str | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"
    build_args: Mapping[str, str] = field(default_factory=dict)
    dockerfile: str = "Dockerfile"
    context: str = "."
    target: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    accepted_secrets: tuple[AcceptedSecret, ...] = ()
    config: ConfigRole = "deployment"
    provenance: bool = False
    sbom: bool = False
    sbom_generator: str | None = None


class Reconciler(Struct, frozen=True):
    """`[reconciler]`: our own table, which the official tool ignores.

    `contract` says what a change of the inputs that may break a job needs: a major version, or a remark.
    """

    pin: Pin = "channel"
    contract: ContractPolicy = "warn"
    stack: str | None = None
    ignore_changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: tuple[str, ...] = ()
    image: ImageOptions = field(default_factory=ImageOptions)


class DeclaredObject(Struct, frozen=True):
    """An object with a row of its own below `[reconciler]`; `key` is the path of the row."""

    address: Address
    fields: dict[str, Any]
    key: tuple[str | int, ...]


class Config(Struct, frozen=True):
    metadata: Metadata
    execution: Execution
    docker: Docker
    targets: tuple[ModelTarget, ...]
    reconciler: Reconciler
    objects: tuple[DeclaredObject, ...] = ()

    @property
    def is_training(self) -> bool:
        return self.metadata.type == TRAINING

    @property
    def stack_name(self) -> str:
        """The name of the pipeline's stack; "" for a training without an image name."""
        return stack_name(
            self.metadata.type, self.metadata.name, self.docker.image_name, self.reconciler.stack
        )

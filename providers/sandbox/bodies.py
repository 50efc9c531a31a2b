"""The bodies of the platform's write calls, and what is wrong with one.

Key names are those the public SDK 6.37 sends. What it requires as an argument is required here; that the
server does too is an assumption. So are: names are not empty, a text is never taken for a number.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

# The SDK's enums (picsellia.types.enums, 6.37). Copied, because importing the SDK takes a second.
FRAMEWORKS = ("TENSORFLOW", "PYTORCH", "ONNX", "NOT_CONFIGURED")
# The official documentation's training example uses it, though no SDK lists it: taken here as an assumption.
DOCUMENTED_FRAMEWORKS = ("YOLOV8",)
INFERENCE_TYPES = (
    "NOT_CONFIGURED",
    "CLASSIFICATION",
    "OBJECT_DETECTION",
    "SEGMENTATION",
    "POINT",
    "KEYPOINT",
    "LINE",
    "MASK",
    "MULTI",
)
PROCESSING_TYPES = (
    "PRE_ANNOTATION",
    "DATA_AUGMENTATION",
    "DATASET_VERSION_CREATION",
    "AUTO_TAGGING",
    "AUTO_ANNOTATION",
    "DATA_AUTO_TAGGING",
    "MODEL_COMPRESSION",
    "MODEL_CONVERSION",
)
TARGETS = ("DATASET_VERSION", "MODEL_VERSION", "DATALAKE")
INPUT_TYPES = ("TEXT", "NUMBER", "DATASET_VERSION", "MODEL_VERSION", "MODEL", "DATALAKE", "DATASET")


class BadBodyError(Exception):
    """A body that the platform does not accept.

    Args:
        detail: one entry per problem, each with `loc`, `msg` and `type`.
    """

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(detail)} problem(s) in the body")
        self.detail = detail


def _one_of(values: tuple[str, ...]) -> AfterValidator:
    def check(value: str, info: ValidationInfo) -> str:
        if value not in values and not (info.context or {}).get("unknown_enums"):
            raise ValueError(f"must be one of {', '.join(values)}")
        return value

    return AfterValidator(check)


Name = Annotated[str, Field(min_length=1)]
Framework = Annotated[str, _one_of(FRAMEWORKS + DOCUMENTED_FRAMEWORKS)]
InferenceType = Annotated[str, _one_of(INFERENCE_TYPES)]
ProcessingType = Annotated[str, _one_of(PROCESSING_TYPES)]
Target = Annotated[str, _one_of(TARGETS)]
InputType = Annotated[str, _one_of(INPUT_TYPES)]


class Body(BaseModel):
    """A JSON object, taken literally: `"4"` is not a number."""

    model_config = ConfigDict(strict=True)


class NewProcessing(Body):
    """POST /api/organization/{org}/processings."""

    name: Name
    target: Target
    default_cpu: int
    default_gpu: int
    default_parameters: dict[str, Any]
    docker_image: Name
    docker_tag: Name
    docker_flags: list[str] | None = None
    type: ProcessingType | None = None
    description: str | None = None


class ProcessingChange(Body):
    """PATCH /api/processing/{id}. That docker_flags can be changed is an assumption."""

    docker_image: Name = ""
    docker_tag: Name = ""
    docker_flags: list[str] | None = None
    description: str | None = None
    default_parameters: dict[str, Any] | None = None
    default_cpu: int | None = None
    default_gpu: int | None = None


class InputChange(Body):
    """PUT /api/processing/{id}/inputs/{name}."""

    required: bool
    inference_type_constraint: InferenceType | None = None
    framework_constraint: Framework | None = None


class NewInput(InputChange):
    """POST /api/processing/{id}/inputs."""

    name: Name
    input_type: InputType


class NewModel(Body):
    """POST /api/organization/{org}/models."""

    name: Name
    description: str | None = None


class ModelChange(Body):
    """PATCH /api/model/{id}."""

    name: Name = ""
    description: str | None = None


class VersionChange(Body):
    """PATCH /api/model/version/{id}."""

    name: Name = ""
    type: InferenceType | None = None
    framework: Framework | None = None
    docker_image: str | None = None
    docker_tag: str | None = None
    docker_flags: list[str] | None = None
    parameters: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    docker_env_variables: dict[str, Any] | None = None
    description: str | None = None
    thumbnail_object_name: str | None = None
    notebook_link: str | None = None


class NewVersion(VersionChange):
    """POST /api/model/{id}/versions."""

    name: Name | None = None  # type: ignore[assignment]  # a version may be born without a name


def parse(body: type[Body], content: object, *, strict: bool, unknown_enums: bool) -> Body:
    """Read a decoded body.

    Args:
        body: the form it must have.
        content: what the JSON said.
        strict: whether unknown keys are refused rather than ignored.
        unknown_enums: whether any text is accepted as an enum value.

    Raises:
        BadBodyError: with every problem there is.
    """
    problems: list[dict[str, Any]] = []
    if strict and isinstance(content, dict):
        unknown = content.keys() - body.model_fields.keys()
        problems += [
            {"loc": ["body", key], "msg": "unknown key", "type": "extra_forbidden"} for key in sorted(unknown)
        ]
    try:
        parsed = body.model_validate(content, context={"unknown_enums": unknown_enums})
    except ValidationError as error:
        problems += [
            {"loc": ["body", *problem["loc"]], "msg": problem["msg"], "type": problem["type"]}
            for problem in error.errors(include_url=False, include_context=False)
        ]
    if problems:
        raise BadBodyError(problems)
    return parsed

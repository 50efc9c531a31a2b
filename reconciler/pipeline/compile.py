"""Compile a pipeline to its desired graph: the resources that should exist. Pure.

All resources of the platform depend on the image, so none is changed if the image cannot be published. Fields
that the files do not set are not in the graph, and are never written.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from msgspec.structs import replace

from providers.config_keys import Key
from providers.json_value import JSON
from providers.table import FACTS
from reconciler.core.graph import Graph, Origin, Resource
from reconciler.core.values import Address, image_address
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.schema import ModelTarget

TARGET_OF_TYPE = {
    # The target of each type is the official deploy's.
    "PRE_ANNOTATION": "DATASET_VERSION",
    "DATA_AUGMENTATION": "DATASET_VERSION",
    "DATASET_VERSION_CREATION": "DATASET_VERSION",
    "AUTO_TAGGING": "DATASET_VERSION",
    "AUTO_ANNOTATION": "DATASET_VERSION",
    "DATA_AUTO_TAGGING": "DATALAKE",
    "MODEL_COMPRESSION": "MODEL_VERSION",
    "MODEL_CONVERSION": "MODEL_VERSION",
}
# The official deploy writes the flags of processings and trainings differently: they are started differently.
PROCESSING_GPU_FLAGS = ["--gpus=all", "--ipc=host"]
TRAINING_FLAGS = ["--gpus all", "--ipc host", "--name training"]


def desired_graph(pipeline: Pipeline, source_key: str) -> Graph:
    """The resources that should exist for this pipeline.

    Args:
        pipeline: a pipeline with an image name.
        source_key: the source key of the folder's current content.
    """
    image = _image(pipeline, source_key)
    below = _training(pipeline, image) if pipeline.config.is_training else _processing(pipeline, image)
    return Graph([image, *below, *_objects(pipeline, image)])


def _image(pipeline: Pipeline, source_key: str) -> Resource:
    metadata, options = pipeline.config.metadata, pipeline.config.reconciler.image
    version = _origin(pipeline, "metadata", "version")
    return Resource(
        image_address(pipeline.config.docker.image_name),
        {
            "version": str(metadata.version),
            "channel": pipeline.channel,
            "source_key": source_key,
            "platform": options.platform,
        },
        origins={"version": version, "channel": _channel(pipeline), "source_key": Origin(pipeline.folder)},
        declared=_origin(pipeline, "docker", "image_name"),
    )


def _docker(pipeline: Pipeline) -> tuple[dict[str, JSON], dict[str, Origin]]:
    version = pipeline.config.metadata.version
    pinned = pipeline.is_pinned
    fields: dict[str, JSON] = {
        "docker_image": pipeline.config.docker.image_name,
        "docker_tag": str(version) if pinned else pipeline.channel,
    }
    return fields, {
        "docker_image": _origin(pipeline, "docker", "image_name"),
        "docker_tag": _origin(pipeline, "metadata", "version") if pinned else _channel(pipeline),
    }


def _processing(pipeline: Pipeline, image: Resource) -> Iterator[Resource]:
    metadata, docker = pipeline.config.metadata, pipeline.config.docker
    fields, origins = _docker(pipeline)
    for name, key in _keys("processing").items():
        value: Any = reduce(getattr, key.path, pipeline.config)
        if value is not None:
            fields[name], origins[name] = value, _value(pipeline, *key.path)
    fields["target"] = TARGET_OF_TYPE[metadata.type]
    origins["target"] = _origin(pipeline, "metadata", "type")
    if docker.gpu is not None:
        fields["docker_flags"] = PROCESSING_GPU_FLAGS if docker.gpu > 0 else []
        origins["docker_flags"] = _origin(pipeline, "docker", "gpu")
    if pipeline.parameters is not None:
        fields["default_parameters"] = dict(pipeline.parameters)
        origins["default_parameters"] = _parameters(pipeline)
    processing = Resource(
        Address.of("processing", metadata.name),
        fields,
        depends_on=(image.address,),
        owns=() if pipeline.inputs is None else ("input",),
        origins=origins,
        declared=_origin(pipeline, "metadata", "name"),
    )
    yield processing
    for declared in pipeline.inputs or ():
        place = Origin(declared.file, declared.line, by_class=True)
        values = declared.fields
        yield Resource(
            Address.of("input", metadata.name, declared.name),
            values,
            depends_on=(processing.address,),
            origins=dict.fromkeys(values, place),
        )


def _training(pipeline: Pipeline, image: Resource) -> Iterator[Resource]:
    for name in sorted({target.origin_name for target in pipeline.config.targets}):
        fields: dict[str, JSON] = {"name": name}
        origins: dict[str, Origin] = {}
        for target in pipeline.config.targets:
            if target.origin_name == name:
                _add(pipeline, target, "model", fields, origins)
        yield Resource(Address.of("model", name), fields, depends_on=(image.address,), origins=origins)
    for target in pipeline.config.targets:
        yield _model_version(pipeline, target)


def _model_version(pipeline: Pipeline, target: ModelTarget) -> Resource:
    fields, origins = _docker(pipeline)
    fields["name"] = target.name
    fields["docker_flags"] = TRAINING_FLAGS
    _add(pipeline, target, "model-version", fields, origins)
    if pipeline.parameters is not None:
        fields["parameters"] = dict(pipeline.parameters)
        origins["parameters"] = _parameters(pipeline)
    model = Address.of("model", target.origin_name)
    return Resource(
        Address.of("model-version", target.origin_name, target.name),
        fields,
        depends_on=(model,),
        origins=origins,
        declared=_origin(pipeline, *target.key, "name"),
    )


def _add(
    pipeline: Pipeline, target: ModelTarget, kind: str, fields: dict[str, JSON], origins: dict[str, Origin]
) -> None:
    """Add what a target's row gives of a resource of this kind."""
    for name, value in target.fields.get(kind, {}).items():
        fields[name], origins[name] = value, _value(pipeline, *target.key, *_keys(kind)[name].path)


def _objects(pipeline: Pipeline, image: Resource) -> Iterator[Resource]:
    for one in pipeline.config.objects:
        parent = FACTS[one.address.kind].parent
        keys = _keys(one.address.kind)
        yield Resource(
            one.address,
            one.fields,
            depends_on=(image.address if parent is None else Address(parent, one.address.name[:-1]),),
            origins={
                name: _value(pipeline, *one.key, *keys[name].path) for name in one.fields if name in keys
            },
            declared=_origin(pipeline, *one.key),
        )


def _keys(kind: str) -> Mapping[str, Key]:
    """The keys of config.toml that give fields of this kind as they are."""
    table = FACTS[kind].config
    return table.keys if table else {}


def _origin(pipeline: Pipeline, *key: str | int) -> Origin:
    """The origin of a value that depends on this key of config.toml."""
    return Origin(pipeline.loaded.path, pipeline.loaded.line_of(*key))


def _channel(pipeline: Pipeline) -> Origin:
    """The origin of the channel tag: reconciler.toml, or the version that it follows from."""
    shared = pipeline.loaded.shared
    if pipeline.declared_channel is None or shared.file is None:
        return _origin(pipeline, "metadata", "version")
    table = ("environments", pipeline.loaded.environment or "")
    key = "channel" if (*table, "channel") in shared.lines else "follows"
    return Origin(shared.file, shared.line_of(*table, key))


def _value(pipeline: Pipeline, *key: str | int) -> Origin:
    """The origin of a value that is the value of this key of config.toml."""
    return replace(_origin(pipeline, *key), key=key)


def _parameters(pipeline: Pipeline) -> Origin:
    """The origin of the parameters: their class, which may take some from a class of another file."""
    reference = pipeline.config.execution.parameters_class
    assert reference is not None  # the parameters come from it
    file = ClassReference.parse(pipeline.folder, reference).file
    return Origin(file, by_class=True, keys=pipeline.places)

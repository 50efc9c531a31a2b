"""A fleet that was applied: many pipelines with their images, platform objects and state.

Made without a build: the desired values are computed from the files, as `plan` does, and written directly to
the registry, the platform and the state.
"""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path

import requests

from providers.docker import labels
from providers.docker.registry.manifests import OCI_MANIFEST
from providers.docker.registry.reference import parse_repository
from providers.sandbox import Sandbox
from reconciler.cli import options, stores
from reconciler.core.events import ignore
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.requests import PlanRequest, ReadOptions
from reconciler.engine.run_identity import version
from reconciler.engine.session import session
from reconciler.engine.validate import ValidatedPipeline, validate
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.shared import SharedSettings
from state.snapshot import RecordedResource
from state.state_writer import now

CONFIG = """\
[metadata]
name = "{name}"
version = "1.0.0"
description = "Number {number} of a fleet."
type = "{type}"

[execution]
pipeline_script = "pipeline.py"
requirements_file = "requirements.txt"
parameters_class = "parameters.py:ProcessingParameters"
{inputs_class}
[docker]
image_name = "{image}"
image_tag = ""
cpu = "4"
gpu = 0
"""
TARGET = """
[model_version]
origin_name = "Model {number}"
name = "v1"
framework = "ONNX"
inference_type = "OBJECT_DETECTION"
"""
PARAMETERS = """\
from picsellia_cv_engine.core.parameters import Parameters


class ProcessingParameters(Parameters):
    def __init__(self, log_data):
        super().__init__(log_data=log_data)
        self.size = self.extract_parameter(["size"], expected_type=int, default=640)
        self.number = self.extract_parameter(["number"], expected_type=int, default={number})
"""
INPUTS = """\
from picsellia.types.enums import ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class Inputs(PipelineInputs):
    def __init__(self):
        super().__init__()
        self.define_input(name="dataset", input_type=ProcessingInputType.DATASET_VERSION)
        self.define_input(name="model", input_type=ProcessingInputType.MODEL_VERSION)
        self.define_input(name="title", input_type=ProcessingInputType.TEXT, required=False)
        self.define_input(name="limit", input_type=ProcessingInputType.NUMBER, required=False)
        self.define_input(name="archive", input_type=ProcessingInputType.DATALAKE, required=False)
"""


def pipelines(folder: Path, registry: str, count: int, *, trainings: int = 0) -> list[Path]:
    """Create pipeline folders below `folder`, with five inputs each; the last `trainings` train models."""
    return [_pipeline(folder, registry, number, number >= count - trainings) for number in range(count)]


def _pipeline(folder: Path, registry: str, number: int, training: bool) -> Path:
    made = folder / f"pipeline_{number:04}"
    made.mkdir(parents=True)
    config = CONFIG.format(
        name=made.name,
        number=number,
        type="TRAINING" if training else "AUTO_TAGGING",
        inputs_class="" if training else 'inputs_class = "inputs.py:Inputs"\n',
        image=f"{registry}/fleet/{made.name}",
    )
    (made / "config.toml").write_text(config + (TARGET.format(number=number) if training else ""))
    (made / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    (made / "pipeline.py").write_text(f"print({number})\n")
    (made / "requirements.txt").write_text("requests\n")
    (made / "parameters.py").write_text(PARAMETERS.format(number=number))
    (made / "inputs.py").write_text(INPUTS)
    return made


def declare_inputs(folder: Path, count: int) -> None:
    """Replace the inputs of a pipeline by so many others."""
    head = INPUTS[: INPUTS.index("        self.define_input")]
    define = '        self.define_input(name="input-{:04}", input_type=ProcessingInputType.TEXT)\n'
    (folder / "inputs.py").write_text(head + "".join(map(define.format, range(count))))


def publish(folders: Sequence[Path], sandbox: Sandbox) -> None:
    """Create everything that the folders declare in the registry and on the platform."""
    with ThreadPoolExecutor(8) as pool, requests.Session() as http:
        http.headers["X-Sandbox-Aside"] = "1"
        http.headers["Authorization"] = f"Bearer {sandbox.token}"
        list(pool.map(lambda folder: _publish(validate(folder, ReadOptions()), sandbox, http), folders))


def record(folders: Sequence[Path], top: Path) -> None:
    """Save the state and the claims of an apply in the folder `top` that found everything in sync."""
    where = options.TargetOptions(None, None)
    plans: list[PlanResult] = []
    reading = ReadOptions(shared=SharedSettings(root=top))
    with chdir(top), session(where.target(), stores.store(ignore), ignore, threading.Event()) as opened:
        for folder in folders:
            planned = make_plan(opened, validate(folder.relative_to(top), reading), PlanRequest())
            snapshot = planned.settled
            for resource in planned.desired:
                live = planned.remote_state.found[resource.address]
                depends_on = tuple(map(str, resource.depends_on))
                recorded = RecordedResource(
                    str(resource.address),
                    resource.address.kind,
                    live.id,
                    resource.fields,
                    live.outputs,
                    depends_on,
                )
                snapshot = snapshot.with_resource(recorded)
            opened.store.save(
                snapshot.written(serial=1, by=version(), at=now()), expected_serial=0, lock=None
            )
            plans.append(planned)
        with ThreadPoolExecutor(32) as pool:  # threads share the saves of the register
            list(pool.map(lambda planned: planned.claims.claim(planned.plan, planned.settled), plans))


def _publish(checked: ValidatedPipeline, sandbox: Sandbox, http: requests.Session) -> None:
    pipeline, key = checked.require_valid()
    for resource in desired_graph(pipeline, key.key):
        fields, name = dict(resource.fields), resource.address.name
        match resource.address.kind:
            case "image":
                said = {labels.VERSION: fields["version"], labels.SOURCE_KEY: fields["source_key"]}
                _push("/".join(name), [fields["version"], fields["channel"]], said, http)
            case "processing":
                sandbox.platform.create_processing(name[-1], **fields)
            case "input":
                sandbox.platform.add_input(name[0], name[-1], **fields)
            case "model":
                sandbox.platform.create_model(name[0])
            case "model-version":
                sandbox.platform.create_version(name[0], **fields)


def _push(image: str, tags: Sequence[str], said: Mapping[str, str], http: requests.Session) -> None:
    """Push an empty image with these labels under each of these tags."""
    url = parse_repository(image).url
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {"Labels": said}, "rootfs": {"type": "layers"}}
    ).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    http.post(f"{url}/blobs/uploads/", params={"digest": digest}, data=config).raise_for_status()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest,
            "size": len(config),
        },
        "layers": [],
    }
    for tag in tags:
        answer = http.put(f"{url}/manifests/{tag}", json=manifest, headers={"Content-Type": OCI_MANIFEST})
        answer.raise_for_status()

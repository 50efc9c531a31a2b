"""From a folder to the desired graph: what is managed because the files give it, and nothing else."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from reconciler.core.graph import Graph, Resource
from reconciler.core.values import Address
from reconciler.pipeline.compile import TARGET_OF_TYPE, desired_graph
from reconciler.pipeline.load import load_pipeline

IMAGE = Address.of("image", "reg.io", "team", "app")
APP = Address.of("processing", "app")


class Folder:
    """A pipeline folder; every key is a line of config.toml that may be left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "Dockerfile").write_text("FROM scratch\n")
        self.metadata = {"name": '"app"', "version": '"1.0"', "type": '"PRE_ANNOTATION"'}
        self.execution = {"pipeline_script": '"pipeline.py"'}
        self.docker = {"image_name": '"reg.io/team/app"', "image_tag": '""'}
        self.rest = ""

    def file(self, name: str, text: str) -> None:
        (self.path / name).write_text(dedent(text))

    def graph(self) -> Graph:
        tables = {"metadata": self.metadata, "execution": self.execution, "docker": self.docker}
        text = "\n".join(
            f"[{table}]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()) + "\n"
            for table, keys in tables.items()
        )
        self.file("config.toml", text + dedent(self.rest))
        pipeline, found = load_pipeline(self.path, static_only=True)
        assert pipeline is not None, found
        return desired_graph(pipeline, "sha256:source")

    def resource(self, address: Address) -> Resource:
        resource = self.graph().get(address)
        assert resource is not None
        return resource


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def training(folder: Folder) -> Folder:
    folder.metadata["type"] = '"TRAINING"'
    folder.rest = """
        [model_version]
        origin_name = "Detector"
        name = "v1"
        framework = "ONNX"
        inference_type = "OBJECT_DETECTION"
        """
    return folder


PARAMETERS = """
    from picsellia_cv_engine.core.parameters import Parameters


    class MyParameters(Parameters):
        def __init__(self, log_data):
            super().__init__(log_data=log_data)
            self.epochs = self.extract_parameter(["epochs"], expected_type=int, default=3)
    """
INPUTS = """
    from picsellia.types.enums import ProcessingInputType
    from picsellia_pipelines_cli.utils.inputs import PipelineInputs


    class MyInputs(PipelineInputs):
        def __init__(self):
            super().__init__()
            self.define_input(name="dataset", input_type=ProcessingInputType.DATASET_VERSION)
    """


def addresses(graph: Graph) -> list[str]:
    return [str(resource.address) for resource in graph]


def fields(resource: Resource) -> dict[str, Any]:
    return dict(resource.fields)


class TestImage:
    def test_its_version_and_its_channel(self, folder: Folder) -> None:
        assert fields(folder.resource(IMAGE)) == {
            "version": "1.0.0",
            "channel": "latest",
            "source_key": "sha256:source",
            "platform": "linux/amd64",
        }

    def test_a_release_candidate_has_a_channel_of_its_own(self, folder: Folder) -> None:
        folder.metadata["version"] = '"1.1.0-rc"'
        assert folder.resource(IMAGE).fields["channel"] == "test"
        assert folder.resource(APP).fields["docker_tag"] == "test"

    def test_a_pinned_one_is_registered_by_its_version(self, folder: Folder) -> None:
        folder.rest = '[reconciler]\npin = "version"\n'
        assert folder.resource(APP).fields["docker_tag"] == "1.0.0"
        assert folder.resource(IMAGE).fields["channel"] == "latest"


class TestProcessing:
    def test_what_the_files_do_not_give_is_not_managed(self, folder: Folder) -> None:
        assert fields(folder.resource(APP)) == {
            "type": "PRE_ANNOTATION",
            "target": "DATASET_VERSION",
            "docker_image": "reg.io/team/app",
            "docker_tag": "latest",
        }

    def test_what_they_give_is(self, folder: Folder) -> None:
        folder.file("parameters.py", PARAMETERS)
        folder.metadata["description"] = '"Counts apples."'
        folder.execution["parameters_class"] = '"parameters.py:MyParameters"'
        folder.docker |= {"cpu": '"8"', "gpu": "1"}
        given = fields(folder.resource(APP))
        assert given.keys() == {
            "type",
            "target",
            "docker_image",
            "docker_tag",
            "description",
            "default_cpu",
            "default_gpu",
            "default_parameters",
            "docker_flags",
        }
        assert (given["description"], given["default_cpu"], given["default_gpu"]) == ("Counts apples.", 8, 1)
        assert given["default_parameters"] == {"epochs": 3}

    def test_an_explicit_empty_value_is_given(self, folder: Folder) -> None:
        folder.metadata["description"] = '""'
        assert folder.resource(APP).fields["description"] == ""

    @pytest.mark.parametrize(("gpu", "flags"), [("0", []), ("2", ["--gpus=all", "--ipc=host"])])
    def test_gpus_want_flags(self, folder: Folder, gpu: str, flags: list[str]) -> None:
        folder.docker["gpu"] = gpu
        assert folder.resource(APP).fields["docker_flags"] == flags

    @pytest.mark.parametrize(
        ("type", "target"),
        [
            ("PRE_ANNOTATION", "DATASET_VERSION"),
            ("DATA_AUTO_TAGGING", "DATALAKE"),
            ("MODEL_CONVERSION", "MODEL_VERSION"),
            ("MODEL_COMPRESSION", "MODEL_VERSION"),
        ],
    )
    def test_the_target_follows_from_the_type(self, folder: Folder, type: str, target: str) -> None:
        folder.metadata["type"] = f'"{type}"'
        assert folder.resource(APP).fields["target"] == target

    def test_every_type_of_processing_has_a_target(self, folder: Folder) -> None:
        from providers.enums import PROCESSING_TYPES

        assert set(PROCESSING_TYPES) == set(TARGET_OF_TYPE)

    def test_it_waits_for_its_image(self, folder: Folder) -> None:
        assert folder.resource(APP).depends_on == (IMAGE,)

    def test_a_field_knows_its_line(self, folder: Folder) -> None:
        folder.docker["cpu"] = "8"
        origin = folder.resource(APP).origins["default_cpu"]
        assert origin.file == folder.path / "config.toml" and origin.line is not None
        lines = origin.file.read_text().splitlines()
        assert lines[origin.line - 1] == "cpu = 8"


class TestInputs:
    def test_without_a_class_they_are_untouched(self, folder: Folder) -> None:
        assert folder.resource(APP).owns == ()
        assert addresses(folder.graph()) == ["image/reg.io/team/app", "processing/app"]

    def test_a_class_owns_the_whole_list(self, folder: Folder) -> None:
        folder.file("inputs.py", INPUTS)
        folder.execution["inputs_class"] = '"inputs.py:MyInputs"'
        assert folder.resource(APP).owns == ("input",)
        dataset = folder.resource(Address.of("input", "app", "dataset"))
        assert dataset.depends_on == (APP,)
        assert fields(dataset) == {
            "input_type": "DATASET_VERSION",
            "required": True,
            "inference_type_constraint": None,
            "framework_constraint": None,
        }
        assert dataset.origins["required"].file == folder.path / "inputs.py"

    def test_a_class_without_inputs_owns_an_empty_list(self, folder: Folder) -> None:
        folder.file("inputs.py", INPUTS[: INPUTS.index("            self.define_input")])
        folder.execution["inputs_class"] = '"inputs.py:MyInputs"'
        assert folder.resource(APP).owns == ("input",)
        assert len(folder.graph()) == 2


class TestTraining:
    def test_a_model_and_its_version_wait_for_the_image(self, training: Folder) -> None:
        graph = training.graph()
        assert addresses(graph) == ["image/reg.io/team/app", "model/Detector", "model-version/Detector/v1"]
        assert training.resource(Address.of("model", "Detector")).depends_on == (IMAGE,)
        version = training.resource(Address.of("model-version", "Detector", "v1"))
        assert version.depends_on == (Address.of("model", "Detector"),)

    def test_what_a_version_gets(self, training: Folder) -> None:
        training.file("parameters.py", PARAMETERS)
        training.execution["parameters_class"] = '"parameters.py:MyParameters"'
        assert fields(training.resource(Address.of("model-version", "Detector", "v1"))) == {
            "name": "v1",
            "framework": "ONNX",
            "type": "OBJECT_DETECTION",
            "docker_image": "reg.io/team/app",
            "docker_tag": "latest",
            "docker_flags": ["--gpus all", "--ipc host", "--name training"],
            "parameters": {"epochs": 3},
        }

    def test_without_a_class_parameters_are_not_managed(self, training: Folder) -> None:
        version = training.resource(Address.of("model-version", "Detector", "v1"))
        assert "parameters" not in version.fields

    def test_several_targets_share_their_models(self, training: Folder) -> None:
        training.rest = "".join(
            f'[[model_versions]]\norigin_name = "{model}"\nname = "{name}"\nframework = "ONNX"\n'
            for model, name in (("B", "v1"), ("A", "v1"), ("A", "v2"))
        )
        assert sorted(addresses(training.graph())) == [
            "image/reg.io/team/app",
            "model-version/A/v1",
            "model-version/A/v2",
            "model-version/B/v1",
            "model/A",
            "model/B",
        ]

    def test_of_a_repeated_pair_the_last_row_counts(self, training: Folder) -> None:
        training.rest = "".join(
            f'[[model_versions]]\norigin_name = "A"\nname = "v1"\nframework = "{framework}"\n'
            for framework in ("ONNX", "PYTORCH")
        )
        assert len(training.graph()) == 3
        version = training.resource(Address.of("model-version", "A", "v1"))
        assert version.fields["framework"] == "PYTORCH"

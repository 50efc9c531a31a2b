"""`[defaults]` below a pipeline's `[reconciler]`, and overlays of declared environments."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.pipeline.config import LoadedConfig, read
from reconciler.pipeline.shared import SharedSettings
from reconciler.workspace.reader import read as read_workspace
from tests.pipeline.conftest import PROCESSING

FILE = Path("/repo/reconciler.toml")


def shared(text: str) -> SharedSettings:
    workspace, problems = read_workspace(text, FILE)
    assert workspace is not None and problems == ()
    return workspace.shared()


def seen(config: str, defaults: str, environment: str | None = None) -> LoadedConfig:
    loaded = read(config, Path("config.toml"), environment, shared(defaults))
    assert loaded.config is not None, loaded.diagnostics
    return loaded


def image(loaded: LoadedConfig) -> object:
    assert loaded.config is not None
    return loaded.config.reconciler.image


OWN = '\n[reconciler.image]\nbuilder = "engine"\n'
DEFAULTS = '[defaults.image]\nbuilder = "buildx"\nplatform = "linux/arm64"\n'
OVERLAY = '\n[reconciler.env.PROD.reconciler.image]\nbuilder = "append"\n'


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize("overlay", [True, False])
@pytest.mark.parametrize("environment", ["PROD", "STAGING", None])
def test_the_overlay_comes_before_the_pipeline_and_that_before_the_defaults(
    own: bool, defaults: bool, overlay: bool, environment: str | None
) -> None:
    config = PROCESSING + (OWN if own else "") + (OVERLAY if overlay else "")
    loaded = seen(config, DEFAULTS if defaults else "", environment)
    assert loaded.config is not None

    expected = "auto"
    if defaults:
        expected = "buildx"
    if own:
        expected = "engine"
    if overlay and environment == "PROD":
        expected = "append"
    assert loaded.config.reconciler.image.builder == expected
    assert loaded.config.reconciler.image.platform == ("linux/arm64" if defaults else "linux/amd64")

    place = loaded.place_of("reconciler", "image", "builder")
    assert (place == (FILE, 2)) == (expected == "buildx"), place
    if defaults:
        assert loaded.place_of("reconciler", "image", "platform") == (FILE, 3)


KEYS = st.sampled_from(["builder", "platform", "dockerfile", "target"])
VALUES = {
    "builder": st.sampled_from(["auto", "append", "buildx"]),
    "platform": st.sampled_from(["linux/amd64", "linux/arm64"]),
    "dockerfile": st.sampled_from(["Dockerfile", "gpu.Dockerfile"]),
    "target": st.sampled_from(["train", "serve"]),
}
TABLE = st.fixed_dictionaries({}, optional=VALUES)


def toml(table: str, values: dict[str, str]) -> str:
    return f"\n[{table}]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items())


@given(TABLE, TABLE, TABLE)
def test_defaults_read_as_if_each_pipeline_had_them(
    own: dict[str, str], defaults: dict[str, str], overlay: dict[str, str]
) -> None:
    over = toml("reconciler.env.PROD.reconciler.image", overlay)
    with_defaults = seen(
        PROCESSING + toml("reconciler.image", own) + over, toml("defaults.image", defaults), "PROD"
    )
    written_out = seen(PROCESSING + toml("reconciler.image", {**defaults, **own, **overlay}), "", "PROD")
    assert image(with_defaults) == image(written_out)
    for key in VALUES:
        if key in defaults:
            inherited = key not in own and key not in overlay
            assert with_defaults.is_inherited("reconciler", "image", key) == inherited


def test_tables_of_a_table_are_merged_and_lists_replaced() -> None:
    defaults = '[defaults.image]\ncache_from = ["a", "b"]\nbuild_args = { A = "1", B = "1" }\n'
    own = '\n[reconciler.image]\ncache_from = ["c"]\nbuild_args = { B = "2" }\n'
    config = seen(PROCESSING + own, defaults).config
    assert config is not None
    assert config.reconciler.image.cache_from == ("c",)
    assert dict(config.reconciler.image.build_args) == {"A": "1", "B": "2"}


def test_defaults_are_no_part_of_the_document_that_the_source_key_is_of() -> None:
    assert seen(PROCESSING, DEFAULTS).document == seen(PROCESSING, "").document


def test_an_overlay_of_a_declared_environment() -> None:
    declared = '[environments.EU]\nhost = "https://eu.example"\norganization = "o"\n'
    config = PROCESSING + "\n[reconciler.env.EU.docker]\ncpu = 9\n"
    eu, prod = seen(config, declared, "EU").config, seen(config, declared, "PROD").config
    assert eu is not None and prod is not None
    assert (eu.docker.cpu, prod.docker.cpu) == (9, 4)

    (problem,) = read(config, Path("config.toml"), "EU").diagnostics
    assert problem.summary == "'EU' is not an environment"
    assert "Use one of PROD, STAGING, LOCAL, CUSTOM." in problem.detail

"""The environments that share a moving tag, as far as reconciler.toml and overlays of config.toml show it."""

from itertools import product
from pathlib import Path

import pytest

from reconciler.core.values import image_address
from reconciler.pipeline.channels import affected_environments, channel_warnings
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.workspace.reader import load as load_workspace
from tests.pipeline.test_overlays import PROCESSING

APP = PROCESSING.partition("[reconciler]")[0]


def pipeline(folder: Path, workspace: str, config: str = APP, environment: str | None = None) -> Pipeline:
    """The pipeline in this folder, with these two files."""
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "config.toml").write_text(config)
    (folder / "reconciler.toml").write_text(workspace)
    found, problems = load_workspace(folder / "reconciler.toml")
    assert found is not None, problems
    loaded = load(folder / "app", environment=environment, shared=found.shared())
    assert loaded.config is not None, loaded.diagnostics
    return Pipeline(folder / "app", loaded.config.metadata.name, loaded.config, loaded, None, None)


def environments(**tables: str) -> str:
    return "".join(
        f'[environments.{name}]\norganization = "{name.lower()}"\n{keys}\n' for name, keys in tables.items()
    )


def warned(folder: Path, workspace: str, config: str = APP) -> list[str]:
    return [problem.summary for problem in channel_warnings(pipeline(folder, workspace, config))]


def affected(folder: Path, workspace: str, environment: str) -> list[str]:
    """The environments that a deploy to this one changes, too."""
    here = pipeline(folder, workspace, environment=environment)
    return affected_environments(here, image_address(here.config.docker.image_name), here.channel)


def test_two_environments_with_the_usual_tags_share_them(tmp_path: Path) -> None:
    (problem,) = channel_warnings(pipeline(tmp_path, environments(STAGING="", PROD="")))

    assert problem.summary == "STAGING and PROD share the tag latest: a deploy to one changes what both run"
    assert '[environments.PROD] follows = "STAGING"' in problem.detail
    assert problem.place == f"{tmp_path}/reconciler.toml:4"


KEYS = {
    "nothing": ("latest", False),
    'channel = "one"': ("one", False),
    'channel = "other"': ("other", False),
    'pin = "version"': (None, False),
    'follows = "STAGING"': ("", True),  # the tag of STAGING
}
PAIRS = [(staging, prod) for staging in KEYS if "follows" not in staging for prod in KEYS]


@pytest.mark.parametrize(("staging", "prod"), PAIRS)
def test_a_pair_shares_exactly_an_equal_moving_tag_without_follows(
    tmp_path: Path, staging: str, prod: str
) -> None:
    tables = {"STAGING": staging, "PROD": prod}
    text = environments(**{name: "" if keys == "nothing" else keys for name, keys in tables.items()})
    (one, _), (other, follows) = KEYS[staging], KEYS[prod]
    other = (one or "latest") if follows else other

    without_effect = ["PROD follows STAGING, but they have different tags, so it has no effect"]
    shares = one == other and one is not None and not follows
    assert bool(warned(tmp_path, text)) == (shares or (follows and one is None))
    if follows and one is None:
        assert warned(tmp_path, text) == without_effect
    # A deploy moves the channel of a pinned environment, too. A follower that moves the tag itself changes
    # the image of the other environment, where nothing announces it.
    to_prod = (one or "latest") == other and not follows
    assert affected(tmp_path, text, "STAGING") == ["PROD"] * to_prod
    to_staging = (other or "latest") == one
    assert affected(tmp_path, text, "PROD") == ["STAGING"] * to_staging


def test_overlays_name_environments_too(tmp_path: Path) -> None:
    config = APP + "[reconciler.env.STAGING.docker]\ncpu = 2\n[reconciler.env.PROD.docker]\ncpu = 8\n"

    (problem,) = channel_warnings(pipeline(tmp_path, "", config))

    assert "STAGING and PROD share the tag latest" in problem.summary
    assert problem.place == f"{tmp_path}/app/config.toml:17", "the overlay of PROD"


@pytest.mark.parametrize(
    "overlay",
    [
        'docker]\nimage_name = "prod/cleanup"',
        'metadata]\nversion = "1.0.1-rc"',
        'reconciler]\npin = "version"',
    ],
)
def test_an_overlay_can_end_the_sharing(tmp_path: Path, overlay: str) -> None:
    text = environments(STAGING="", PROD="")
    assert warned(tmp_path, text)
    assert not warned(tmp_path, text, f"{APP}[reconciler.env.PROD.{overlay}\n")


def test_one_environment_shares_nothing(tmp_path: Path) -> None:
    assert not warned(tmp_path, "") and not warned(tmp_path, environments(PROD=""))


@pytest.mark.parametrize("keys", ['channel = "prod"', 'pin = "version"'])
def test_follows_without_a_shared_tag_is_a_warning_with_its_line(tmp_path: Path, keys: str) -> None:
    text = environments(STAGING="", PROD=f'{keys}\nfollows = "STAGING"')

    (problem,) = channel_warnings(pipeline(tmp_path, text))

    assert problem.summary.startswith("PROD follows STAGING, but they have different tags")
    assert problem.place == f"{tmp_path}/reconciler.toml:7"


def test_three_environments_are_one_warning(tmp_path: Path) -> None:
    (summary,) = warned(tmp_path, environments(STAGING="", PROD="", LOCAL=""))
    assert summary == "STAGING, PROD and LOCAL share the tag latest: a deploy to one changes what all run"


def test_a_follower_of_a_follower_has_the_channel_of_the_first(tmp_path: Path) -> None:
    text = environments(STAGING='channel = "next"', PROD='follows = "LOCAL"', LOCAL='follows = "STAGING"')

    assert warned(tmp_path, text) == []
    for environment in ("STAGING", "PROD", "LOCAL"):
        assert pipeline(tmp_path, text, environment=environment).channel == "next"
    assert affected(tmp_path, text, "STAGING") == []


PINS = {"": None, 'pin = "channel"': False, 'pin = "version"': True}


@pytest.mark.parametrize(("own", "environment", "default"), list(product(PINS, repeat=3)))
def test_the_pipelines_own_pin_comes_before_the_environments_and_the_default(
    tmp_path: Path, own: str, environment: str, default: str
) -> None:
    text = environments(PROD=environment) + f"[defaults]\n{default}\n"
    expected = next((PINS[pin] for pin in (own, environment, default) if PINS[pin] is not None), False)
    for place in ("[reconciler]", "[reconciler.env.PROD.reconciler]"):
        found = pipeline(tmp_path, text, f"{APP}{place}\n{own}\n", "PROD")
        assert found.is_pinned == expected, place


def test_the_pin_of_an_environment_is_for_that_one_only(tmp_path: Path) -> None:
    text = environments(PROD='pin = "version"', STAGING="")
    for environment, pinned in (("PROD", True), ("STAGING", False), (None, False)):
        assert pipeline(tmp_path, text, environment=environment).is_pinned == pinned

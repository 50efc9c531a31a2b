"""The assessment of the kind `image`: one row per situation, from data alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.docker.image import ImageKind, PromotedImage
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.protocol import Assessment, LiveObject, RequiredAction
from providers.reasons import Reason, Refusal, WayOut
from reconciler.views import phrases

KEY, OLD_KEY = "v2:new", "v2:old"
DESIRED = {"version": "1.0.1", "channel": "latest", "source_key": KEY, "platform": "linux/amd64"}
RECORDED = {**DESIRED, "version": "1.0.0", "source_key": OLD_KEY}
NEW_VERSION = WayOut(ImageWay.NEW_VERSION, "reconciler apply app --bump patch")
ACCEPT = WayOut(ImageWay.ACCEPT_FOREIGN, "reconciler apply app --accept-foreign")


def reason_of(assessment: Assessment) -> str:
    return phrases.reason(assessment.reason)


def never() -> Any:
    raise AssertionError("a verdict needs no builder and no label")


def kind(**files: str) -> ImageKind:
    key = SourceKey(KEY, files, {}, 0)
    source = ImageSource(folder=Path("app"))
    return ImageKind("reg.io/app", source, key, never, never, new_version=NEW_VERSION, accept=ACCEPT)


def promoting(digest: str = "sha256:there") -> ImageKind:
    source = ImageSource(folder=Path("app"))
    key = SourceKey(KEY, {}, {}, 0)
    promoted = PromotedImage("STAGING", digest, never)
    return ImageKind("reg.io/app", source, key, never, never, new_version=NEW_VERSION, promoted=promoted)


def published(
    *, tag: str | None = "1.0.1", moved_to: str | None = None, label: str | None = KEY, **fields: Any
) -> LiveObject:
    found = {**DESIRED, **fields}
    return LiveObject(
        "sha256:here",
        ("reg.io", "app"),
        found,
        {"digest": "sha256:here", "tag": tag, "channel_points_to": moved_to, "source_key": label},
    )


def pointing_at(image: str, tag: str) -> LiveObject:
    return LiveObject("1", ("app",), {"docker_image": image, "docker_tag": tag})


@pytest.mark.parametrize(
    ("live", "others", "need", "reason"),
    [
        (None, [], RequiredAction.CREATE, "never-published"),
        (None, [pointing_at("reg.io/app", "latest")], RequiredAction.CREATE, "missing"),
        (None, [pointing_at("reg.io/app", "1.0.1")], RequiredAction.CREATE, "missing"),
        (None, [pointing_at("elsewhere/app", "latest")], RequiredAction.CREATE, "never-published"),
        (published(), [], RequiredAction.NOTHING, "published"),
        (published(tag=None), [], RequiredAction.UPDATE, "same-source"),
        (
            published(tag=None, version="1.0.0", source_key=OLD_KEY),
            [],
            RequiredAction.UPDATE,
            "source-changed",
        ),
        (
            published(channel=None, moved_to="sha256:there"),
            [],
            RequiredAction.UPDATE,
            "tag-moved: latest points at sha256:there",
        ),
        (published(channel=None), [], RequiredAction.UPDATE, "tag-moved: latest was deleted"),
        (published(), [], RequiredAction.NOTHING, "published"),
        (
            published(label=None),
            [],
            RequiredAction.NOTHING,
            "foreign: published by another tool, and accepted",
        ),
    ],
)
def test_a_situation_has_its_verdict(
    live: LiveObject | None, others: list[LiveObject], need: RequiredAction, reason: str
) -> None:
    assess = kind().facts.assess
    assert assess is not None

    verdict = assess(DESIRED, RECORDED, {}, live, others)

    assert verdict.need is need
    assert reason_of(verdict).startswith(reason)
    assert verdict.refusal is None


@pytest.mark.parametrize("recorded", [None, RECORDED, {**RECORDED, "channel": "test"}])
@pytest.mark.parametrize(
    "users", [[], [pointing_at("reg.io/app", "latest")], [pointing_at("reg.io/app", "test")]]
)
def test_a_tag_that_nothing_used_is_new_and_was_not_deleted(
    recorded: Mapping[str, Any] | None, users: list[LiveObject]
) -> None:
    assess = kind().facts.assess
    assert assess is not None

    verdict = assess(DESIRED, recorded, {}, published(channel="test"), users)

    was_used = recorded is RECORDED or pointing_at("reg.io/app", "latest") in users
    words = (
        "tag-moved: latest was deleted; re-tagged, no build"
        if was_used
        else "new-tag: latest does not exist yet; tagged, no build"
    )
    assert (verdict.need, reason_of(verdict)) == (RequiredAction.UPDATE, words)


@pytest.mark.parametrize(
    ("live", "digest", "need", "copied"),
    [
        (None, "sha256:there", RequiredAction.CREATE, True),
        (published(tag=None), "sha256:there", RequiredAction.UPDATE, True),
        (published(tag=None), "sha256:here", RequiredAction.UPDATE, False),
        (published(channel=None), "sha256:here", RequiredAction.UPDATE, False),
    ],
)
def test_a_promoted_image_is_copied_or_tagged_and_never_built(
    live: LiveObject | None, digest: str, need: RequiredAction, copied: bool
) -> None:
    kind = promoting(digest)
    assert kind.facts.assess is not None

    verdict = kind.facts.assess(DESIRED, None, {}, live, [])

    assert (verdict.need, verdict.refusal) == (need, None)
    assert verdict.reason == Reason(ImageVerdict.PROMOTED, {"environment": "STAGING", "copied": copied})
    assert kind.builder_for(live, DESIRED) is None
    assert live is None or kind.is_other_content(live, DESIRED) is copied


def test_a_promoted_image_that_has_its_tags_needs_nothing() -> None:
    assess = promoting("sha256:here").facts.assess
    assert assess is not None

    assert assess(DESIRED, None, {}, published(), []).need is RequiredAction.NOTHING


def test_a_version_that_is_another_image_of_the_same_source_is_not_promoted_over() -> None:
    assess = promoting("sha256:there").facts.assess
    assert assess is not None

    refusal = assess(DESIRED, None, {}, published(), []).refusal

    assert refusal is not None and refusal.ways == (NEW_VERSION,)
    assert refusal.reason.code is ImageRefusal.OTHER_IMAGE
    assert (refusal.reason.details["published"], refusal.reason.details["promoted"]) == (
        "sha256:here",
        "sha256:there",
    )


def test_a_version_of_another_source_is_refused_with_the_differences() -> None:
    assess = kind(**{"a.py": "2", "new.py": "3", "there.py": "4"}).facts.assess
    assert assess is not None
    outputs = {"digest": "sha256:here", "files": {"a.py": "1", "gone.py": "1", "here.py": "4"}}

    verdict = assess(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert reason_of(verdict) == (
        "source-changed: a.py changed, gone.py removed, here.py moved to there.py, new.py added"
    )
    assert verdict.refusal is not None
    assert "1.0.1 is published from another source" in phrases.reason(verdict.refusal.reason)
    assert verdict.refusal.ways == (NEW_VERSION,)


@pytest.mark.parametrize("recorded_version", ["1.0.0", "1.0.1", None])
@pytest.mark.parametrize("recorded_key", [KEY, OLD_KEY, None])
@pytest.mark.parametrize("label", ["1.0.0", "1.0.1", None])
@pytest.mark.parametrize("key", [KEY, OLD_KEY, None])
def test_a_version_without_its_tag_never_gets_a_second_source(
    recorded_version: str | None, recorded_key: str | None, label: str | None, key: str | None
) -> None:
    """Its image may run by the channel tag, and history names it."""
    assess = kind().facts.assess
    assert assess is not None
    recorded = {**DESIRED, "version": recorded_version, "source_key": recorded_key}
    # As `ImageKind.read` returns an image that has this version in its label, but no tag of it.
    live = published(tag=None, version=None if label == "1.0.1" else label, source_key=key)
    if label is None:
        live = replace(live, fields={name: live.fields[name] for name in live.fields if name != "version"})

    verdict = assess(DESIRED, recorded if recorded_version else None, {}, live, [])

    sources = {key} if label == "1.0.1" else set()
    if recorded_version == "1.0.1" and not sources:
        sources = {recorded_key}
    is_refused = sources == {OLD_KEY}
    assert (verdict.refusal is not None) is is_refused
    if verdict.refusal is not None:
        assert verdict.refusal.reason.code is ImageRefusal.VERSION_TAKEN
        assert verdict.refusal.ways == (NEW_VERSION,)
        words = phrases.reason(verdict.refusal.reason)
        assert words.startswith("1.0.1 had another source before its tag was deleted")


def test_further_differences_are_counted() -> None:
    assess = kind(**{f"{number}.py": str(number) for number in range(9)}).facts.assess
    assert assess is not None

    outputs = {"digest": "sha256:here", "files": {}}

    verdict = assess(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert reason_of(verdict) == "source-changed: 0.py added, 1.py added, 2.py added, 3.py added and 5 more"


def test_state_of_another_image_is_not_used() -> None:
    assess = kind(**{"a.py": "2"}).facts.assess
    assert assess is not None
    outputs = {"digest": "sha256:before somebody else published", "files": {"a.py": "1"}}

    verdict = assess(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert reason_of(verdict) == "source-changed: the state does not say which of its 1 file differ"


def test_without_state_the_files_are_counted_and_the_commit_is_named() -> None:
    assess = kind(**{"a.py": "2", "b.py": "1"}).facts.assess
    assert assess is not None
    live = published(source_key=OLD_KEY)
    of_a_commit = replace(live, outputs={**live.outputs, "revision": "0123456789abcdef"})

    verdict = assess(DESIRED, None, {}, live, [])
    assert reason_of(verdict) == "source-changed: the state does not say which of its 2 files differ"
    assert verdict.refusal
    named = reason_of(assess(DESIRED, None, {}, of_a_commit, []))
    assert named.endswith("files differ; try git diff 0123456789ab")


@pytest.mark.parametrize("channel", ["latest", None])
def test_a_version_that_another_tool_published_is_never_assumed_to_be_this_source(
    channel: str | None,
) -> None:
    assess = kind().facts.assess
    assert assess is not None
    foreign = published(source_key=None, label=None, channel=channel)

    for recorded in (None, RECORDED, DESIRED):
        verdict = assess(DESIRED, recorded, {}, foreign, [])

        assert verdict.reason == Reason(ImageVerdict.FOREIGN, {"accepted": False})
        assert verdict.refusal == Refusal(
            Reason(ImageRefusal.FOREIGN_VERSION, {"version": "1.0.1"}), (NEW_VERSION, ACCEPT)
        )


def test_an_accepted_version_is_another_source_once_a_file_changed() -> None:
    assess = kind().facts.assess
    assert assess is not None
    accepted = published(source_key=OLD_KEY, label=None)

    verdict = assess(DESIRED, DESIRED, {}, accepted, [])

    assert verdict.reason.code is ImageVerdict.SOURCE_CHANGED
    assert verdict.refusal


def test_only_the_files_of_the_same_recipe_are_compared() -> None:
    """State of an earlier version has another digest of config.toml, which is not a change."""
    key = SourceKey(
        KEY,
        {"config.toml": "2", "a.py": "1"},
        {},
        0,
        first="sha256:first",
        first_files={"config.toml": "1"},
    )
    source = ImageSource(folder=Path("app"))
    compared = ImageKind("reg.io/app", source, key, never, never, new_version=NEW_VERSION).source_differences
    digest = {"digest": "sha256:here"}
    live = published(source_key="sha256:old")

    first = {**digest, "source_key": "sha256:old", "files": {"config.toml": "1", "a.py": "0"}}
    assert compared(first, live) == ["a.py changed"]
    now = {**digest, "source_key": "v2:old", "files": {"config.toml": "2", "a.py": "0"}}
    assert compared(now, live) == ["a.py changed"]
    since = {**first, "stands_for": "v2:old", "files": {"config.toml": "2", "a.py": "0"}}
    assert compared(since, live) == ["a.py changed"]

"""What the kind `image` says should be done: one row per situation, from data alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.docker.image import ImageKind
from providers.docker.source import ImageSource, SourceKey
from providers.protocol import Live, Need

KEY, OLD_KEY = "sha256:new", "sha256:old"
DESIRED = {"version": "1.0.1", "channel": "latest", "source_key": KEY, "platform": "linux/amd64"}
RECORDED = {**DESIRED, "version": "1.0.0", "source_key": OLD_KEY}
HINT = "reconciler apply app --bump patch"


def never() -> Any:
    raise AssertionError("a verdict needs no builder and no label")


def kind(**files: str) -> ImageKind:
    key = SourceKey(KEY, files, {}, 0)
    return ImageKind("reg.io/app", ImageSource(folder=Path("app")), key, never, never, bump_hint=HINT)


def published(*, tag: str | None = "1.0.1", moved_to: str | None = None, **fields: Any) -> Live:
    found = {**DESIRED, **fields}
    return Live(
        "sha256:here",
        ("reg.io", "app"),
        {name: value for name, value in found.items() if value is not ...},
        {"digest": "sha256:here", "tag": tag, "channel_points_to": moved_to},
    )


def pointing_at(image: str, tag: str) -> Live:
    return Live("1", ("app",), {"docker_image": image, "docker_tag": tag})


@pytest.mark.parametrize(
    ("live", "others", "need", "reason"),
    [
        (None, [], Need.CREATE, "never-published"),
        (None, [pointing_at("reg.io/app", "latest")], Need.CREATE, "missing"),
        (None, [pointing_at("reg.io/app", "1.0.1")], Need.CREATE, "missing"),
        (None, [pointing_at("elsewhere/app", "latest")], Need.CREATE, "never-published"),
        (published(), [], Need.NOTHING, "published"),
        (published(tag=None), [], Need.UPDATE, "same-source"),
        (published(tag=None, source_key=OLD_KEY), [], Need.UPDATE, "source-changed"),
        (
            published(channel=None, moved_to="sha256:there"),
            [],
            Need.UPDATE,
            "tag-moved: latest points at sha256:there",
        ),
        (published(channel=None), [], Need.UPDATE, "tag-moved: latest is gone"),
        (published(source_key=...), [], Need.NOTHING, "foreign"),
    ],
)
def test_a_situation_has_its_verdict(live: Live | None, others: list[Live], need: Need, reason: str) -> None:
    judge = kind().facts.judge
    assert judge is not None

    verdict = judge(DESIRED, RECORDED, {}, live, others)

    assert verdict.need is need
    assert verdict.reason.startswith(reason)
    assert verdict.refusal == ""
    assert bool(verdict.warning) == (reason == "foreign")


def test_a_published_version_of_other_source_is_refused_and_names_what_changed() -> None:
    judge = kind(**{"a.py": "2", "new.py": "3", "there.py": "4"}).facts.judge
    assert judge is not None
    outputs = {"digest": "sha256:here", "files": {"a.py": "1", "gone.py": "1", "here.py": "4"}}

    verdict = judge(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert verdict.reason == (
        "source-changed: a.py changed, gone.py removed, here.py moved to there.py, new.py added"
    )
    assert "1.0.1 is published from other source" in verdict.refusal
    assert verdict.hint == HINT


def test_more_changes_than_a_line_holds_are_counted() -> None:
    judge = kind(**{f"{number}.py": str(number) for number in range(9)}).facts.judge
    assert judge is not None

    outputs = {"digest": "sha256:here", "files": {}}

    verdict = judge(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert verdict.reason == "source-changed: 0.py added, 1.py added, 2.py added, 3.py added and 5 more"


def test_a_record_of_another_image_says_nothing_of_this_one() -> None:
    judge = kind(**{"a.py": "2"}).facts.judge
    assert judge is not None
    outputs = {"digest": "sha256:before somebody else published", "files": {"a.py": "1"}}

    verdict = judge(DESIRED, RECORDED, outputs, published(source_key=OLD_KEY), [])

    assert verdict.reason == "source-changed: no record says which of its 1 files differ"


def test_without_a_record_the_files_are_counted_and_the_commit_is_named() -> None:
    judge = kind(**{"a.py": "2", "b.py": "1"}).facts.judge
    assert judge is not None
    live = published(source_key=OLD_KEY)
    of_a_commit = replace(live, outputs={**live.outputs, "revision": "0123456789abcdef"})

    verdict = judge(DESIRED, None, {}, live, [])
    assert verdict.reason == "source-changed: no record says which of its 2 files differ"
    assert verdict.refusal
    assert judge(DESIRED, None, {}, of_a_commit, []).reason.endswith(
        "files differ; try git diff 0123456789ab"
    )


def test_source_that_changed_since_another_tools_image_was_taken_over_is_refused() -> None:
    judge = kind().facts.judge
    assert judge is not None
    foreign = published(source_key=...)

    assert judge(DESIRED, DESIRED, {"taken_over_from": KEY}, foreign, []).need is Need.NOTHING
    assert judge(DESIRED, DESIRED, {"taken_over_from": OLD_KEY}, foreign, []).refusal

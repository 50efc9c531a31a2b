"""Promotions: the image that an environment takes over from another one, refusals and ways out. Pure."""

from enum import StrEnum

from msgspec import Struct


class RunningVersion(Struct, frozen=True):
    """What an environment runs, by its last apply.

    Attributes:
        stack: the stack, as in `my-org@STAGING/app`.
        environment: its name in reconciler.toml, else that of its stack.
        image: the repository; "" if it runs nothing, as is everything below.
        version, digest: of the image.
        since: the start of the run that brought this image, ISO 8601; "" if the history does not show it.
        by: who started that run, as `user@host`; "" if it is unknown.
        commit: the commit that the image was built from, with "+dirty" if its files differed from it.
    """

    stack: str
    environment: str
    image: str = ""
    version: str = ""
    digest: str = ""
    since: str = ""
    by: str = ""
    commit: str = ""


class Promotion(Struct, frozen=True):
    """Both environments of a promotion, as they are before it.

    Attributes:
        source: the environment whose image is promoted.
        target: the environment that gets it.
        version: the version that the image gets there.
    """

    source: RunningVersion
    target: RunningVersion
    version: str


class PromotionRefusal(StrEnum):
    """Why an image is not promoted, or not published without a promotion. `source` is the environment."""

    NOT_APPLIED = "source-not-applied"
    UNFINISHED = "source-unfinished"  # its last apply failed, was interrupted, or left writes open
    DRIFTED = "source-drifted"  # `differing` lines and `more`
    IGNORES_IMAGE = "source-ignores-image"  # ignored `fields` keep what it `runs`, with `digest`
    NOT_RUN = "source-does-not-run-it"  # its last apply published `version`; `differing` objects run others
    OTHER_FILES = "other-files"  # `version`, `differing` and `more`, or None if unknown; `commit`, `dirty`
    OTHER_VERSION = "other-version"  # it `runs` one, and config.toml has `version`
    GATED = "gate-closed"  # `environment`, and `why`: one of those above or RUNS_ANOTHER, with its details
    OPENS_GATE = "opens-gate"  # moving a tag changes what `environment` runs, which has a gate for `source`
    RUNS_ANOTHER = "source-runs-another"  # only in `why`; `runs` and its `digest`


class PromotionWay(StrEnum):
    """A way out of such a refusal."""

    APPLY_SOURCE = "apply-source"
    MANAGE_IMAGE = "manage-image"
    CHECK_OUT = "check-out"
    FINAL = "final"
    PROMOTE = "promote"
    OVERRIDE = "override"

"""A reason and a way out of every code, with the details that its words need."""

from enum import StrEnum
from typing import Any

from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.reasons import Reason, WayOut
from reconciler.core.contract import ContractChange
from reconciler.core.promotion import PromotionRefusal, PromotionWay
from reconciler.core.reasons import ContractCode, ReasonCode, RefusalCode, Way

REASON_CODES: tuple[StrEnum, ...] = (
    *ReasonCode,
    *RefusalCode,
    *PromotionRefusal,
    *ImageVerdict,
    *ImageRefusal,
)
WAY_CODES: tuple[StrEnum, ...] = (*Way, *PromotionWay, *ImageWay)

_FIELDS = {"fields": ["default_cpu", "target"]}
_PARTS = {"fields": ["default_parameters"], "ignored": ["default_parameters.a", "default_parameters.b"]}
_CHANGED = {"differing": ["pipeline.py changed"], "more": 2}
_UNKNOWN = {"files": 5, "revision": "0123456789abcdef", "dirty": True}
_PLATFORMS = {"published": "linux/arm64", "platform": "linux/amd64"}
_CLAIM = {
    "stack": "my-org@STAGING/other",
    "since": "2025-03-01T12:00:00.000+00:00",
    "workspace_there": "",
    "declared_there": "other/config.toml:12",
    "declared_here": "app/config.toml:12",
}
_OF_FRAMEWORK = {"field": "framework_constraint"}
_OF_CONTRACTS: dict[ContractCode, dict[str, Any]] = {
    ContractCode.RENAMED: {"to": "masks"},
    ContractCode.TYPE_CHANGED: {"before": "DATASET_VERSION", "after": "MODEL_VERSION"},
    ContractCode.CONSTRAINED: {**_OF_FRAMEWORK, "before": None, "after": "ONNX"},
    ContractCode.CONSTRAINT_CHANGED: {**_OF_FRAMEWORK, "before": "ONNX", "after": "PYTORCH"},
    ContractCode.UNCONSTRAINED: {**_OF_FRAMEWORK, "before": "ONNX", "after": None},
}
_DRIFTED = {
    "source": "STAGING",
    "differing": [
        {"address": "processing/app", "path": "default_cpu", "recorded": 4, "live": 9},
        {"address": "processing/app", "path": "description", "recorded": "a text"},
        {"address": "input/app/data", "path": ""},
    ],
    "more": 0,
}
_FILES = {"source": "STAGING", "version": "1.2.0", "dirty": False}
_RUNS = {"source": "STAGING", "runs": "1.2.0", "digest": "sha256:0123456789ab"}
_NOT_RUN = {"source": "STAGING", "version": "1.2.0", "differing": [], "more": 0}
_ANOTHER = {"address": "processing/app", "runs": "1.1.0", "digest": "sha256:0123456789ab"}
_GATE = {"source": "STAGING", "environment": "PROD"}
_DETAILS: dict[StrEnum, list[dict[str, Any]]] = {
    ReasonCode.SEVERAL: [{"codes": ["changed-outside", "files-changed"]}],
    ReasonCode.UNMANAGED: [_FIELDS],
    ReasonCode.IGNORED_FIELDS: [_FIELDS],
    ReasonCode.UNREADABLE_FIELDS: [_FIELDS],
    ReasonCode.IMMUTABLE: [_FIELDS],
    ReasonCode.PARENT_REPLACED: [{"parent": "processing/app"}],
    ReasonCode.LEFT_FILES_KEPT: [{"place": "on the platform"}],
    ReasonCode.NOT_DESTROYED: [{"place": "on the platform"}],
    ReasonCode.CHANNEL_MOVED: [
        {"tag": "latest", "by": "STAGING", "version": "1.0.1"},
        {"tag": "latest", "by": "STAGING", "version": ""},
        {"tag": "latest", "by": "", "version": ""},
    ],
    ReasonCode.CHANNEL_NOT_MOVED: [
        {"tag": "live", "version": "1.0.1"},
        {"tag": "live", "version": ""},
        {"tag": "live", "version": "", "runs": "1.0.0"},
    ],
    ReasonCode.RENAMED_OUTSIDE: [{"to": "model/B"}],
    ReasonCode.APPLIED_ELSEWHERE: [{"stack": "my-org@STAGING/other"}],
    ReasonCode.CLAIMED_ELSEWHERE: [{"stack": "my-org@STAGING/other"}],
    ReasonCode.ORPHANED: [
        {"folder": "pipelines/app", "resources": 7},
        {"folder": "pipelines/app", "resources": 1, "declared": "other"},
    ],
    ReasonCode.UNSTATED: [{"text": "because"}],
    RefusalCode.REPLACE_LOSES_HISTORY: [_FIELDS],
    RefusalCode.OVERWRITES_IGNORED: [_PARTS],
    RefusalCode.PROTECTED: [{"action": "delete"}],
    RefusalCode.PROTECTED_PARENT: [{"parent": "processing/app"}],
    RefusalCode.BREAKS_CALLERS: [
        {"inputs": ["mask", "model"], "before": "1.0.0", "after": "1.1.0", "place": "app/config.toml:12"}
    ],
    RefusalCode.CLAIMED: [
        _CLAIM,
        {**_CLAIM, "declared_there": "", "declared_here": ""},
        {**_CLAIM, "workspace_there": "git.example.com/team-a"},
    ],
    RefusalCode.UNSTATED: [{"text": "because"}],
    PromotionRefusal.NOT_APPLIED: [{"source": "STAGING"}],
    PromotionRefusal.UNFINISHED: [{"source": "STAGING"}],
    PromotionRefusal.DRIFTED: [_DRIFTED, {**_DRIFTED, "more": 2}],
    PromotionRefusal.IGNORES_IMAGE: [
        {**_RUNS, "fields": ["docker_tag"]},
        {**_RUNS, "runs": "", "digest": "", "fields": ["docker_image", "docker_tag"]},
    ],
    PromotionRefusal.NOT_RUN: [
        {**_NOT_RUN, "differing": [_ANOTHER]},
        {**_NOT_RUN, "differing": [{**_ANOTHER, "runs": "", "digest": ""}], "more": 2},
        _NOT_RUN,
    ],
    PromotionRefusal.OTHER_FILES: [
        {**_FILES, **_CHANGED, "revision": "0123456789abcdef"},
        {**_FILES, "files": 5, "revision": "0123456789abcdef", "dirty": True},
        {**_FILES, "files": 5, "revision": None},
    ],
    PromotionRefusal.OTHER_VERSION: [{"source": "STAGING", "runs": "1.2.0-rc", "version": "1.2.0"}],
    PromotionRefusal.RUNS_ANOTHER: [_RUNS, {**_RUNS, "runs": "", "digest": ""}],
    PromotionRefusal.GATED: [
        {**_GATE, **_RUNS, "why": "source-runs-another"},
        {**_GATE, "why": "source-not-applied"},
        {**_GATE, "why": "source-unfinished"},
        {**_GATE, **_DRIFTED, "why": "source-drifted"},
        {**_GATE, **_RUNS, "fields": ["docker_tag"], "why": "source-ignores-image"},
        {**_GATE, **_NOT_RUN, "why": "source-does-not-run-it"},
    ],
    PromotionRefusal.OPENS_GATE: [_GATE],
    ImageVerdict.PROMOTED: [
        {"environment": "STAGING", "copied": True},
        {"environment": "STAGING", "copied": False},
    ],
    ImageRefusal.OTHER_IMAGE: [
        {"version": "1.2.0", "published": "sha256:0123", "environment": "STAGING", "promoted": "sha256:4567"}
    ],
    ImageVerdict.SOURCE_CHANGED: [_CHANGED, _UNKNOWN, {**_UNKNOWN, "revision": None, "dirty": False}],
    ImageVerdict.TAG_MOVED: [
        {"channel": "latest", "points_to": "sha256:0123"},
        {"channel": "latest", "points_to": None},
    ],
    ImageVerdict.NEW_TAG: [{"channel": "latest"}],
    ImageVerdict.FOREIGN: [{"accepted": True}, {"accepted": False}],
    ImageVerdict.OTHER_PLATFORM: [_PLATFORMS, {**_PLATFORMS, "published": ""}],
    ImageRefusal.WRONG_PLATFORM: [{"version": "1.0.0", **_PLATFORMS}],
    ImageRefusal.FOREIGN_VERSION: [{"version": "1.0.0"}],
    ImageRefusal.VERSION_TAKEN: [
        {"version": "1.0.0", **_CHANGED},
        {"version": "1.0.0", **_UNKNOWN},
        {"version": "1.0.0", "deleted": True, **_CHANGED},
        {"version": "1.0.0", "deleted": True, "differing": [], "more": 0},
    ],
    ImageRefusal.PUBLISHED_AS: [{"version": "1.0.0", "published": "1.0.1"}],
    Way.IGNORE_WHOLE: [_PARTS],
    Way.UNPROTECT: [{"address": "processing/app"}],
    Way.DECLARE_ANOTHER: [_CLAIM, {**_CLAIM, "declared_here": ""}],
    Way.UNSTATED: [{"text": "do this"}],
    ImageWay.SET_PLATFORM: [{"platform": "linux/arm64"}],
    ImageWay.REPEAT_BUMP: [{"version": "1.0.1"}],
}
CONTRACT_CHANGES = [
    ContractChange("mask", Reason(code, _OF_CONTRACTS.get(code, {})), "app/utils/inputs.py:12")
    for code in ContractCode
]
REASONS = [Reason(code, details) for code in REASON_CODES for details in _DETAILS.get(code, [{}])]
WAYS = [
    WayOut(code, command, details)
    for code in WAY_CODES
    for details in _DETAILS.get(code, [{}])
    for command in ("", "reconciler apply app")
]

"""The reason codes of a plan. `reconciler.views.phrases` has the words. Pure."""

from enum import StrEnum

from providers.reasons import Reason


class ReasonCode(StrEnum):
    """Why a change has its class, or a step its action. Comments name the details that a code carries."""

    # of a field
    NEW = "new"
    FILES_CHANGED = "files-changed"
    CHANGED_OUTSIDE = "changed-outside"
    CHANGED_ON_BOTH_SIDES = "changed-on-both-sides"
    CONVERGED = "converged"
    NOT_RECORDED = "not-recorded"
    NEVER_WRITTEN = "never-written"
    UNREADABLE = "unreadable"
    UNREADABLE_CHANGED = "unreadable-changed"
    UNREADABLE_IMMUTABLE = "unreadable-immutable"
    CONTESTED = "contested"
    APPLIED_ELSEWHERE = "applied-elsewhere"  # `stack`
    KEPT_BY_REPLACE = "kept-by-replace"
    CARRIED_OVER = "carried-over"
    CREATE_DEFAULT = "create-default"
    IGNORED = "ignored"
    OURS = "ours"
    # of a field or an object
    IN_SYNC = "in-sync"
    THEIRS = "theirs"
    # of an object
    NOT_CREATED = "not-created"
    DELETED_OUTSIDE = "deleted-outside"
    RENAMED_OUTSIDE = "renamed-outside"  # `to` another address
    RECREATED_OUTSIDE = "recreated-outside"
    OVERWRITTEN_OUTSIDE = "overwritten-outside"
    CHANNEL_MOVED = "channel-moved"  # `tag`, `by` an environment or "", which applied `version` or ""
    CHANNEL_NOT_MOVED = "channel-not-moved"  # `tag`, at `version` or ""; what `runs` if by another tag
    ADDED_OUTSIDE = "added-outside"
    UNDECLARED = "undeclared"
    UNFINISHED_CREATE = "unfinished-create"
    UNFINISHED_REPLACE = "unfinished-replace"
    TAKEN_OVER = "taken-over"
    TAKEN_OVER_AND_CHANGED = "taken-over-and-changed"
    SEVERAL = "several"  # `codes` of the fields
    UNMANAGED = "unmanaged"  # `fields`
    IGNORED_FIELDS = "ignored-fields"  # `fields`
    UNREADABLE_FIELDS = "unreadable-fields"  # `fields`
    IMMUTABLE = "immutable"  # `fields`
    PARENT_REPLACED = "parent-replaced"  # `parent`
    LEFT_FILES = "left-files"
    LEFT_FILES_KEPT = "left-files-kept"  # `place`
    DESTROYED = "destroyed"
    NOT_DESTROYED = "not-destroyed"  # `place`
    GONE = "gone"
    NOT_OURS = "not-ours"
    UNKNOWN_ORIGIN = "unknown-origin"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"  # `stack`
    # of a stack
    ORPHANED = "orphaned"  # `folder`, the number of its `resources`; the stack `declared` there, if any;
    # the `twin` that has its history, if any
    # of a document
    UNSTATED = "unstated"  # `text`, from a document of an earlier version without codes


class ContractCode(StrEnum):
    """How an input of a processing changes. Comments name the details that a code carries."""

    REQUIRED_ADDED = "required-input-added"
    OPTIONAL_ADDED = "optional-input-added"
    REMOVED = "input-removed"
    RENAMED = "input-renamed"  # `to`
    TYPE_CHANGED = "input-type-changed"  # `before` and `after`
    NOW_REQUIRED = "input-now-required"
    NOW_OPTIONAL = "input-now-optional"
    CONSTRAINED = "input-constrained"  # `field`, `before` and `after`
    CONSTRAINT_CHANGED = "input-constraint-changed"  # `field`, `before` and `after`
    UNCONSTRAINED = "input-unconstrained"  # `field`, `before` and `after`


class RefusalCode(StrEnum):
    """Why a step must not run."""

    REPLACE_LOSES_HISTORY = "replace-loses-history"  # `fields`
    OVERWRITES_IGNORED = "overwrites-ignored"  # `fields` to write, and the `ignored` ones that go with them
    PROTECTED = "protected"  # `action`
    PROTECTED_PARENT = "protected-parent"  # `parent`
    SECRET = "secret"
    BREAKS_CALLERS = (
        "breaks-callers"  # `inputs`, the versions `before` and `after`, the `place` of the setting
    )
    CLAIMED = (
        "claimed"  # `stack`, `since`, `workspace_there`, and the places `declared_there` and `declared_here`
    )
    UNSTATED = "refused"  # `text`, from a document of an earlier version without codes


class Way(StrEnum):
    """A way out of a refusal."""

    ALLOW_REPLACE = "allow-replace"
    RESTORE_VALUE = "restore-value"
    IGNORE_WHOLE = "ignore-whole"  # as `OVERWRITES_IGNORED`
    UNPROTECT = "unprotect"  # `address`
    SEE_ERRORS = "see-errors"
    MAJOR_VERSION = "major-version"
    KEEP_INPUTS = "keep-inputs"
    TAKE = "take"
    DECLARE_ANOTHER = "declare-another"  # as `CLAIMED`
    UNSTATED = "way-out"  # `text`, from a document of an earlier version without codes


IN_SYNC = Reason(ReasonCode.IN_SYNC)
UNSTATED = Reason(ReasonCode.UNSTATED, {"text": ""})

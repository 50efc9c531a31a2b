"""The words for the outcome of `image --verify`, for all outputs. No markup."""

import shlex

from reconciler.engine.image_report import ImageReport
from reconciler.engine.image_verify import ImageVerification, Verification
from reconciler.system.files import display_path
from reconciler.views.counting import listed, short_commit


def sentence(found: ImageVerification) -> str:
    """The outcome, without a final full stop."""
    commit = _commit(found)
    match found.result:
        case Verification.VERIFIED:
            return f"the image is the source in commit {commit}{_details(found)}"
        case Verification.FOREIGN:
            return "another tool made this image: it has no source key, or that of the image it was made from"
        case Verification.CONTRADICTED:
            return "the statement of provenance names another source than the image itself"
        case Verification.DIFFERENT:
            return f"the image is not the source in commit {commit}, although its statement says so"
        case Verification.ALTERED:
            return f"the image does not have the files of commit {commit}, although its labels say so"
        case Verification.NOTHING_PUBLISHED:
            return "no image is published, so there is nothing to verify"
        case Verification.NO_STATEMENT:
            return "the image has no statement of provenance"
        case Verification.NO_COMMIT:
            return "the image was built from a folder without a commit"
        case Verification.NO_REPOSITORY:
            return f"the folder is in no git repository, so commit {commit} cannot be read"
        case Verification.UNKNOWN_COMMIT:
            return f"commit {commit} is not in this clone"
        case Verification.INCOMPLETE:
            return f"this clone lacks files of commit {commit}: {listed(found.missing)}"
        case Verification.UNREADABLE:
            return f"commit {commit} has no source that can be read: {found.problem}"
        case Verification.DIRTY:
            return f"the image was built from commit {commit} with changes that were not committed"
        case Verification.BASE_UNREADABLE:
            return f"the base image cannot be read, so the files were not compared: {found.problem}"


def way_out(found: ImageVerification, report: ImageReport) -> str:
    """What to do, with the command; "" if there is nothing to do."""
    folder = display_path(report.pipeline.folder)
    revision = found.statement.revision if found.statement else None
    git = f"git -C {shlex.quote(str(folder))}"
    next_version = f"publish the next version from a commit: {report.apply_command} --bump patch"
    match found.result:
        case Verification.VERIFIED:
            return ""
        case Verification.NOTHING_PUBLISHED:
            return f"publish it: {report.apply_command}"
        case Verification.NO_STATEMENT:
            return f"set provenance = true in [reconciler.image], and {next_version}"
        case Verification.NO_REPOSITORY:
            return "run this in a clone of the repository"
        case Verification.UNKNOWN_COMMIT if revision is not None:
            return f"fetch it: {git} fetch origin {revision.commit}"
        case Verification.INCOMPLETE if revision is not None:
            return (
                f"fetch them: {git} submodule update --init --recursive, "
                f"or {git} lfs fetch origin {revision.commit}"
            )
        case Verification.BASE_UNREADABLE:
            return "check the login for its registry, and run this again"
        case _:
            return next_version


def _commit(found: ImageVerification) -> str:
    revision = found.statement.revision if found.statement else None
    return short_commit(revision.commit) if revision else "none"


def _details(found: ImageVerification) -> str:
    """What was compared."""
    if found.files_compared:
        return ", file by file, with its settings"
    return " by its source key; the files in it can be compared only if append made it"

"""drift-baseline.toml: rules that acknowledge findings, each with an owner, a reason and an expiry date.

A baseline removes nothing: acknowledged findings are still reported and counted. `plan` and `apply` ignore
it. Edits of the file keep its comments and the order of its rules.

A rule acknowledges one pair of values, the desired and the live one; of a whole object or an image, those of
all that the finding stands for, see `contents`. If either changes, or the rule expires, the finding is new
again. Rules that we write contain digests of the values, as a parameter may be a secret. Pending changes are
not drift, so no rule acknowledges them.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from glob import escape, has_magic
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from msgspec.structs import replace

from providers.json_value import JSON
from providers.patterns import pattern
from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, UserError, error, warning
from reconciler.core.diff import ChangeClass, same
from reconciler.core.values import MISSING, NoValue
from reconciler.drift.contents import digest
from reconciler.drift.findings import Acknowledgement, Finding, Report, acknowledged
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_positions import BOM, lines_of

_TABLE = "acknowledge"
_REQUIRED = ("address", "owner", "reason", "expires", "live")
_KEYS = ("stack", "address", "field", "owner", "reason", "expires", "desired", "live")
_COMMENT = pattern(r"#[^\r\n]*")
_EMPTY_LINE = pattern(r"[ \t\r]*\n")
_HEAD = """\
# Findings of `reconciler drift` that are acknowledged. They are still reported and counted, and are new
# again after their last day, or when the live value or the files change again.
"""


class Rule(Struct, frozen=True):
    """One `[[acknowledge]]` of the file.

    Attributes:
        stack: glob for the stack; "*" for any.
        address: glob for the address.
        field: glob for the field; "" for the whole object, None for the object and all its fields.
        acknowledgement: owner, reason and expiry date.
        live: the acknowledged live value: a JSON value, or its digest "sha256:…". If a finding has contents,
            their digest.
        file, line: the place of the rule.
        desired: the acknowledged desired value, in the same form; MISSING for the recorded value.
    """

    stack: str
    address: str
    field: str | None
    acknowledgement: Acknowledgement
    live: JSON
    file: Path
    line: int
    desired: JSON | NoValue = MISSING

    def matches_field(self, finding: Finding) -> bool:
        """Whether the rule is for the field of this finding, whatever the values are."""
        return (
            not finding.is_pending
            and any(fnmatchcase(name, self.stack) for name in finding.stack.names)
            and fnmatchcase(str(finding.address), self.address)
            and (self.field is None or fnmatchcase(finding.change.path, self.field))
        )

    @property
    def is_for_one_stack(self) -> bool:
        return not has_magic(self.stack)

    def has_expired(self, today: date) -> bool:
        return today > date.fromisoformat(self.acknowledgement.expires)

    def matches_values(self, finding: Finding) -> bool:
        """Whether the finding has the acknowledged pair of values."""
        contents = finding.contents
        if contents is None:
            return self._matches_pair(finding)
        if self.desired is MISSING:
            matches_desired = finding.change.cls is ChangeClass.DRIFT and contents.is_as_applied
        else:
            matches_desired = self.desired == contents.desired
        return matches_desired and self.live == contents.live

    def is_too_general_for(self, finding: Finding) -> bool:
        """Whether it is for the shown values only, as in earlier versions, such as the id of an object."""
        return finding.contents is not None and self._matches_pair(finding)

    def _matches_pair(self, finding: Finding) -> bool:
        if self.desired is MISSING:
            matches_desired = finding.change.cls is ChangeClass.DRIFT
        else:
            matches_desired = _matches(self.desired, finding.expected)
        return matches_desired and _matches(self.live, finding.change.live)

    def acknowledges(self, finding: Finding, today: date) -> bool:
        return self.matches_field(finding) and not self.has_expired(today) and self.matches_values(finding)


def _matches(written: JSON | NoValue, value: JSON | NoValue) -> bool:
    return written == digest(value) or (not isinstance(value, NoValue) and same(written, value))


def acknowledge(
    found: Sequence[Finding],
    rules: Sequence[Rule],
    today: date,
    *,
    checked_stacks: Iterable[str],
    is_partial: bool = False,
) -> tuple[tuple[Finding, ...], tuple[Diagnostic, ...]]:
    """The findings with their acknowledgements, and warnings about rules. Pure.

    Args:
        found: all findings, in order.
        today: the date in UTC.
        checked_stacks: stacks that were checked completely; rules for other stacks are never reported as
            unused.
        is_partial: other stacks were not checked. Rules for several stacks are then never reported as unused.
    """
    acknowledgements = {
        finding.id: rule.acknowledgement
        for finding in found
        for rule in reversed(rules)  # the first rule in the file takes precedence
        if rule.acknowledges(finding, today)
    }
    stacks = tuple(checked_stacks)
    remarks = tuple(
        remark
        for rule in rules
        for remark in _remarks(
            rule, found, rules, today, stacks if rule.is_for_one_stack or not is_partial else ()
        )
    )
    return acknowledged(found, acknowledgements), remarks


def acknowledged_report(report: Report, rules: Sequence[Rule], today: date) -> Report:
    """The report with the acknowledgements and warnings of the rules."""
    is_partial = bool(report.shard or report.unchecked)
    found, remarks = acknowledge(
        report.findings, rules, today, checked_stacks=_checked_stacks(report), is_partial=is_partial
    )
    by_id = {finding.id: finding for finding in found}
    stacks = tuple(
        replace(stack, findings=tuple(by_id[finding.id] for finding in stack.findings))
        for stack in report.stacks
    )
    return replace(report, stacks=stacks, remarks=(*report.remarks, *remarks))


def _remarks(
    rule: Rule, found: Sequence[Finding], rules: Sequence[Rule], today: date, stacks: Sequence[str]
) -> Iterator[Diagnostic]:
    matching = [finding for finding in found if rule.matches_field(finding)]
    news = [finding for finding in matching if not any(other.acknowledges(finding, today) for other in rules)]
    name = f"{rule.address}#{rule.field}" if rule.field else rule.address
    owner, reason = rule.acknowledgement.owner, rule.acknowledgement.reason
    if not matching:
        if any(fnmatchcase(stack, rule.stack) for stack in stacks):
            detail = "It is in sync, or has another name. Remove the rule."
            yield warning(
                f"the acknowledgement of {name} matches nothing", detail, file=rule.file, line=rule.line
            )
    elif news and rule.has_expired(today):
        detail = (
            f"Owner: {owner}. Reason: {reason}. Restore the value, adopt it, or acknowledge it again: "
            "run the same command with --write-baseline."
        )
        expires = rule.acknowledgement.expires
        yield warning(
            f"the acknowledgement of {name} ended on {expires}", detail, file=rule.file, line=rule.line
        )
    elif any(rule.is_too_general_for(finding) for finding in news):
        detail = (
            f"Owner: {owner}. Reason: {reason}. It would also acknowledge later changes of this object. To "
            "acknowledge it as it is now, run the same command with --write-baseline."
        )
        yield warning(f"the acknowledgement of {name} is too general", detail, file=rule.file, line=rule.line)
    elif news:
        detail = (
            f"Owner: {owner}. Reason: {reason}. The live value or the files changed again, so the finding "
            "is new again."
        )
        yield warning(
            f"the acknowledgement of {name} is for another value", detail, file=rule.file, line=rule.line
        )


def _checked_stacks(report: Report) -> list[str]:
    return [str(stack.stack) for stack in report.stacks if not stack.unchecked]


# The file


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a file.

    Raises:
        UserError: the file does not exist, is not valid TOML, or has invalid rules. Carries all problems.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")  # editors on Windows write a mark
        document = tomllib.loads(text)
        lines = lines_of(text)
    except FileNotFoundError:
        detail = "To create it, run the same command with --write-baseline."
        raise UserError(error("the baseline does not exist", detail, file=path)) from None
    except OSError as problem:
        raise UserError(error("the baseline cannot be read", f"{problem.strerror}.", file=path)) from None
    except (ValueError, RecursionError) as problem:  # tomllib raises the latter for deeply nested values
        place = re.search(r"\(at line (\d+)", str(problem))
        line = int(place[1]) if place else None
        raise UserError(
            error("the baseline is not valid TOML", f"{problem}.", file=path, line=line)
        ) from None
    problems = [
        error(
            f"{key} is not a table of a baseline",
            f"The only table is [[{_TABLE}]].{did_you_mean(key, [_TABLE])}",
            file=path,
            line=lines.line_of(key),
        )
        for key in document
        if key != _TABLE
    ]
    rows = document.get(_TABLE, [])
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        detail = f"Write [[{_TABLE}]] above each rule."
        raise UserError(
            *problems, error(f"{_TABLE} must be rows", detail, file=path, line=lines.line_of(_TABLE))
        )
    rules = []
    for index, row in enumerate(rows):
        line = lines.line_of(_TABLE, index) or 1
        row_problems = [
            error(summary, detail, file=path, line=lines.line_of(_TABLE, index, key) if key in row else line)
            for key, summary, detail in _problems(row)
        ]
        problems += row_problems
        if not row_problems:
            rules.append(_rule(row, path, line))
    if problems:
        raise UserError(*problems)
    return tuple(rules)


def _problems(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, summary, detail) of each problem."""
    for key in row:
        if key not in _KEYS:
            yield (
                key,
                f"{key} is not a key of a rule",
                f"The keys are {', '.join(_KEYS)}.{did_you_mean(key, _KEYS)}",
            )
    for key in _REQUIRED:
        if key not in row:
            yield key, f"the rule has no {key}", _HELP[key]
    for key in ("stack", "address", "field", "owner", "reason"):
        value = row.get(key, "x")
        if not isinstance(value, str) or (key != "field" and not value.strip()):
            yield key, f"{key} must be text", _HELP.get(key, "It may contain * and ?.")
    if "expires" in row and _date(row["expires"]) is None:
        yield "expires", "expires is not a date", _HELP["expires"]
    for key in ("desired", "live"):
        if key in row and not _is_json(row[key]):
            yield (
                key,
                f"{key} is not a value that a platform can return",
                "Use text, a number, a list or a table.",
            )


_HELP = {
    "address": 'Set the resource, for example address = "processing/app"; * matches any text.',
    "owner": "Set the person to contact when the rule expires.",
    "reason": "Set the reason for keeping the live value.",
    "expires": "Set the last day of the rule, for example expires = 2030-12-31.",
    "live": "Set the acknowledged value, for example live = 64, so that another value is reported; or let "
    "drift write the rule with --write-baseline.",
}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _date(value: Any) -> date | None:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _rule(row: dict[str, Any], file: Path, line: int) -> Rule:
    expires = _date(row["expires"])
    assert expires is not None
    acknowledgement = Acknowledgement(row["owner"], row["reason"], expires.isoformat())
    return Rule(
        row.get("stack", "*"),
        row["address"],
        row.get("field"),
        acknowledgement,
        row["live"],
        file,
        line,
        row.get("desired", MISSING),
    )


def updated_text(
    text: str, rules: Sequence[Rule], report: Report, acknowledgement: Acknowledgement, today: date
) -> str:
    """The text of a baseline that acknowledges every finding of the report, except pending changes.

    Rules that acknowledge a finding stay unchanged, and so do rules for resources that were not checked. The
    others are removed, with the comment directly above them.

    Args:
        text: present text of the file; "" for a new file.
        rules: its rules.
        acknowledgement: owner, reason and expiry date of new rules.
        today: the date in UTC.
    """
    stays = [
        any(rule.acknowledges(finding, today) for finding in report.findings)
        or not _was_checked(rule, report)
        for rule in rules
    ]
    kept = [rule for rule, stay in zip(rules, stays, strict=True) if stay]
    news = [
        finding
        for finding in report.findings
        if not finding.is_pending and not any(rule.acknowledges(finding, today) for rule in kept)
    ]
    newline = "\r\n" if "\r\n" in text else "\n"
    gone = [index for index, stay in enumerate(stays) if not stay]
    mark = BOM if text.startswith(BOM) else ""
    text = _without_rows(_in_rows(text.removeprefix(BOM), newline), gone) if text else _HEAD
    if text and not text.endswith("\n"):
        text += newline
    return mark + text + "".join(newline + _row_text(finding, acknowledgement, newline) for finding in news)


def _was_checked(rule: Rule, report: Report) -> bool:
    """Whether the report covers the rule. A rule for several stacks may be for one of another run."""
    stacks = [s for s in report.stacks if not s.unchecked and fnmatchcase(str(s.stack), rule.stack)]
    return any(
        rule.is_for_one_stack
        or any(fnmatchcase(str(step.address), rule.address) for step in stack.plan.steps)
        for stack in stacks
    )


def _in_rows(text: str, newline: str) -> str:
    """The text with `[[acknowledge]]` above each rule, also if it has an array of inline tables."""
    lines = lines_of(text)
    if (_TABLE,) not in lines.span:
        return text
    opening, end = lines.span[(_TABLE,)]
    begin = text.rfind("\n", 0, opening) + 1  # it is the only key, so nothing else is on its line
    comments: list[list[str]] = []  # above each rule, and at the end
    at = opening + 1
    values = tomllib.loads(text)[_TABLE]
    for start, after in [*(lines.span[_TABLE, index] for index in range(len(values))), (end - 1, end)]:
        beside, _, above = text[at:start].partition("\n")
        comments.append(_COMMENT.findall(above))
        (comments[-2] if comments[1:] else comments[-1]).extend(_COMMENT.findall(beside))
        at = after
    rows = [_row(value, newline) for value in values]
    parts = [
        newline.join((*above, row)) for above, row in zip(comments, [*rows, ""], strict=True) if above or row
    ]
    return text[:begin] + newline.join(parts) + text[end:].removeprefix("\r").removeprefix("\n")


def _without_rows(text: str, rows: Sequence[int]) -> str:
    """The text without these rows and the comments directly above them."""
    lines = lines_of(text)
    ends: dict[str | int, int] = {}  # row -> offset after the line of its last value
    for path, (_, end) in lines.span.items():
        ends[path[1]] = text.find("\n", end) + 1 or len(text)
    for index in sorted(rows, reverse=True):
        begin, end = lines.sections[_TABLE, index][0], ends[index]
        above = text[ends[index - 1] if index else 0 : begin].splitlines(keepends=True)
        while above and above[-1].lstrip().startswith("#"):
            begin -= len(above.pop())
        has_gap_above = not above[-1].strip() if above else index == 0
        if has_gap_above and (gap := _EMPTY_LINE.match(text, end)):
            end = gap.end()
        text = text[:begin] + text[end:]
    return text


def _row_text(finding: Finding, acknowledgement: Acknowledgement, newline: str) -> str:
    contents = finding.contents
    values: dict[str, Any] = {
        "stack": escape(str(finding.stack)),
        "address": escape(str(finding.address)),
        "field": escape(finding.change.path),
        "owner": acknowledgement.owner,
        "reason": acknowledgement.reason,
        "expires": date.fromisoformat(acknowledgement.expires),
        "desired": contents.desired if contents else digest(finding.expected),
        "live": contents.live if contents else digest(finding.change.live),
    }
    return _row(values, newline)


def _row(values: Mapping[str, Any], newline: str) -> str:
    lines = (f"{key} = {_inline(value)}" for key, value in values.items())
    return newline.join((f"[[{_TABLE}]]", *lines, ""))


def _inline(value: Any) -> str:
    """The value as TOML after an equals sign: tomlkit gives a table this form in an array only."""
    array = tomlkit.array()
    array.append(value)
    return array.as_string()[1:-1]

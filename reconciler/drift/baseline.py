"""drift-baseline.toml: the findings that somebody knows of, each with who, why and until when.

Comes after `drift` and takes nothing away: an acknowledged finding is still found, shown and counted. It
says nothing to `plan` and `apply`, which never read it. Reading and writing work on the file's text, so that
comments and the order of the rules stay as they are.

A rule is for one pair of values: what the files say, and what is live. When one of them changes once more, or
the rule's last day is over, its findings are news again. The values stand there as digests where we write
them, as a parameter may be a secret. What only waits for an apply is no drift, and no rule acknowledges it.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from glob import escape, has_magic
from pathlib import Path
from typing import Any

import tomlkit

from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, UserError, error, warning
from reconciler.core.diff import ChangeClass, same
from reconciler.core.values import JSON, MISSING, NoValue
from reconciler.drift.findings import Acknowledgement, Finding, Report, acknowledged
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.toml.toml_positions import lines_of

_TABLE = "acknowledge"
_NEEDED = ("address", "owner", "reason", "expires", "live")
_KEYS = ("stack", "address", "field", "owner", "reason", "expires", "desired", "live")
_EMPTY_LINE = re.compile(r"[ \t\r]*\n")
_HEAD = """\
# What `reconciler drift` finds and somebody knows of. Each is still found and counted, and is news again
# after its last day, or once the live value or the files change once more.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[acknowledge]]` of the file.

    Attributes:
        stack: glob of the stack; "*" for any.
        address: glob of the address.
        field: glob of the field; "" for the object as a whole, None for everything about it.
        known: who, why and until when.
        live: the value that is acknowledged: a JSON value, or "sha256:…" of one.
        file, line: where the rule stands.
        desired: the value that the files say beside it, written as `live`; MISSING for what was applied last.
    """

    stack: str
    address: str
    field: str | None
    known: Acknowledgement
    live: JSON
    file: Path
    line: int
    desired: JSON | NoValue = MISSING

    def is_about(self, finding: Finding) -> bool:
        """Whether it names this field, whatever its values are."""
        return (
            not finding.is_pending
            and fnmatchcase(str(finding.stack), self.stack)
            and fnmatchcase(str(finding.address), self.address)
            and (self.field is None or fnmatchcase(finding.change.path, self.field))
        )

    @property
    def is_of_one_stack(self) -> bool:
        return not has_magic(self.stack)

    def is_over(self, today: date) -> bool:
        return today > date.fromisoformat(self.known.expires)

    def knows_values_of(self, finding: Finding) -> bool:
        """Whether the pair of values is the one that was acknowledged."""
        if self.desired is MISSING:
            knows_files = finding.change.cls is ChangeClass.DRIFT
        else:
            knows_files = _stands_for(self.desired, finding.expected)
        return knows_files and _stands_for(self.live, finding.change.live)

    def acknowledges(self, finding: Finding, today: date) -> bool:
        return self.is_about(finding) and not self.is_over(today) and self.knows_values_of(finding)


def _stands_for(written: JSON | NoValue, value: JSON | NoValue) -> bool:
    return written == digest(value) or (not isinstance(value, NoValue) and same(written, value))


def digest(value: JSON | NoValue) -> str:
    """What stands for a value in the file: `sha256:…`, also for there being none."""
    said = {"nothing": value.value} if isinstance(value, NoValue) else {"value": value}
    return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"


def acknowledge(
    found: Sequence[Finding],
    rules: Sequence[Rule],
    today: date,
    *,
    looked_at: Iterable[str],
    in_part: bool = False,
) -> tuple[tuple[Finding, ...], tuple[Diagnostic, ...]]:
    """The findings with what somebody said of them, and what there is to say of the rules. Pure.

    Args:
        found: every finding, in its order.
        today: in UTC.
        looked_at: the stacks of which everything was looked at; of others no rule is said to match nothing.
        in_part: others were to be looked at, too, so that a rule for more than one stack may be about those.
    """
    known = {
        finding.id: rule.known
        for finding in found
        for rule in reversed(rules)  # the first one of the file has the last word
        if rule.acknowledges(finding, today)
    }
    stacks = tuple(looked_at)
    remarks = tuple(
        remark
        for rule in rules
        for remark in _remarks(
            rule, found, rules, today, stacks if rule.is_of_one_stack or not in_part else ()
        )
    )
    return acknowledged(found, known), remarks


def acknowledged_report(report: Report, rules: Sequence[Rule], today: date) -> Report:
    """The report with what the rules say of its findings."""
    in_part = bool(report.shard or report.unchecked)
    known, remarks = acknowledge(
        report.findings, rules, today, looked_at=_checked_stacks(report), in_part=in_part
    )
    by_id = {finding.id: finding for finding in known}
    stacks = tuple(
        replace(stack, findings=tuple(by_id[finding.id] for finding in stack.findings))
        for stack in report.stacks
    )
    return replace(report, stacks=stacks, remarks=(*report.remarks, *remarks))


def _remarks(
    rule: Rule, found: Sequence[Finding], rules: Sequence[Rule], today: date, stacks: Sequence[str]
) -> Iterator[Diagnostic]:
    about = [finding for finding in found if rule.is_about(finding)]
    news = [finding for finding in about if not any(other.acknowledges(finding, today) for other in rules)]
    if not about:
        if any(fnmatchcase(stack, rule.stack) for stack in stacks):
            told = "Nothing was changed outside there, or it has another name. Remove the rule."
            yield warning(
                f"the acknowledgement of {_named(rule)} matches nothing", told, file=rule.file, line=rule.line
            )
    elif news and rule.is_over(today):
        told = (
            f"It was {rule.known.owner}'s: {rule.known.reason}. Put it back, take it over, or acknowledge it "
            "again with: reconciler drift --write-baseline"
        )
        yield warning(
            f"the acknowledgement of {_named(rule)} ended on {rule.known.expires}",
            told,
            file=rule.file,
            line=rule.line,
        )
    elif news:
        told = (
            f"It was {rule.known.owner}'s: {rule.known.reason}. The live value or the files changed once "
            "more since, so it is news again."
        )
        yield warning(
            f"the acknowledgement of {_named(rule)} is for another value",
            told,
            file=rule.file,
            line=rule.line,
        )


def _named(rule: Rule) -> str:
    return f"{rule.address}#{rule.field}" if rule.field else rule.address


def _checked_stacks(report: Report) -> list[str]:
    return [str(stack.stack) for stack in report.stacks if not stack.unchecked]


# The file


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a file.

    Raises:
        UserError: it is not there, is not TOML, or has rules that are not complete; every problem is told.
    """
    try:
        text = read_regular(path).decode()
        document = tomllib.loads(text)
        lines = lines_of(text)
    except FileNotFoundError:
        told = "Let drift write it: reconciler drift --write-baseline"
        raise UserError(error("there is no such file of acknowledgements", told, file=path)) from None
    except OSError as problem:
        raise UserError(
            error("the acknowledgements cannot be read", f"{problem.strerror}.", file=path)
        ) from None
    except (ValueError, RecursionError) as problem:  # the latter is of tomllib, for what is nested too deeply
        place = re.search(r"\(at line (\d+)", str(problem))
        line = int(place[1]) if place else None
        raise UserError(
            error("the acknowledgements are no TOML", f"{problem}.", file=path, line=line)
        ) from None
    problems = [
        error(
            f"{key} is no table of this file",
            f"There is [[{_TABLE}]] only.{did_you_mean(key, [_TABLE])}",
            file=path,
            line=lines.of(key),
        )
        for key in document
        if key != _TABLE
    ]
    if _TABLE in document and (_TABLE, 0) not in lines.sections:
        told = f"Write [[{_TABLE}]] above each of them."
        raise UserError(*problems, error(f"{_TABLE} must be rows", told, file=path, line=lines.of(_TABLE)))
    rules = []
    for index, row in enumerate(document.get(_TABLE, [])):
        line = lines.of(_TABLE, index) or 1
        found = [
            error(summary, detail, file=path, line=lines.of(_TABLE, index, key) if key in row else line)
            for key, summary, detail in _problems(row)
        ]
        problems += found
        if not found:
            rules.append(_rule(row, path, line))
    if problems:
        raise UserError(*problems)
    return tuple(rules)


def _problems(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, what is wrong, what to do)."""
    for key in row:
        if key not in _KEYS:
            yield (
                key,
                f"{key} is no key of a rule",
                f"There are {', '.join(_KEYS)}.{did_you_mean(key, _KEYS)}",
            )
    for key in _NEEDED:
        if key not in row:
            yield key, f"the rule has no {key}", _WHY[key]
    for key in ("stack", "address", "field", "owner", "reason"):
        value = row.get(key, "x")
        if not isinstance(value, str) or (key != "field" and not value.strip()):
            yield key, f"{key} must be text", _WHY.get(key, "It may hold * and ?.")
    if "expires" in row and _date(row["expires"]) is None:
        yield "expires", "expires is no date", _WHY["expires"]
    for key in ("desired", "live"):
        if key in row and not _is_json(row[key]):
            yield (
                key,
                f"{key} is nothing that a far end can answer",
                "It answers texts, numbers, lists, tables.",
            )


_WHY = {
    "address": 'Write which resource it is about, for example address = "processing/app"; * is any text.',
    "owner": "Write who is asked when it ends.",
    "reason": "Write why it is left as it is.",
    "expires": "Write the last day on which it holds, for example expires = 2030-12-31.",
    "live": "Write the value that is acknowledged, for example live = 64, so that the next change is news; "
    "or let drift write the rule: reconciler drift --write-baseline",
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
    known = Acknowledgement(row["owner"], row["reason"], expires.isoformat())
    return Rule(
        row.get("stack", "*"),
        row["address"],
        row.get("field"),
        known,
        row["live"],
        file,
        line,
        row.get("desired", MISSING),
    )


def rewritten(text: str, rules: Sequence[Rule], report: Report, known: Acknowledgement, today: date) -> str:
    """The text of a baseline that acknowledges every finding of the report but those that are pending.

    Rules that acknowledge one stay as they are, and so do those of what was not looked at. The others go,
    with the comment right above them.

    Args:
        text: of the file as it is; "" for a new one.
        rules: what it says.
        known: who, why and until when, for what is new.
    """
    stays = [
        any(rule.acknowledges(finding, today) for finding in report.findings)
        or not _is_answered(rule, report)
        for rule in rules
    ]
    kept = [rule for rule, stay in zip(rules, stays, strict=True) if stay]
    news = [
        finding
        for finding in report.findings
        if not finding.is_pending and not any(rule.acknowledges(finding, today) for rule in kept)
    ]
    text = _without(text, [index for index, stay in enumerate(stays) if not stay]) if text else _HEAD
    newline = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += newline
    return text + "".join(newline + _written(finding, known, newline) for finding in news)


def _is_answered(rule: Rule, report: Report) -> bool:
    """Whether what it is about was looked at. A rule for any stack may be about a pipeline of another run."""
    stacks = [s for s in report.stacks if not s.unchecked and fnmatchcase(str(s.stack), rule.stack)]
    return any(
        rule.is_of_one_stack or any(fnmatchcase(str(step.address), rule.address) for step in stack.plan.steps)
        for stack in stacks
    )


def _without(text: str, rows: Sequence[int]) -> str:
    """The text without these rows, and without what is said right above each of them."""
    lines = lines_of(text)
    ends: dict[str | int, int] = {}  # of the line that a row's last value ends on
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


def _written(finding: Finding, known: Acknowledgement, newline: str) -> str:
    values: dict[str, Any] = {
        "stack": escape(str(finding.stack)),
        "address": escape(str(finding.address)),
        "field": escape(finding.change.path),
        "owner": known.owner,
        "reason": known.reason,
        "expires": date.fromisoformat(known.expires),
        "desired": digest(finding.expected),
        "live": digest(finding.change.live),
    }
    lines = [
        f"[[{_TABLE}]]",
        *(f"{key} = {tomlkit.item(value).as_string()}" for key, value in values.items()),
    ]
    return newline.join((*lines, ""))

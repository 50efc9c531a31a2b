"""The parts of Markdown for comments, issues and step summaries. Details are folded.

A text never exceeds the limit of its destination: items that do not fit are counted. Text of files and
servers is escaped, and can neither add markup nor mention a user.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from providers.patterns import pattern
from reconciler.core.diagnostics import Diagnostic
from reconciler.views.counting import plural
from reconciler.views.fleet_changes import ChangeRow, ContractRow
from reconciler.views.phrases import contract_reason, effect, pipeline_name
from reconciler.views.safe import one_line

COMMENT = 65_536
"""GitHub's limit for a comment or an issue, in characters. Counted in bytes here, which are never fewer."""

CHANGES = "\n| change | field | live | new | pipelines |\n|---|---|---|---|---|\n"
"""The head of a table of changes in several pipelines."""
MOST_NAMES = 10
"""Pipelines that are named in one row; the others are counted."""


class Section(Struct, frozen=True):
    """A part with as many items as fit.

    Attributes:
        head, foot: the text around the items.
        items: most important first.
        draw: returns an item as Markdown. Called only for items that may fit.
        noun: the name of one item.
        share: fraction of the remaining space that the section may use.
    """

    head: str
    items: Sequence[Any]
    draw: Callable[[Any], str]
    noun: str
    foot: str = ""
    share: float = 1.0


def code(text: str) -> str:
    """Text as code, in HTML: Markdown cannot quote a backtick in a table."""
    return f"<code>{_numbered(one_line(text))}</code>" if text else ""


def plain(text: str) -> str:
    """Text on one line without markup, mentions and references to issues."""
    joined = " ".join(one_line(line) for line in text.split("\n"))
    return _numbered(re.sub(r"[@#](?=\w)", "\\g<0>\u200b", joined))


_READ = pattern(r"""[^\w .,;:/=+()'"@#%?…“”\u200b-]|(?<![^\W_])_|_(?![^\W_])|^:|#(?=#)""")


def _numbered(text: str) -> str:
    """The text with every character that has a meaning in Markdown, tables or HTML as its number."""
    return _READ.sub(lambda found: f"&#{ord(found[0])};", text)


def folded(
    title: str,
    items: Sequence[Any],
    draw: Callable[[Any], str],
    noun: str,
    *,
    table: str = "",
    share: float = 1.0,
) -> Section:
    """A section that the reader opens with a click."""
    head = f"\n<details><summary>{title}</summary>\n{table or chr(10)}"
    return Section(head, items, draw, noun, foot="\n</details>\n", share=share)


def fitted(head: str, sections: Iterable[Section], limit: int) -> str:
    """The head, and as much of each section as fits."""
    text = head
    for section in sections:
        if section.items:
            text += _part(section, limit - length(text))
    return text


def _part(section: Section, room: int) -> str:
    """The items that fit the section's share of the space, and the number of the others."""

    def rest(count: int) -> str:
        return f"\n_{plural(count, section.noun)} not shown here._\n"

    frame = length(section.head + section.foot)
    left = int(room * section.share) - frame - length(rest(len(section.items)))
    shown = []
    for item in map(section.draw, section.items):
        left -= length(item)
        if left < 0:
            break
        shown.append(item)
    missing = len(section.items) - len(shown)
    note = rest(missing) if missing else ""
    if not shown:
        return note if length(note) <= room else ""
    return section.head + "".join(shown) + note + section.foot


def length(text: str) -> int:
    """The length of a text in bytes, as `COMMENT` counts it."""
    return len(text.encode("utf-8", "backslashreplace"))


def block(lines: Sequence[str]) -> str:
    """Lines to copy, in a fence that is longer than any in the text."""
    text = "\n".join(map(one_line, lines))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}\n"


def problem_item(problem: Diagnostic) -> str:
    """A problem as an item of a list."""
    at = " ".join(code(part) for part in (problem.address, problem.place) if part)
    detail = f" {plain(problem.detail)}" if problem.detail else ""
    return f"- {at}{': ' if at else ''}{plain(problem.summary)}.{detail}\n"


def change_item(row: ChangeRow) -> str:
    """A row of the table `CHANGES`. Deletions and replacements are in bold, and name their resources."""
    action = f"**{row.action.word}**" if row.is_destructive else row.action.word
    if row.different > 1:
        old, new = "", f"{row.different:,} different {'changes' if row.path else 'reasons'}"
    elif row.path:
        old, new = code(row.old), code(row.new)
    else:
        old, new = "", plain(row.remark)
    found = [str(address) for _, address in row.resources] if row.is_destructive else []
    where = names(found or [pipeline_name(stack) for stack in row.stacks])
    remark = f"<br>{plain(row.remark)}" if row.path and row.remark else ""
    return f"| {action} {plain(row.kind)} | {code(row.path)}{remark} | {old} | {new} | {where} |\n"


CONTRACT = "\n| effect | input | change for its jobs | pipelines |\n|---|---|---|---|\n"
"""The head of a table of changes of inputs."""


def contract_item(row: ContractRow) -> str:
    """A row of the table `CONTRACT`. Breaking changes are in bold."""
    word = effect(row.change)
    word = f"**{word}**" if row.change.is_breaking else word
    place = f" {code(row.change.place)}" if row.change.place and len(row.stacks) == 1 else ""
    where = names([pipeline_name(stack) for stack in row.stacks])
    return f"| {word} | {code(row.change.input)} | {plain(contract_reason(row.change))}{place} | {where} |\n"


def names(labels: Sequence[str]) -> str:
    """The names as code, for more than one with their number before."""
    shown, more = ", ".join(map(code, labels[:MOST_NAMES])), len(labels) - MOST_NAMES
    count = f"{len(labels):,}: " if len(labels) > 1 else ""
    return f"{count}{shown}" + (f" and {more:,} more" if more > 0 else "")

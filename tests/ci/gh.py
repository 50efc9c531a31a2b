"""A stand-in for GitHub's `gh`, which keeps issues and comments in the JSON file `GH_STANDIN`.

It knows the commands that the example workflows use, spelled as gh 2.23 takes them, and refuses every other
one, and what `GH_TOKEN` does not allow: here that is a list of permissions, "issues:write contents:read".
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jq

ME = "github-actions[bot]"
LONGEST = 65_536  # characters of an issue or a comment
FLAGS = {
    ("api",): {"--method", "--paginate", "--silent", "--jq", "-f", "-F"},
    ("issue", "create"): {"--title", "--body-file"},
    ("issue", "edit"): {"--body-file"},
    ("issue", "close"): {"--comment"},
    ("pr", "comment"): {"--body-file"},
}
SWITCHES = {"--paginate", "--silent"}


class RefusedError(Exception):
    """What GitHub or gh would refuse."""


def main(words: list[str]) -> None:
    command = next((known for known in FLAGS if tuple(words[: len(known)]) == known), None)
    if command is None:
        raise RefusedError(f"unknown command: gh {' '.join(words)}")
    arguments, flags = _parsed(words[len(command) :], FLAGS[command])
    place = Path(os.environ["GH_STANDIN"])
    github = GitHub(json.loads(place.read_text()))
    match command, arguments:
        case ("api",), [path]:
            _api(github, path, flags)
        case ("issue", "create"), []:
            github.create(flags["--title"][0], _file(flags))
        case ("issue", "edit"), [number]:
            github.issue(int(number))["body"] = _file(flags)
        case ("issue", "close"), [number]:
            github.comment(int(number), flags["--comment"][0])
            github.issue(int(number))["state"] = "closed"
        case ("pr", "comment"), [number]:
            github.comment(int(number), _file(flags), pull_request=True)
        case _:
            raise RefusedError(f"not these arguments: {arguments}")
    place.write_text(json.dumps(github.kept))


class GitHub:
    """One repository's issues and pull requests, numbered together, with their comments."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def issue(self, number: int, *, pull_request: bool = False) -> dict[str, Any]:
        _allowed("pull-requests:write" if pull_request else "issues:write")
        for issue in self.kept["issues"]:
            if issue["number"] == number and ("pull_request" in issue) == pull_request:
                return issue  # type: ignore[no-any-return]
        raise RefusedError(f"there is no number {number}")

    def create(self, title: str, body: str) -> None:
        _allowed("issues:write")
        number = len(self.kept["issues"]) + 1
        made = {"number": number, "title": title, "body": body, "state": "open", "user": {"login": ME}}
        self.kept["issues"].append(made)

    def comment(self, number: int, body: str, *, pull_request: bool = False) -> None:
        self.issue(number, pull_request=pull_request)
        made = {"id": 1000 + len(self.kept["comments"]), "on": number, "body": body, "user": {"login": ME}}
        self.kept["comments"].append(made)


def _api(github: GitHub, path: str, flags: dict[str, list[str]]) -> None:
    assert os.environ["GH_REPO"]
    method = flags.get("--method", ["GET"])[0]
    url = urlsplit(path)
    fields = {name: values[0] for name, values in parse_qs(url.query).items()}
    fields |= dict(field.split("=", 1) for flag in ("-f", "-F") for field in flags.get(flag, []))
    if method == "GET" and url.path == "repos/{owner}/{repo}/issues":
        _allowed("issues:write")
        _print_pages([issue for issue in github.kept["issues"] if _wanted(issue, fields)], flags)
    elif method == "GET" and (found := re.fullmatch(r"repos/{owner}/{repo}/issues/(\d+)/comments", url.path)):
        _allowed("pull-requests:read")
        _print_pages([c for c in github.kept["comments"] if c["on"] == int(found[1])], flags)
    elif method == "GET" and (found := re.fullmatch(r"repos/{owner}/{repo}/commits/(\w+)/pulls", url.path)):
        _allowed("pull-requests:read")
        issues = [issue for issue in github.kept["issues"] if issue.get("merged_as") == found[1]]
        pulls = [{"number": issue["number"], "merged_at": "2025-03-03T08:00:00Z"} for issue in issues]
        print(*jq.compile(flags["--jq"][0]).input_value(pulls), sep="\n")
    elif method == "PATCH" and (
        found := re.fullmatch(r"repos/{owner}/{repo}/issues/comments/(\d+)", url.path)
    ):
        (comment,) = [c for c in github.kept["comments"] if c["id"] == int(found[1])]
        github.issue(comment["on"], pull_request=True)
        comment["body"] = _short(Path(fields["body"].removeprefix("@")).read_text())
    else:
        raise RefusedError(f"no such request: {method} {path}")


def _wanted(issue: dict[str, Any], fields: dict[str, str]) -> bool:
    assert set(fields) <= {"state", "creator", "per_page"}
    return issue["state"] == fields["state"] and issue["user"]["login"] == fields["creator"]


def _print_pages(items: list[Any], flags: dict[str, list[str]]) -> None:
    """Newest first as GitHub lists them, the filter over each page; only the first one without --paginate."""
    program = jq.compile(flags["--jq"][0])
    items = items[::-1]
    pages = [items[at : at + 2] for at in range(0, max(1, len(items)), 2)]
    for page in pages if "--paginate" in flags else pages[:1]:
        for found in program.input_value(page):
            print(found)


def _allowed(permission: str) -> None:
    granted = os.environ["GH_TOKEN"].split()
    if permission not in granted and permission.replace(":read", ":write") not in granted:
        raise RefusedError(f"HTTP 403: {permission} is not granted")


def _file(flags: dict[str, list[str]]) -> str:
    return _short(Path(flags["--body-file"][0]).read_text())


def _short(body: str) -> str:
    if len(body) > LONGEST:
        raise RefusedError(f"HTTP 422: body is too long (maximum is {LONGEST} characters)")
    return body


def _parsed(words: list[str], known: set[str]) -> tuple[list[str], dict[str, list[str]]]:
    arguments: list[str] = []
    flags: dict[str, list[str]] = {}
    while words:
        word = words.pop(0)
        if word in SWITCHES & known:
            flags[word] = []
        elif word in known:
            flags.setdefault(word, []).append(words.pop(0))
        elif word.startswith("-"):
            raise RefusedError(f"unknown flag: {word}")
        else:
            arguments.append(word)
    return arguments, flags


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RefusedError as problem:
        sys.exit(f"gh: {problem}")

"""What a Dockerfile asks for that only BuildKit can do, found before anything is sent to a builder.

Reads text. It is no Dockerfile parser: instructions, their options and heredocs, no more.
"""

import re
from collections.abc import Iterator

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*\w+\s*=")
_OPTION = re.compile(r"\s--([a-z][a-z-]*)(?==|\s|$)")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?\s?(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")
_OPTIONS = {
    "RUN": {"mount", "network", "security", "device"},
    "COPY": {"link", "chmod", "parents", "exclude"},
    "ADD": {"link", "chmod", "checksum", "keep-git-dir", "exclude", "unpack"},
}


def needs_buildkit(text: str) -> list[str]:
    """Each use of something the legacy builder lacks, as "line 3: RUN --mount"; empty when there is none."""
    found = []
    for number, instruction in instructions(text):
        word, rest = _word(instruction)
        if word == "ONBUILD":
            word, rest = _word(rest)
        if word not in _OPTIONS:
            continue
        head = re.match(r"(?:\s*--\S+)*", rest)
        used = _OPTION.findall(f" {head.group().strip()}" if head else "")
        found += [f"line {number}: {word} --{option}" for option in used if option in _OPTIONS[word]]
        if _HEREDOC.search(rest):
            found.append(f"line {number}: {word} with a heredoc")
    return found


def _word(instruction: str) -> tuple[str, str]:
    """An instruction's name in upper case, and what follows it."""
    word, rest = [*instruction.split(maxsplit=1), "", ""][:2]
    return word.upper(), rest


def instructions(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each instruction, its continuation lines joined; heredoc bodies skipped."""
    lines = text.removeprefix("\ufeff").splitlines()
    escape = "\\"
    for line in lines:
        if not _DIRECTIVE.match(line):
            break
        if directive := _ESCAPE.fullmatch(line.strip()):
            escape = directive.group(1)
    at = 0
    while at < len(lines):
        number, whole = at + 1, lines[at].strip()
        at += 1
        if not whole or whole.startswith("#"):
            continue
        while whole.endswith(escape) and at < len(lines):
            line = lines[at].strip()
            at += 1
            if not line.startswith("#"):
                whole = f"{whole[:-1].rstrip()} {line}"
        yield number, whole
        if _word(whole)[0] in _OPTIONS:
            for _, end in _HEREDOC.findall(whole):
                while at < len(lines) and lines[at].lstrip("\t") != end:
                    at += 1
                at += 1

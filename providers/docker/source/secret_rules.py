"""What looks like a secret: in the name of a file, and in bytes. Pure: opens no file and shows no secret.

A token counts where its issuer gives it a shape that no other text has, as documented by
https://docs.github.com/en/authentication/keeping-your-account-and-data-secure ·
https://docs.gitlab.com/security/tokens/ ·
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html ·
https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml (Hugging Face and the others).
Picsellia's token is forty hexadecimal digits (`Client(api_token=…)` of its SDK). So is a git commit, and
the digits count only as the value of a name, or as the first argument of `Client`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

LARGEST = 1 << 20  # bytes of a file that its name and its content together make a secret
_OVERLAP = 1024  # bytes: more than any match with what has to be visible around it
_BEHIND = 256  # bytes: more than any token has behind its mark

_HEX = rb"[0-9a-fA-F]{40}"


class _Family(NamedTuple):
    """Tokens that are found in the same way.

    Attributes:
        mark: a part that each of them has, which begins with a character that is rare: it is found many times
            faster than all of it. What fails soonest comes first: text has many underscores.
        ahead: most bytes before the mark.
        shapes: what it is -> all of it.
    """

    mark: bytes
    ahead: int
    shapes: Mapping[str, bytes]


_FAMILIES = (
    _Family(
        rb"_(?<=[ahpr][fgmoprstu]_)(?:(?=[A-Za-z0-9]{22})(?:(?<=hf_)|(?<=api_org_)|(?<=gh[pousr]_)|(?<=github_pat_)|(?<=npm_))"
        rb"|(?<=dckr_[op]at_))",
        12,
        {
            "a Hugging Face token": rb"(?:hf|api_org)_[A-Za-z0-9]{34}",
            "a GitHub token": rb"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
            "an npm token": rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])",
            "a Docker Hub token": rb"dckr_[op]at_[\w-]{24}",
        },
    ),
    _Family(
        rb"-(?:(?<=[abcdfmnprstx][abeikoprst]-)(?=[\w-]{20})(?:(?<=gl[a-z]{2}-)|(?<=gl[a-z]{3}-)|(?<=gl[a-z]{4}-)|(?<=gl[a-z]{5}-)"
        rb"|(?<=xox[a-z]-)|(?<=sk-)|(?<=pypi-))|(?=----BEGIN [A-Z0-9 ]{0,84}PRIVATE KEY))",
        12,
        {
            "a GitLab token": rb"gl(?:dt|rt|ft|pat|cbt|ptt|imt|oas|soat|ffct|agent)-[\w-]{20}",
            "a Slack token": rb"xox[abeoprs]-[A-Za-z0-9-]{20}",
            "an Anthropic key": rb"sk-ant-[a-z]{1,10}[0-9]{2}-[\w-]{80}",
            "an OpenAI key": rb"sk-(?:proj|svcacct|admin)-[\w-]{40}"
            rb"|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
            "a PyPI token": rb"pypi-AgE[\w-]{50}",
            "a private key": rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
            rb"(?:\\{1,2}[rn]|\s){0,32}(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]{1,20}: )",
        },
    ),
    _Family(
        rb"A[KSBCI][ICz][Aa][\w-]{16}",
        0,
        {
            # "…EXAMPLE" is that of the documentation
            "an AWS access key": rb"A(?:KI|SI|BI|CC)A(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16}(?![A-Za-z0-9_])",
            "a Google API key": rb"AIza[\w-]{35}(?![\w-])",
        },
    ),
)
_MARKS = tuple(
    (
        re.compile(family.mark),
        family.ahead,
        tuple(family.shapes),
        re.compile(
            b"|".join(b"(?P<k%d>%s)" % (at, whole) for at, whole in enumerate(family.shapes.values()))
        ),
    )
    for family in _FAMILIES
)
# A token follows another word only where that is the end of a line in a text of a text: "\nhf_…".
_BEGINS = re.compile(rb"(?<![A-Za-z0-9_])|(?<=\\[nrt])")

_SURE_NAME = (
    rb"picsellia[\w.-]{0,80}token|api[_-]?token|--[a-z-]{0,40}token|(?<![a-z])client(?=\()"
    rb"|wandb[_-]?api[_-]?key|bearer"
)
_BETWEEN = rb"(?:[\0-\x20\x7f-\xff\"'`\\\[\](){}=:,>|;&]|str|None|Optional|SecretStr|Final|Bearer|Token)"
_NAMED = re.compile(
    # A column of names next to one of digests has no sign between them.
    rb"(?:(?i:%b)%b{1,16}|(?i:token)%b{0,15}[=:]%b{0,15})" % (_SURE_NAME, _BETWEEN, _BETWEEN, _BETWEEN)
    + rb"(?!a0c9f3bbf7e8bc175494fc44bfc6f89aae3eb9d0)"  # the example in the SDK's own documentation
    + _HEX
    + rb"\Z"
)
_NUMBER = re.compile(rb"(?<![0-9A-Za-z])" + _HEX + rb"(?![0-9A-Za-z])")
_LONGEST_NAME = 300  # bytes of a name and what is between it and its value
_IN_NAMES = (b"token", b"client", b"wandb", b"bearer")  # every name has one of them, in lower case
_EIGHTH = 8
_DIGITS = bytes(re.match(rb"[0-9a-fA-F]", bytes([byte])) is not None for byte in range(256))
_MANY_DIGITS = b"\1" * (40 // _EIGHTH)
# 1 for a digit, 2 for another letter, 0 between two words
_CLASSES = bytes(digit or 2 * bytes([byte]).isalnum() for byte, digit in enumerate(_DIGITS))
_FORTY_DIGITS = b"\0" + b"\1" * 40 + b"\0"

_WIDE = (b"\xff\xfe", b"\xfe\xff")  # what a text in UTF-16 begins with

_SHORTEST = 20  # bytes of the shortest token, and of the first line of a private key
_FOURTH = 4
_WORD = rb"[A-Za-z0-9_ -]"
_LETTERS = bytes(re.match(_WORD, bytes([byte])) is not None for byte in range(256))
_MANY_LETTERS = b"\1" * (_SHORTEST // _FOURTH)
_LONG_WORD = re.compile(_WORD + rb"{%d}" % (_SHORTEST - _FOURTH + 1))  # from its first sampled byte on

_NAMES = {
    "an environment file": r"\.env(?!.*\.(?:example|sample|template|tmpl|dist)$).*",
    "a file of credentials": r"[._]netrc|\.git-credentials|\.pypirc|\.pgpass|kaggle\.json"
    r"|application_default_credentials\.json",
    "a private key": r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?",
    "a store of keys": r".*\.(?:p12|pfx|jks|ppk|kdbx)",
}
_FOLDERS = r"\.aws/credentials|\.kube/config"
_BY_NAME = re.compile(
    "|".join(f"(?P<k{number}>{name})" for number, name in enumerate(_NAMES.values())),
    re.IGNORECASE | re.DOTALL,
)
_BY_PATH = re.compile(rf"(?:.*/)?(?:{_FOLDERS})", re.DOTALL)

_CONTENTS = (
    (
        r"config\.json|\.dockerconfigjson",
        rb'"auths"(?s:.*?)"(?:auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]',
        "a registry login",
    ),
    (r"\.dockercfg", rb'"(?:auth|password)"\s*:\s*"[^"]', "a registry login"),
    (r"\.npmrc", rb"(?m)^[^#;\n]*_(?:authToken|auth|password)\s*=\s*(?![\"']?\$)[^\s\"']", "an npm login"),
    # PKCS #1, PKCS #8 and SEC 1 in DER: a sequence that begins with the version 0 or 1
    (r".*\.(?:key|der|pk8)", rb"\A\x30(?s:[\x01-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]", "a private key"),
)
_ONLY_A_TOKEN = re.compile(rb"\A\s*[0-9a-fA-F]{40}\s*\Z")
_BY_CONTENT = tuple(
    (re.compile(name, re.IGNORECASE | re.DOTALL), re.compile(content), kind)
    for name, content, kind in _CONTENTS
)
_WITH_CONTENT = re.compile("|".join(name for name, _, _ in _CONTENTS), re.IGNORECASE | re.DOTALL)

_NOTABLE = re.compile(
    "|".join((*_NAMES.values(), *(name for name, _, _ in _CONTENTS), "credentials", "config")),
    re.IGNORECASE | re.DOTALL,
)

_SECRET_NAME = re.compile(
    r"(?:.*[_-])?(?:token|passw(?:or)?d|passphrase|secret|(?:api|access|private|secret)_?key|credentials?)",
    re.IGNORECASE | re.DOTALL,
)
_LITERAL = re.compile(r"(?![$/<{%])(?!(?:[0-9.]+)\Z)\S.{7,}", re.DOTALL)


class SecretMatch(NamedTuple):
    """A secret in bytes: what it is, for people, and the offset of its first byte."""

    kind: str
    offset: int


def kind_by_name(path: str) -> str | None:
    """What a file with this path is, where the name alone makes it a secret."""
    if match := _BY_NAME.fullmatch(path.rpartition("/")[2]):
        return tuple(_NAMES)[int((match.lastgroup or "")[1:])]
    return "a file of credentials" if _BY_PATH.fullmatch(path) else None


def is_notable(path: str) -> bool:
    """Whether the name of a file makes it a secret, by itself or together with its content."""
    name = path.rpartition("/")[2]
    return _NOTABLE.fullmatch(name) is not None or _is_named_after_a_token(name)


def needs_content(path: str) -> bool:
    """Whether a file of this name is a secret if its whole content says so: see `kind_by_content`."""
    name = path.rpartition("/")[2]
    return _WITH_CONTENT.fullmatch(name) is not None or _is_named_after_a_token(name)


def kind_by_content(path: str, content: bytes) -> SecretMatch | None:
    """What a file is by its name and content together; a `config.json` with a registry login."""
    name = path.rpartition("/")[2]
    for pattern, inside, kind in _BY_CONTENT:
        if pattern.fullmatch(name) and (match := inside.search(content)):
            return SecretMatch(kind, match.end() - 1)
    if _is_named_after_a_token(name) and _ONLY_A_TOKEN.match(content):
        return SecretMatch("an API token", 0)
    return None


def _is_named_after_a_token(name: str) -> bool:
    lower = name.lower()  # an expression for this takes as long as all the others
    return "token" in lower or "secret" in lower or "api_key" in lower


def is_secret_value(name: str, value: str) -> bool:
    """Whether a variable of this name holds a literal secret: not a reference, a path or a placeholder."""
    return bool(_SECRET_NAME.fullmatch(name) and _LITERAL.fullmatch(value))


def find(pieces: Iterable[bytes]) -> Iterator[SecretMatch]:
    """Every secret in the concatenation of `pieces`, in order; it may lie across two of them.

    Text in UTF-16 is searched as text; offsets then count its characters.
    """
    buffer, base, seen = b"", 0, 0
    for piece, is_last in _with_last(pieces):
        buffer = buffer + piece if buffer else piece
        end = base + len(buffer)
        # A match that begins in the last bytes is left to the next buffer, where all around it is visible.
        until = end if is_last else end - _OVERLAP
        found = sorted(_matches(buffer), key=attrgetter("offset"))
        for kind, at in found:
            if seen <= base + at < until:
                yield SecretMatch(kind, base + at)
        seen = max(seen, until)
        if not is_last:
            kept = min(len(buffer), 2 * _OVERLAP)
            buffer, base = buffer[len(buffer) - kept :], end - kept


def _with_last(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last one."""
    before: bytes | None = None
    is_wide = False
    for piece in pieces:
        if before is None:
            is_wide = piece.startswith(_WIDE)
        else:
            yield before, False
        before = piece.replace(b"\0", b"") if is_wide else piece
    if before is not None:
        yield before, True


def _matches(buffer: bytes) -> Iterator[SecretMatch]:
    if b"\0" in buffer and not _has_long_word(buffer):
        return
    for mark, ahead, kinds, whole in _MARKS:
        until = 0
        for marked in mark.finditer(buffer) if mark.pattern[:1] in buffer else ():
            start, end = max(marked.start() - ahead, until), marked.end() + _BEHIND
            for match in whole.finditer(buffer, start, end):
                until = match.end()
                if _BEGINS.match(buffer, match.start()) and not _is_placeholder(match[0]):
                    yield SecretMatch(kinds[int((match.lastgroup or "")[1:])], match.start())
    numbers = _numbers(buffer)
    first = next(numbers, None)
    if first is None or not _holds_a_name(buffer):
        return
    for start in chain((first,), numbers):
        if not _is_placeholder(buffer[start : start + 40]) and _is_named(buffer, start):
            yield SecretMatch("an API token", start)


def _numbers(buffer: bytes) -> Iterator[int]:
    """Where exactly forty digits are.

    Every eighth byte is enough to see that there are none. Where there may be some, all bytes between the
    first and the last such place are needed: texts with many numbers have them everywhere.
    """
    sample = buffer[::_EIGHTH].translate(_DIGITS)
    first = sample.find(_MANY_DIGITS)
    if first < 0:
        return
    start, end = max(first - 1, 0) * _EIGHTH, (sample.rfind(_MANY_DIGITS) + 6) * _EIGHTH
    classes = b"\0%b\0" % buffer[start:end].translate(_CLASSES)  # a number can begin and end the buffer
    first = classes.find(_FORTY_DIGITS[1:-1])  # several times faster than with what is around them
    at = classes.find(_FORTY_DIGITS, first - 1) if first > 0 else -1
    while at >= 0:
        if _NUMBER.match(buffer, start + at):
            yield start + at
        at = classes.find(_FORTY_DIGITS, at + 41)


def _is_named(buffer: bytes, start: int) -> bool:
    """Whether the forty digits from here on are the value of a name that makes them a token."""
    first = max(start - _LONGEST_NAME, 0)
    return _holds_a_name(buffer[first:start]) and _NAMED.search(buffer, first, start + 40) is not None


def _holds_a_name(text: bytes) -> bool:
    """Whether `_NAMED` is worth its time: it takes ten times as long as this."""
    lower = text.lower()
    return any(word in lower for word in _IN_NAMES)


def _is_placeholder(token: bytes) -> bool:
    """Whether it is one of a documentation: "hf_xxxxxxxx"."""
    return len(set(token[-16:])) < 4


def _has_long_word(buffer: bytes) -> bool:
    """Whether something in binary data is as long as a token.

    Every fourth byte is enough to see that there is none, in less time than any search takes.
    """
    sample = buffer[::_FOURTH].translate(_LETTERS)
    at = sample.find(_MANY_LETTERS)
    while at >= 0:
        if _LONG_WORD.match(buffer, at * _FOURTH):
            return True
        at = sample.find(_MANY_LETTERS, at + 1)
    return False

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from operator import attrgetter
from typing import NamedTuple

from providers.patterns import pattern

LARGEST = 1 << 20  # bytes of a file that its name and its content together make a secret
_OVERLAP = 1024  # bytes: more than any match with what has to be visible around it

_HEX = rb"[0-9a-fA-F]{40}"


class _Shape(NamedTuple):
    """Tokens of one kind.

    Attributes:
        kind: for people.
        marks: literals, separated by spaces; each token has one of them. Rare ones are found faster.
        whole: expression of the token.
        ahead: bytes of the token before the mark.
    """

    kind: str
    marks: bytes
    whole: bytes
    ahead: int = 0


_SHAPES = (
    _Shape("a Hugging Face token", b"hf_ api_org_", rb"(?:hf|api_org)_[A-Za-z0-9]{34}"),
    _Shape("a GitHub token", b"ghp_ gho_ ghu_ ghs_ ghr_", rb"gh[pousr]_[A-Za-z0-9]{36}"),
    _Shape("a GitHub token", b"b_pat_", rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", ahead=5),
    _Shape("an npm token", b"npm_", rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),
    _Shape("a Docker Hub token", b"dckr_pat_ dckr_oat_", rb"dckr_[op]at_[\w-]{24}"),
    _Shape(
        "a GitLab token",
        b"gldt- glrt- glft- glpat- glcbt- glptt- glimt- gloas- glsoat- glffct- glagent-",
        rb"gl(?:dt|rt|ft|pat|cbt|ptt|imt|oas|soat|ffct|agent)-[\w-]{20}",
    ),
    _Shape("a Slack token", b"xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", rb"xox[abeoprs]-[A-Za-z0-9-]{20}"),
    _Shape("an Anthropic key", b"sk-ant-", rb"sk-ant-[a-z]{1,10}[0-9]{2}-[\w-]{80}"),
    _Shape("an OpenAI key", b"sk-proj- sk-svcacct- sk-admin-", rb"sk-(?:proj|svcacct|admin)-[\w-]{40}"),
    _Shape("an OpenAI key", b"T3BlbkFJ", rb"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", ahead=23),
    _Shape("a PyPI token", b"pypi-AgE", rb"pypi-AgE[\w-]{50}"),
    _Shape(
        "a private key",
        b"-----BEGIN",
        rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        rb"(?:\\{1,2}[rn]|[\s\"'+,()]){0,32}(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]{1,20}: )",
    ),
    _Shape(
        "an AWS access key",
        b"AKIA ASIA ABIA ACCA",
        # "…EXAMPLE" is that of the documentation
        rb"A(?:KI|SI|BI|CC)A(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16}(?![A-Za-z0-9_])",
    ),
    _Shape("a Google API key", b"AIza", rb"AIza[\w-]{35}(?![\w-])"),
)
# Escapes and colours, as texts of texts, addresses and logs have them. Each ends with a letter or a digit.
_ESCAPE = (
    rb"\\(?:[nrtv]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|(?:033|e)(?=\[))"
    rb"|%(?:25){0,2}[0-9A-Fa-f]{2}|\[[0-9;:?]{0,20}[mGHJK]|\x1b\([0B]"
)
# A token begins after what is no part of a word: a sign, one of these, or the length of a text in a binary.
_BEFORE = pattern(
    rb"(?:[^A-Za-z0-9_]|%b|\\(?:[abef]|[0-7]{1,3})|=[0-9A-F]{2}"
    rb"|[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\xff].|\A)\Z" % _ESCAPE
)
_LONGEST_BEFORE = 24  # bytes
_MARKS = tuple(mark for shape in _SHAPES for mark in shape.marks.split())
_BY_MARK = tuple(
    (shape.kind, shape.ahead, whole)
    for shape in _SHAPES
    for whole in (pattern(shape.whole),)
    for _ in shape.marks.split()
)

_SURE_NAME = (
    rb"picsellia[\w.-]{0,80}token|api[_-]?token|--[a-z-]{0,40}token|(?:(?<![a-z])|(?:%b))client(?=\()"
    rb"|wandb[_-]?api[_-]?key|bearer|authorization" % _ESCAPE
)
_WORDS = (
    *(b"str", b"None", b"Optional", b"SecretStr", b"Final", b"Field", b"type", b"string", b"or"),
    *(b"default", b"value", b"Bearer", b"Token", b"token", b"f", b"b", b"r", b"u"),
)
"""Words between a name and its value: of Python, of manifests with names and values, and of a header."""
_BETWEEN = b"|".join(  # without groups around the alternatives: each is then tried by its first byte only
    (
        rb":-",  # in a shell; before the sign alone
        rb"[\0-\x1a\x1c-\x20\x7f-\xff\"'`\](){}=:,>|;&]",
        _ESCAPE,
        rb"[\x1b\\\[]",
        *(rb"%b(?![0-9A-Za-z])" % word for word in _WORDS),
    )
)
_EQUALS = rb"(?:[=:]|(?:%(?:25){0,2}|\\x|\\u00)3[ADad])"
_NAMED = pattern(
    # A column of names next to one of digests has no sign between them.
    rb"(?:(?i:%b)(?:%b){1,31}|(?i:token)(?:%b){0,15}%b(?:%b){0,15})"
    % (_SURE_NAME, _BETWEEN, _BETWEEN, _EQUALS, _BETWEEN)
    + rb"(?!a0c9f3bbf7e8bc175494fc44bfc6f89aae3eb9d0)"  # the example in the SDK's own documentation
    + _HEX
    + rb"\Z"
)
_LONGEST_NAME = 300  # bytes of a name and what is between it and its value
# A part near the end of every name, in any case, and what may follow it up to the number; `_NAMED` decides.
_ENDINGS = tuple(
    dict.fromkeys(
        bytes(letters)
        for ending in (b"oke", b"ient(", b"ndb", b"eare")
        for letters in product(*zip(ending, ending.upper(), strict=True))
    )
)
# Nothing between them can be a part of a number, so no shorter match is tried ("++").
_TO_NUMBER = pattern(
    rb"(?i:[nr]|[_-]?api[_-]?key)?(?:(?:%b){1,31}+|(?<=\())(?=%b(?![0-9A-Za-z]))" % (_BETWEEN, _HEX)
)
_SAMPLE = 1024  # bytes
_MANY = 2  # endings in a sample: each takes as long as a search of 500 bytes for digits
_STEP = 4  # forty digits in a row are ten of every fourth byte; those of a UUID never are
_IS_DIGIT = bytes(byte in b"0123456789abcdefABCDEF" for byte in range(256))
_ROWS = tuple(b"\0%b\0" % (b"\1" * digits) for digits in range(40, 50, 2))  # with those of an escape
_BATCH = 64 << 10  # bytes; larger ones take no less time

_WIDE = (b"\xff\xfe", b"\xfe\xff")  # what a text in UTF-16 begins with

_NAMES = {
    "an environment file": r"\.env(?!.*\.(?:example|sample|template|tmpl|dist)$).*",
    "a file of credentials": r"[._]netrc|\.git-credentials|\.pypirc|\.pgpass|kaggle\.json"
    r"|application_default_credentials\.json",
    "a private key": r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?",
    "a store of keys": r".*\.(?:p12|pfx|jks|ppk|kdbx)",
}
_FOLDERS = r"\.aws/credentials|\.kube/config"
_BY_NAME = pattern(
    "|".join(f"(?P<k{number}>{name})" for number, name in enumerate(_NAMES.values())),
    re.IGNORECASE | re.DOTALL,
)
_BY_PATH = pattern(rf"(?:.*/)?(?:{_FOLDERS})", re.DOTALL)

_CONTENTS = (
    (
        r"config\.json|\.dockerconfigjson",
        rb'\A(?>(?s:.*?)"auths")(?s:.*?)"(?:auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]',
        "a registry login",
    ),
    (r"\.dockercfg", rb'"(?:auth|password)"\s*:\s*"[^"]', "a registry login"),
    (r"\.npmrc", rb"(?m)^[^#;\n]*_(?:authToken|auth|password)\s*=\s*(?![\"']?\$)[^\s\"']", "an npm login"),
    # PKCS #1, PKCS #8 and SEC 1 in DER: a sequence that begins with the version 0 or 1
    (r"\A.*\.(?:key|der|pk8)", rb"\A\x30(?s:[\x01-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]", "a private key"),
)
_ONLY_A_TOKEN = pattern(rb"\A\s*[0-9a-fA-F]{40}\s*\Z")
_BY_CONTENT = tuple(
    (pattern(name, re.IGNORECASE | re.DOTALL), pattern(content), kind) for name, content, kind in _CONTENTS
)
_WITH_CONTENT = pattern("|".join(name for name, _, _ in _CONTENTS), re.IGNORECASE | re.DOTALL)

# In every name that `is_notable`, in small letters: to search many names at once.
_NAME_PARTS = (
    *(b".env", b"netrc", b"credentials", b"pypirc", b"pgpass", b"kaggle", b"id_", b".p12", b".pfx", b".jks"),
    *(b".ppk", b".kdbx", b"config", b".dockercfg", b".npmrc", b".key", b".der", b".pk8"),
    *(b"token", b"secret", b"api_key"),
)
_NOTABLE = pattern(
    "|".join((*_NAMES.values(), *(name for name, _, _ in _CONTENTS), "credentials", "config")),
    re.IGNORECASE | re.DOTALL,
)

# Names of a password, and names of keys and tokens, which are longer than what else such a name may have.
_PASSWORD_NAME = pattern(r"(?:.*(?:passw(?:or)?d|passphrase)|(?:.*[_-])pass|.*[_-]pwd)", re.I | re.S)
_KEY_NAME = pattern(
    r".*(?:secret|(?:api|access|private|secret)[_-]?key|credentials?|(?P<token>token))", re.I | re.S
)
_SHORTEST_KEY = 8  # characters
_NUMBER = pattern(r"[0-9.]+")  # "MAX_TOKEN=4096"
_NO_SECRET = pattern(
    r"(?i:true|false|yes|no|on|off|none|null)|[0-9]"  # "ALLOW_EMPTY_PASSWORD=yes"
    r"|`.*|\$(?:\w|[({]).*|<.*>|\{\w*\}|\{\{.*\}\}|%.*%|%\(.*"  # references and placeholders
    r"|(?:~|\.{1,2})?/[a-z][\w.-]*(?:/[\w.@-]+)+/?"  # a key in base64 may begin with a slash, too
    r"|(?:(?:~|\.{1,2})?/)?[\w-]+\.(?:json|ya?ml|txt|pem|key|crt)",
    re.DOTALL,
)
_DEFAULT = pattern(r"\$\{\w+:?-(.*)\}", re.DOTALL)  # "${NAME:-a value}"


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
    for named, inside, kind in _BY_CONTENT:
        if named.fullmatch(name) and (match := inside.search(content)):
            return SecretMatch(kind, match.end() - 1)
    if _is_named_after_a_token(name) and _ONLY_A_TOKEN.match(content):
        return SecretMatch("an API token", 0)
    return None


_PASSWORD = pattern(r"://[^/\s:@]*:(?![$<{%])[^/\s@]+@")
"""An address with a password that is no reference: `https://me:${PASSWORD}@host` holds none."""


def _is_named_after_a_token(name: str) -> bool:
    lower = name.lower()  # an expression for this takes as long as all the others
    return "token" in lower or "secret" in lower or "api_key" in lower


def is_secret_value(name: str, value: str) -> bool:
    """Whether a variable of this name holds a literal secret: not a reference, a path or a placeholder."""
    if default := _DEFAULT.fullmatch(value):
        value = default[1]
    if not value.strip() or _NO_SECRET.fullmatch(value):
        return False
    if _PASSWORD_NAME.fullmatch(name):
        return True
    named = _KEY_NAME.fullmatch(name)
    if named is None or len(value) < _SHORTEST_KEY:
        return False
    return not (named["token"] and _NUMBER.fullmatch(value))


class Sieve:
    """Sorts out the files that are no secret and hold none, which are most; many small ones in one search.

    Attributes:
        suspects: paths of the others, once `end` was called. Some of them may hold no secret either.
    """

    def __init__(self) -> None:
        self.suspects: list[str] = []
        self._paths: list[str] = []
        self._contents: list[bytes] = []
        self._size = 0

    def add(self, path: str, content: bytes) -> None:
        """A file with its whole content."""
        if content.startswith(_WIDE):
            self.suspects.append(path)
            return
        self._paths.append(path)
        self._contents.append(content)
        self._size += len(content)
        if self._size >= _BATCH:
            self.end()

    def add_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """A file with its content in pieces, all of which are read."""
        if sum(1 for _ in find(pieces)) or is_notable(path):
            self.suspects.append(path)

    def end(self) -> None:
        """Search what was not searched yet."""
        names = "\0".join(self._paths).casefold().encode("utf-8", "surrogatepass")
        named = {names.count(b"\0", 0, at) for _, at, _ in _searches().name_parts(names)}
        suspects = {number for number in named if is_notable(self._paths[number])}
        # The end of a line beside a token is as good as the end of a file.
        if _matches(b"\n".join(self._contents)):
            suspects |= {number for number, content in enumerate(self._contents) if _matches(content)}
        self.suspects += [self._paths[number] for number in suspects]
        self._paths, self._contents, self._size = [], [], 0


def kind_of_value(name: str, value: str) -> str | None:
    """What the value of this variable is, where it is a secret by its shape or by the variable's name."""
    text = f"{name}={value}".encode("utf-8", "surrogateescape")
    if found := next(find((text,)), None):
        return found.kind
    if _PASSWORD.search(value):
        return "an address with a password"
    return f"a value for {name}" if is_secret_value(name, value) else None


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
        for kind, at in _matches(buffer):
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


def _matches(buffer: bytes) -> list[SecretMatch]:
    """The secrets in it; in most there is neither a mark nor the ending of a name."""
    search_marks, search_endings, _ = _searches()
    found: list[SecretMatch] = []
    if marks := search_marks(buffer):
        for number, at, _ in marks:
            kind, ahead, whole = _BY_MARK[number]
            match = whole.match(buffer, at - ahead) if at >= ahead else None
            if match and _begins(buffer, match.start()) and not _is_placeholder(match[0]):
                found.append(SecretMatch(kind, match.start()))
    if _has_few_names(buffer) or _has_a_number(buffer):
        endings = search_endings(buffer)
        numbers = {match.end() for _, _, end in endings if (match := _TO_NUMBER.match(buffer, end))}
        found += [SecretMatch("an API token", start) for start in numbers if _is_token(buffer, start)]
    if len(found) > 1:
        found.sort(key=attrgetter("offset"))
    return found


def _has_few_names(buffer: bytes) -> bool:
    """Whether it takes less time to look at every name than to search for numbers first."""
    return len(buffer) <= _SAMPLE or len(_searches().endings(buffer[:_SAMPLE])) < _MANY


def _begins(buffer: bytes, start: int) -> bool:
    """Whether what begins here is no part of a longer word."""
    return _BEFORE.search(buffer, max(start - _LONGEST_BEFORE, 0), start) is not None


def _has_a_number(buffer: bytes) -> bool:
    """Whether there are forty digits in a row that are not a part of something longer."""
    # `rfind` takes half the time of `in` where there are many shorter rows.
    if buffer[::_STEP].translate(_IS_DIGIT).rfind(b"\1" * (40 // _STEP)) < 0:
        return False
    digits = b"\0%b\0" % buffer.translate(_IS_DIGIT)
    return any(digits.rfind(row) >= 0 for row in _ROWS)


def _is_token(buffer: bytes, start: int) -> bool:
    """Whether the number that begins here is the value of a name that makes it a token."""
    end = start + 40
    if _is_placeholder(buffer[start:end]):
        return False
    return _NAMED.search(buffer, max(start - _LONGEST_NAME, 0), end) is not None


_Search = Callable[[bytes], Sequence[tuple[int, int, int]]]


class _Searches(NamedTuple):
    """Searches for `_MARKS`, `_ENDINGS` and `_NAME_PARTS`."""

    marks: _Search
    endings: _Search
    name_parts: _Search


@cache
def _searches() -> _Searches:
    return _Searches(_search(_MARKS), _search(_ENDINGS), _search(_NAME_PARTS))


def _search(literals: Sequence[bytes]) -> _Search:
    """Where each of the literals is, as (its index, start, end), in order and without overlaps.

    ahocorasick-rs uses vector instructions for up to 64 literals and for this kind of match only: three
    times the speed of sha256. Where it is not installed, `re` finds the same, much more slowly.
    """
    try:
        from ahocorasick_rs import BytesAhoCorasick, MatchKind
    except ImportError:
        return _search_with_re(literals)
    search: _Search = BytesAhoCorasick(literals, MatchKind.LeftmostFirst).find_matches_as_indexes
    return search


def _search_with_re(literals: Sequence[bytes]) -> _Search:
    pattern = re.compile(b"|".join(map(re.escape, literals)))
    return lambda buffer: [(literals.index(m[0]), m.start(), m.end()) for m in pattern.finditer(buffer)]


def _is_placeholder(token: bytes) -> bool:
    """Whether it is one of a documentation: "hf_xxxxxxxx"."""
    return len(set(token[-16:])) < 4

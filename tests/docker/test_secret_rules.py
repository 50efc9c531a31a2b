"""What counts as a secret: every shape of token wherever it stands, and nothing that only looks random."""

import base64
import hashlib
import random
import re
import string
import subprocess
import sys
import uuid
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from providers import secret_rules
from providers.docker.source.reading import CHUNK
from providers.secret_rules import (
    Sieve,
    find,
    is_notable,
    is_secret_value,
    kind_by_content,
    kind_by_name,
    needs_content,
)
from tests.docker.tokens import BEFORE, BEFORE_SHAPES, tokens, tokens_in_files

SHAPES = sorted(tokens_in_files())
BETWEEN = (b"\n", b" ", b'"', b"'", b"=", b"\0", b"\xff", b";", b"\\n", b"/", b"@", b":")


def noise(kind: str, size: int, seed: int) -> bytes:
    """Bytes that hold no secret."""
    chance = random.Random(seed)
    match kind:
        case "binary":
            return chance.randbytes(size)
        case "weights":
            return bytes(chance.choices(b"\x00\x3c\x3d\xbc\xbd0123456789ABCDEFabcdef", k=size))
        case "hex":
            return chance.randbytes(size).hex().encode()[:size]
        case "base64":
            return base64.encodebytes(chance.randbytes(size))[:size]
        case "base64url":
            return base64.urlsafe_b64encode(chance.randbytes(size))[:size]
        case "digests":
            lines = [hashlib.sha1(chance.randbytes(8)).hexdigest() for _ in range(size // 40 + 1)]
            return "\n".join(f"commit {line}" for line in lines).encode()[:size]
        case "words":
            letters = string.ascii_letters + "_-     \n"
            return "".join(chance.choices(letters, k=size)).encode()
    raise AssertionError(kind)


NOISES = ("binary", "weights", "hex", "base64", "base64url", "digests", "words")


@given(
    st.sampled_from(SHAPES),
    st.integers(0, 10**6),
    st.sampled_from(NOISES),
    st.integers(0, 4000),
    st.integers(0, 2000),
    st.sampled_from(BETWEEN),
    st.lists(st.integers(0, 13000), max_size=6),
)
def test_a_token_of_every_shape_is_found_wherever_it_stands(
    shape: str, seed: int, kind: str, before: int, after: int, between: bytes, cuts: list[int]
) -> None:
    token = tokens_in_files(seed)[shape].encode()
    content = noise(kind, before, seed) + between + token + b"\n" + noise(kind, after, seed + 1)
    places = sorted({0, *(cut for cut in cuts if cut < len(content)), len(content)})
    pieces = [content[start:end] for start, end in pairwise(places)]

    found = list(find(pieces))

    start = before + len(between)
    assert [start <= each.offset < start + len(token) for each in found] == [True]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_token_across_two_reads_of_a_file(shape: str) -> None:
    token = tokens_in_files()[shape].encode()
    for kind in ("binary", "words"):
        filler = noise(kind, CHUNK + 2048, 7)
        for shift in range(-len(token) - 2, 3):
            start = CHUNK + shift
            content = filler[: start - 1] + b" " + token + b" " + filler
            pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
            assert len(list(find(pieces))) == 1, (kind, shift)


@pytest.mark.parametrize("name", BEFORE | BEFORE_SHAPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_token_is_found_after_every_escape(shape: str, name: str) -> None:
    token, is_number = tokens_in_files()[shape], shape.startswith(("picsellia", "weights"))
    if name in BEFORE_SHAPES and is_number:
        return
    before = (BEFORE | BEFORE_SHAPES)[name]
    for after in ("", " ", "\x1b[0m", "\\n", "%26x=1", "\\u003e", '"'):
        found = list(find([f"{before}{token}{after}".encode("latin-1")]))
        assert [len(before) <= each.offset for each in found] == [True], after


@pytest.mark.parametrize("before", [name for name in BEFORE if name not in ("a word", "an address")])
@pytest.mark.parametrize("name", ["api_token", "PICSELLIA_TOKEN", "token"])
@pytest.mark.parametrize("others", ["", "token; " * 199], ids=["alone", "among many names"])
def test_digits_are_found_between_escapes(name: str, before: str, others: str) -> None:
    number = tokens()["picsellia variable"].partition("=")[2]
    for sign in ("=", ": ", "%3D", "%253D", "\\u003d", '": "', '\\x3d"'):
        content = f"{others}{name}{sign}{BEFORE[before]}".encode()
        for after in ("", "\x1b[0m", "\\n", "%26x", '"'):
            assert [*find([content + f"{number}{after}".encode()])] == [("an API token", len(content))]


@pytest.mark.parametrize(
    "before", ["a", "A", "0", "_", "xx", "3D", "u003d", "x1b", "32m", "my_", "%3", "\\u003"]
)
@pytest.mark.parametrize(
    "shape", [shape for shape, token in tokens().items() if re.fullmatch(r"[\w-]+", token)]
)
def test_what_continues_a_word_is_no_token(shape: str, before: str) -> None:
    token = tokens_in_files()[shape]
    assert list(find([f"{before}{token}".encode()])) == []
    assert list(find([f"x = {before}{token}\n".encode()])) == []


@settings(max_examples=60)
@given(st.sampled_from(NOISES), st.integers(0, CHUNK + 4096), st.integers(0, 10**9))
def test_random_data_is_no_secret(kind: str, size: int, seed: int) -> None:
    content = noise(kind, size, seed)
    assert list(find([content[at : at + CHUNK] for at in range(0, size, CHUNK)])) == []


@given(st.binary(max_size=3000))
def test_any_bytes_can_be_searched(content: bytes) -> None:
    assert list(find([content])) == []


BITS = (
    "hf_|api_org_|ghp_|github_pat_|npm_|dckr_pat_|glpat-|glagent-|gloas-|xoxb-|sk-ant-api03-|sk-proj-|sk-"
    "|T3BlbkFJ|pypi-AgE|AKIA|ACCA|AIza|-----BEGIN |RSA |PRIVATE KEY-----|\n|\\n|\\| |_|-|\0|\xff"
    "|token|API_TOKEN|Client(|cLiEnT(|bearer |BeArEr |tokEN|wandb|hub_pat_"
    '|WANDB_API_KEY|=|"|: |Proc-Type: 4|None|str|SecretStr|Optional[|Bearer |tokens'
    "|token\t|api-token|--x-token|%3D|%253d|\\u003d|\\x3D|\\t|\x1b[1;32m|\x1b(B|[0m|=3D|\\033|\x8cA"
)
PARTS = st.one_of(
    st.sampled_from(BITS.encode("latin-1").split(b"|")),
    st.sampled_from(SHAPES).flatmap(
        lambda shape: st.integers(0, 9).map(lambda seed: tokens_in_files(seed)[shape].encode())
    ),
    st.builds(
        lambda letters, size, seed: bytes(random.Random(seed).choices(letters, k=size)),
        st.sampled_from([b"0123456789abcdef", b"ABCDEF0123456789", b"aZ9", b"aZ9_-kx", b"0123456789.,-"]),
        st.sampled_from([1, 8, 16, 20, 24, 34, 36, 39, 40, 41, 64, 90]),
        st.integers(0, 99),
    ),
)


def plain(content: bytes) -> list[tuple[str, int]]:
    """What the rules find where every expression is tried at every byte, with nothing to save time."""
    matches = [
        (kind, at)
        for kind, shape in SHAPES_ALONE
        for at in range(len(content))
        if (match := shape.match(content, at))
        and secret_rules._begins(content, at)
        and not secret_rules._is_placeholder(match[0])
    ]
    for at in range(len(content)):
        number = NUMBER.match(content, at)
        if number is None or not BEFORE_NUMBER.search(content, 0, at):
            continue
        named = secret_rules._NAMED.search(content, max(at - secret_rules._LONGEST_NAME, 0), number.end())
        if named and not secret_rules._is_placeholder(number[0]):
            matches.append(("an API token", at))
    return sorted(matches, key=lambda match: match[1])


NUMBER = re.compile(rb"[0-9a-fA-F]{40}(?![0-9A-Za-z])")
BEFORE_NUMBER = re.compile(rb"(?:\A|[^0-9A-Za-z]|%b)\Z" % secret_rules._ESCAPE)
SHAPES_ALONE = [(shape.kind, re.compile(shape.whole)) for shape in secret_rules._SHAPES]


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=14).map(b"".join))
def test_the_fast_search_finds_what_the_rules_find_at_every_byte(content: bytes) -> None:
    expected = plain(content)
    assert [tuple(found) for found in find([content])] == expected


FILES = st.lists(
    st.tuples(
        st.sampled_from(
            ["a.py", "b/.env", "config.json", "TOKENS.txt", "id_RSA", "k.Key", "id_map.py", "x/config"]
        ),
        st.lists(PARTS, max_size=8).map(b"".join),
    ),
    max_size=6,
)


@given(FILES, st.sampled_from([1, 40, 1 << 20]))
def test_files_that_are_searched_together_are_judged_one_by_one(
    files: list[tuple[str, bytes]], batch: int
) -> None:
    paths = [f"{number}/{name}" for number, (name, _) in enumerate(files)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(secret_rules, "_BATCH", batch)
        sieve = Sieve()
        for path, (_, content) in zip(paths, files, strict=True):
            sieve.add(path, content)
        sieve.end()
    wide = (b"\xff\xfe", b"\xfe\xff")
    assert sorted(sieve.suspects) == [
        path
        for path, (_, content) in zip(paths, files, strict=True)
        if is_notable(path) or content.startswith(wide) or plain(content)
    ]


def test_a_name_may_have_half_a_surrogate_pair() -> None:
    sieve = Sieve()
    for path in ("\ud800.p12", "\udc80.p12", "\udc80.txt"):
        sieve.add(path, b"")
    sieve.end()
    assert sorted(sieve.suspects) == ["\ud800.p12", "\udc80.p12"]


@given(st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=3), st.data())
def test_no_notable_name_is_missed_among_many(letters: str, data: st.DataObject) -> None:
    patterns = (*secret_rules._NAMES.values(), *(pattern for pattern, _, _ in secret_rules._CONTENTS))
    pattern = re.compile(data.draw(st.sampled_from(patterns)), re.IGNORECASE | re.DOTALL)
    name = data.draw(st.from_regex(pattern, fullmatch=True))
    assume("/" not in name and "\0" not in name)
    sieve = Sieve()
    for path in (letters, name, f"{letters}/{name}"):
        sieve.add(path, b"")
    sieve.end()
    assert sorted(sieve.suspects) == sorted(
        path for path in (letters, name, f"{letters}/{name}") if is_notable(path)
    )


@pytest.mark.parametrize("value", ["a1" * 16, "a1" * 32, str(uuid.UUID(int=1 << 127)), "words", ""])
def test_a_number_with_a_name_is_found_among_many_names(value: str) -> None:
    """A buffer with thousands of names is searched for numbers first, as files of annotations are."""
    names = b'{"token": "%b"}\n' % value.encode() * 5000
    token = tokens()["picsellia variable"].encode() + b"\n"
    assert list(find([names])) == []
    for before in range(8):
        content = names + b" " * before + token + names
        assert [found.kind for found in find([content])] == ["an API token"]


@settings(max_examples=60)
@given(
    st.sampled_from([b"token", b"TOKEN", b"client(", b"bearer "]), st.lists(PARTS, max_size=14).map(b"".join)
)
def test_what_is_found_among_many_names_is_what_the_rules_find(name: bytes, content: bytes) -> None:
    content = (name + b"; ") * 200 + content
    assert [tuple(found) for found in find([content])] == plain(content)


@pytest.mark.parametrize("word", ["token", "client", "wandb_api_key", "bearer"])
def test_a_name_is_found_in_upper_lower_and_mixed_case(word: str) -> None:
    number = tokens()["picsellia variable"].partition("=")[2]
    for name in (word, word.upper(), word.title(), word.swapcase().title().swapcase()):
        line = f'{name}("{number}")' if word == "client" else f"{name} = {number}"
        assert [found.kind for found in find([line.encode()])] == ["an API token"], name


LITERALS = (secret_rules._MARKS, secret_rules._ENDINGS, secret_rules._NAME_PARTS)


@given(st.lists(PARTS, max_size=14).map(b"".join), st.sampled_from(LITERALS))
def test_the_compiled_search_and_the_one_of_the_standard_library_find_the_same(
    content: bytes, literals: tuple[bytes, ...]
) -> None:
    assert secret_rules._search(literals)(content) == secret_rules._search_with_re(literals)(content)


def test_the_literals_are_few_enough_for_vector_instructions() -> None:
    """More than 64 take ten times as long: the library then goes byte by byte."""
    assert [len(literals) <= 64 for literals in LITERALS] == [True, True, True]


def test_the_search_library_is_imported_only_when_files_are_searched() -> None:
    command = (
        "import sys; import providers.docker.source.secret_scan; from providers import secret_rules as rules;"
        "before = 'ahocorasick_rs' in sys.modules; list(rules.find([b'a']));"
        "print(before, 'ahocorasick_rs' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    assert printed.stdout == "False True\n"


@pytest.mark.parametrize(
    "text",
    [
        'TOKEN = os.environ["PICSELLIA_TOKEN"]',
        "PICSELLIA_TOKEN=${PICSELLIA_TOKEN}",
        "hf_hub_download(repo_id, filename)",
        "hf_" + "x" * 34,
        "glpat-" + "x" * 20,
        "ghp_" + "X" * 36,
        "AKIA" + "IOSFODNN7EXAMPLE",
        'api_token="a0c9f3bb' + 'f7e8bc175494fc44bfc6f89aae3eb9d0"',
        "api_token = " + "0" * 40,
        "# see commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "api_token sha256:" + hashlib.sha256(b"x").hexdigest(),
        'api_token = os.environ["X"]  # since ' + hashlib.sha1(b"x").hexdigest(),
        "uv.lock " + hashlib.sha1(b"x").hexdigest(),
        "csrf-token\t" + hashlib.sha1(b"x").hexdigest() + "\n",
        str(uuid.UUID(int=5)),
        'if text.startswith("-----BEGIN PRIVATE KEY-----"):',
        "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYD\n",
        "# " + "-" * 200,
        "task-" + "-".join(["some", "long", "name"] * 10),
    ],
)
def test_a_text_without_a_secret(text: str) -> None:
    assert list(find([text.encode()])) == []


def test_text_in_utf_16_is_text() -> None:
    token = tokens()["hugging face"]
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        content = f"\ufeffTOKEN={token}\r\n".removeprefix("\ufeff" if encoding == "utf-16" else "")
        assert [found.kind for found in find([content.encode(encoding)])] == ["a Hugging Face token"]


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (".env", True),
        ("a/b/.env", True),
        (".env.production", True),
        (".ENV.local", True),
        (".envrc", True),
        (".env.example", False),
        (".env.sample", False),
        (".env.prod.template", False),
        (".env.dist", False),
        ("environment.py", False),
        ("prod.environ", False),
        (".netrc", True),
        ("_netrc", True),
        (".pypirc", True),
        (".git-credentials", True),
        ("home/.aws/credentials", True),
        ("aws/credentials", False),
        ("credentials", False),
        (".ssh/id_rsa", True),
        ("id_ed25519", True),
        ("id_ed25519.pub", False),
        ("id_mapping.json", False),
        ("certificate.pem", False),
        ("keys.p12", True),
        ("config.json", False),
        (".config/picsellia/.env", True),
        ("name\nwith\n.env", False),
    ],
)
def test_names(path: str, secret: bool) -> None:
    assert (kind_by_name(path) is not None) is secret
    assert is_notable(path) or not secret


@pytest.mark.parametrize(
    ("path", "content", "secret"),
    [
        (".docker/config.json", '{"auths": {"reg.io": {"auth": "dXNlcjpwYXNz"}}}', True),
        ("config.json", '{"auths": {"reg.io": {"identitytoken": "x"}}}', True),
        ("config.json", '{"auths": {"reg.io": {}}, "credsStore": "desktop"}', False),
        ("config.json", '{"hidden_size": 768, "auth": "none"}', False),
        ("model.json", '{"auths": {"reg.io": {"auth": "dXNlcjpwYXNz"}}}', False),
        (".npmrc", "//registry.npmjs.org/:_authToken=abc", True),
        (".npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}", False),
        (".npmrc", "registry=https://example.com", False),
        ("picsellia_token.txt", "1f0c9f3bbf7e8bc175494fc44bfc6f89aae3eb9d\n", True),
        ("commit.txt", "1f0c9f3bbf7e8bc175494fc44bfc6f89aae3eb9d\n", False),
        ("server.key", "\x30\x77\x02\x01\x01\x04\x20", True),
        ("server.key", "a text about keys", False),
    ],
)
def test_names_with_their_content(path: str, content: str, secret: bool) -> None:
    assert (kind_by_content(path, content.encode("latin-1")) is not None) is secret
    assert (is_notable(path) and needs_content(path)) or not secret


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("PICSELLIA_TOKEN", "some-token-of-ours", True),
        ("DB_PASSWORD", "correct horse battery", True),
        ("API_KEY", "12ab34cd56", True),
        ("HF_TOKEN", "$HF_TOKEN", False),
        ("HF_TOKEN", "/run/secrets/hf", False),
        ("HF_TOKEN", "", False),
        ("PAD_TOKEN", "<|endoftext|>", False),
        ("MAX_TOKENS", "1000000000", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("PYTHON", "3.11-slim-bookworm", False),
    ],
)
def test_variables(name: str, value: str, secret: bool) -> None:
    assert is_secret_value(name, value) is secret

"""Labels of a valid image may be anything: no command trusts them, prints them raw or fails in silence."""

import json
import random
import unicodedata
from typing import Any

import pytest

from providers.docker.labels import (
    BASE_DIGEST,
    BASE_NAME,
    CONTRACT,
    CREATED,
    REVISION,
    SEAL,
    SOURCE_KEY,
    TITLE,
    VERSION,
)
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob, sha256
from providers.docker.registry.seal import sealed
from providers.sandbox import Sandbox
from reconciler.views.shown_values import LONGEST, format_value
from tests.conftest import CASES, Cli, copy_example

NAME, REPOSITORY = "dataset_cleanup", "examples/dataset_cleanup"
LABELS = (SOURCE_KEY, SEAL, CONTRACT, TITLE, VERSION, REVISION, BASE_NAME, BASE_DIGEST, CREATED)
VALUES: dict[str, Any] = {
    "control characters": "1.0\x1b[31m\r\n::error::forged\u202e\x00\x9b2J\u2028",
    "a megabyte": "x" * 1_000_000,
    "a number": 7,
    "null": None,
    "a list": ["1.0.0"],
    "an object": {"a": {"b": []}},
    "empty": "",
    "JSON of another shape": '[{"inputs": 7}, null]',
    "JSON of a newer format": '{"format": "reconciler/contract", "version": 99, "inputs": {"a": {"new": 1}}}',
    "deep JSON": "[" * 50_000,
    "lone surrogate": "\ud800",
}
CASES_OF_LABELS = [(label, value) for label in LABELS for value in VALUES]
WHOLE: dict[str, Any] = {"labels, a list": [], "labels, a text": "x", "labels, numbers": {"a": 1}}
LIVE = ("--env", "LIVE")
TEST = (NAME, "--env", "TEST")
COMMANDS = (
    *(("plan", *TEST), ("plan", *TEST, "--json"), ("apply", *TEST, "--yes"), ("drift", *TEST)),
    *(("image", *TEST), ("image", *TEST, "--json"), ("image", *TEST, "--verify"), ("status", *TEST)),
    *(("contract", *TEST, "1.0.0"), ("contract", *TEST, "1.0.0", "9.9.9")),
    ("promote", NAME, "--from", "TEST", "--to", "LIVE", "--yes"),
)


def published(sandbox: Sandbox, labels: Any) -> None:
    """Replace the published image by one with these labels, which are merged if they are an object."""
    with RegistryClient(f"{sandbox.registry}/{REPOSITORY}") as registry:
        original = "0.0.1"  # a tag that the commands do not read
        if registry.digest(original) is None:
            registry.tag(registry.digest("1.0.0") or "", original)
        manifest = registry.manifest(original)
        assert manifest is not None
        image = json.loads(manifest.content)
        before = registry.image(original)
        assert before is not None
        config = dict(before.config)
        merged = {**before.labels, **labels} if isinstance(labels, dict) else labels
        config["config"] = {**config["config"], "Labels": merged}
        if isinstance(labels, dict) and SEAL not in labels:
            config = dict(sealed(config))
        content = json.dumps(config).encode()
        blob = blob_of(content)
        registry.upload(blob, lambda start: [content[start:]])
        image["config"] |= {"digest": blob.digest, "size": blob.size}
        document = json.dumps(image).encode()
        for tag in ("1.0.0", "9.9.9", "test"):
            registry.put_manifest(tag, manifest.media_type, document)


def blob_of(content: bytes) -> Blob:
    return Blob("application/vnd.oci.image.config.v1+json", sha256(content), len(content))


def problems(cli: Cli, sandbox: Sandbox, labels: Any) -> list[str]:
    """What the commands do wrong with such an image."""
    published(sandbox, labels)
    found = []
    for command in COMMANDS:
        ended = cli(*command)
        CASES["commands that met an image with a hostile label"] += 1
        printed = ended.out + ended.err
        wrong = [text for text in ("Traceback", "a bug in reconciler") if text in printed]
        wrong += sorted({repr(sign) for sign in printed if sign != "\n" and is_hidden(sign)})
        wrong += ["a line begins with ::"] if "\n::" in f"\n{printed}" else []
        longest = max(map(len, printed.split("\n")))
        wrong += ["too long"] if longest > 100_000 and "--json" not in command else []
        wrong += [f"code {ended.code}"] if ended.code not in (0, 1, 10, 11, 12, 13) else []
        wrong += ["no reason"] if ended.code in (1, 12, 13) and not printed.strip() else []
        if wrong:
            found.append(f"{' '.join(command)}: {', '.join(wrong)}\n{printed[:1500]}")
    return found


def is_hidden(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")


@pytest.fixture
def applied(cli: Cli, environments: Sandbox) -> Sandbox:
    copy_example(NAME, cli.folder, environments.registry)
    assert cli("apply", NAME, "--env", "TEST", "--yes").code == 0
    return environments


def play(cli: Cli, sandbox: Sandbox, cases: list[tuple[str, str]]) -> None:
    failures = []
    for label, value in cases:
        failures += [f"{label}, {value}: {one}" for one in problems(cli, sandbox, {label: VALUES[value]})]
    for name, labels in WHOLE.items():
        failures += [f"{name}: {one}" for one in problems(cli, sandbox, labels)]
    assert not failures, f"{len(failures)} commands\n\n" + "\n\n".join(failures)


def test_a_sample_of_labels(cli: Cli, applied: Sandbox) -> None:
    """Each label, and each value."""
    chance = random.Random(3)
    values = [*VALUES]
    chance.shuffle(values)
    play(cli, applied, [(LABELS[number % len(LABELS)], value) for number, value in enumerate(values)])


@pytest.mark.full
def test_every_label(cli: Cli, applied: Sandbox) -> None:
    play(cli, applied, CASES_OF_LABELS)


@pytest.mark.parametrize("sign", ["[", '{"a":'])
def test_a_value_that_begins_like_deep_json_is_shown(sign: str) -> None:
    assert len(format_value(sign * 100_000, "label")) == LONGEST

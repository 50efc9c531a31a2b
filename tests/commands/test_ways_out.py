"""A command that a refused plan prints as its way out is one that exists, and it lifts the refusal."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, training

APP = "dataset_cleanup"
COMMAND = re.compile(r"  (reconciler [a-z]+ .*)$", re.MULTILINE)
Prepare = Callable[[Cli, Sandbox, str], str]


def edit(folder: Path, old: str, new: str, file: str = "config.toml") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def run(cli: Cli, *arguments: str) -> None:
    ended = cli(*arguments, "--yes")
    assert ended.code == 0, ended.err


def a_replaced_processing(cli: Cli, sandbox: Sandbox, verb: str) -> str:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    run(cli, "apply", APP)
    edit(folder, "DATASET_VERSION_CREATION", "DATA_AUGMENTATION")
    if verb == "rollback":
        run(cli, "apply", APP, "--replace", f"processing/{APP}")
    return APP


def a_claimed_version(cli: Cli, sandbox: Sandbox, verb: str) -> str:
    one, two = (training(cli.folder / name, name, sandbox.registry) for name in ("one", "two"))
    for folder in (one, two):
        edit(folder, "[model_version]", "[[model_versions]]")
    rows = (one / "config.toml").read_text().partition("[[model_versions]]")[2].partition("\n\n")[0]
    more = f"[[model_versions]]{rows}\n\n".replace('"v1"', '"v2"')
    place = "# The sandbox's registry"
    if verb == "rollback":
        edit(one, place, more + place)
        run(cli, "apply", "one")
        edit(one, more, "")
    run(cli, "apply", "one")
    edit(two, place, more + place)
    run(cli, "apply", "two")
    if verb != "rollback":
        edit(two, more, "")
        edit(one, place, more + place)
    return "one"


def a_value_of_another_stack(cli: Cli, sandbox: Sandbox, verb: str) -> str:
    one, two = (training(cli.folder / name, name, sandbox.registry) for name in ("one", "two"))
    edit(two, 'origin_name = "two"', 'origin_name = "one"')
    edit(two, 'name = "v1"', 'name = "v2"')
    of_one = 'origin_name = "one"\norigin_description = "of one"'
    if verb == "rollback":
        edit(one, 'origin_name = "one"', of_one)
        run(cli, "apply", "one")
        edit(one, of_one, 'origin_name = "one"')
        (one / "pipeline.py").write_text((one / "pipeline.py").read_text() + "\n# edited\n")
        run(cli, "apply", "one", "--bump", "patch")
    else:
        run(cli, "apply", "one")
    edit(two, 'origin_name = "one"', 'origin_name = "one"\norigin_description = "of two"')
    run(cli, "apply", "two", "--ours")
    if verb != "rollback":
        edit(two, '\norigin_description = "of two"', "")
        edit(one, 'origin_name = "one"', of_one)
    return "one"


@pytest.mark.parametrize("way", range(3))
@pytest.mark.parametrize("verb", ["plan", "apply", "deploy", "rollback"])
@pytest.mark.parametrize(
    "prepare",
    [a_replaced_processing, a_claimed_version, a_value_of_another_stack],
    ids=lambda one: one.__name__,
)
def test_each_printed_way_out_lifts_the_refusal(
    prepare: Prepare, verb: str, way: int, cli: Cli, sandbox: Sandbox
) -> None:
    name = prepare(cli, sandbox, verb)
    options = ("--exit-code",) if verb == "plan" else ("--yes",)
    sandbox.clear_requests()
    refused = cli(verb, name, *options)
    assert refused.code == 12, refused.err
    assert [one for one in sandbox.writes() if "/blobs/" not in one["path"]] == []
    printed = COMMAND.findall(refused.out + refused.err)
    assert printed
    if way >= len(printed):
        return
    _, *arguments = shlex.split(printed[way])

    ended = cli(*arguments, *(() if arguments[0] == "plan" else ("--yes",)))

    assert ended.code == 0, ended.err

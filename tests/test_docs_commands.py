"""Every command of every page is run in a shell, as it is written, and prints the output that the page shows.

Only names of other machines are replaced: the organization, environment and port of the pages by those of the
sandbox. A remark `# exits with N` states a code other than 0. A line `…` stands for output that is left out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands.test_provenance import committed, git
from tests.conftest import EXAMPLES, Cli, copy_example
from tests.test_readme import DOCUMENTS, ROOT

BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
SERVERS = re.compile(
    r"reconciler (sandbox|demo|login|logout|switch)\b|pip install |git clone |make |cd picsellia-"
)
TUTORIAL = [ROOT / "docs" / "tutorial" / f"{name}.md" for name in ("first-pipeline", "first-drift")]
ELSEWHERE = {
    "docs/reference/claims.md": "tests/stories/one_model_version.story, which has two pipelines",
    "docs/how-to/gone-folder.md": "tests/stories/deleted_folder.story, which deletes a folder",
    "docs/how-to/share-state.md": "tests/commands/test_state.py, which has a bucket",
    "docs/how-to/cluster.md": "tests/fleet/test_cluster.py, which has a cluster",
    "docs/how-to/promote.md": "tests/test_docs_promote.py, which has two environments",
    "docs/how-to/workspace.md": "tests/test_docs_workspace.py, which has two environments and colleagues",
    "docs/tutorial/two-environments.md": "tests/test_docs_workspace.py, which has two environments",
    "docs/how-to/replace-pxl-pipeline.md": "tests/commands/test_deploy.py",
    **{
        f"docs/how-to/adding-a-{part}.md": "tests/test_adding.py, which follows the page in a copy"
        for part in ("command", "report", "store")
    },
    "docs/how-to/adding-a-kind.md": "tests/kinds/test_adding.py, which follows the page in a copy",
    "README.md": "tests/test_readme.py",
    "examples/README.md": "tests/test_readme.py",
}


@dataclass
class Step:
    """One command of a page.

    Attributes:
        line: as it is written.
        code: the exit code that the page states.
        shown: the lines of output that the page shows after it.
    """

    line: str
    code: int = 0
    shown: list[str] = field(default_factory=list)


def steps(document: Path) -> Iterator[Step]:
    """The commands of a page, in their order."""
    found: list[Step] = []
    for kind, block in BLOCK.findall(document.read_text()):
        if kind == "text":
            assert found, f"{document.name} shows output before any command"
            found[-1].shown += [line.rstrip() for line in block.splitlines() if line.strip(" …")]
            continue
        for line in block.splitlines():
            command, _, remark = line.partition("  # ")
            stated = re.match(r"exits with (\d+)", remark)
            if command.strip() and not SERVERS.match(command):
                found.append(Step(command, int(stated[1]) if stated else 0))
    return iter(found)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


PAGES = [
    page for page in DOCUMENTS if page not in TUTORIAL and name_of(page) not in ELSEWHERE and [*steps(page)]
]


def play(documents: list[Path], folder: Path, sandbox: Sandbox) -> None:
    """Run the commands of these pages in one shell, and compare codes and output."""
    todo = [step for document in documents for step in steps(document)]
    port = sandbox.registry.rpartition(":")[2]
    script = "\n".join(f"{here(step.line, port)}\nprintf '\\n@@ %s\\n' $?" for step in todo)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "USER": "ann",
        "TERM": "dumb",
    }
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    ended = re.findall(r"(.*?)\n@@ (\d+)\n", ran.stdout, re.S)
    assert len(ended) == len(todo), ran.stdout
    for step, (output, code) in zip(todo, ended, strict=True):
        assert int(code) == step.code, f"{step.line}\n{output}"
        printed = iter(
            line.rstrip() for line in output.replace(f"localhost:{port}", "localhost:8000").splitlines()
        )
        for line in step.shown:
            assert line in printed, f"{step.line} does not print, in this order:\n{line}\nbut\n{output}"


def here(line: str, port: str) -> str:
    """The command as it reads for the sandbox of this test."""
    line = re.sub(r"(--env |PICSELLIA_ENV=)(STAGING|LOCAL)\b", r"\1CUSTOM", line)
    return line.replace("my-org", "sandbox").replace("localhost:8000", f"localhost:{port}")


def test_the_tutorials_work_from_the_first_to_the_last_command(
    sandbox: Sandbox, home: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    for example in EXAMPLES.glob("*/config.toml"):
        copy_example(example.parent.name, clone / "examples", sandbox.registry)

    play(TUTORIAL, clone, sandbox)

    assert (home / "tutorial" / "dataset_cleanup" / "config.toml").is_file()
    assert sandbox.platform.processings() == []


def add_trainings(folder: Path, sandbox: Sandbox) -> None:
    """Add `clip/training`, and `pipelines/SAM` with a GPU, which is in the group `sam`."""
    for path, stack, gpu in (("clip/training", "picsellia/training-clip", 0), ("pipelines/SAM", "sam", 1)):
        target = folder / path
        target.parent.mkdir()
        copy_example("single_training", target.parent, sandbox.registry).rename(target)
        config = target / "config.toml"
        text = config.read_text().replace("single_training", name := target.name.lower())
        text = text.replace('name = "v1"', f'name = "{name}"')
        text = re.sub(r"^(image_name = .*)$", rf"\1\ngpu = {gpu}", text, flags=re.M)
        config.write_text(f'{text}\n[reconciler]\nstack = "{stack}"\n')
    (folder / "reconciler.toml").write_text('[groups]\nsam = ["pipelines/SAM*"]\n')


@pytest.mark.parametrize("document", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_they_are_written(document: Path, cli: Cli, sandbox: Sandbox) -> None:
    """The user has `my_pipeline`, and applied it once; on some pages more of them, or a repository."""
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "my_pipeline")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('name = "dataset_cleanup"', 'name = "my_pipeline"', 1))
    shutil.copy(config, cli.folder / "before.toml")
    if document.stem == "many-pipelines":
        add_trainings(cli.folder, sandbox)
    if document.stem == "provenance":
        config.write_text(
            config.read_text().replace("[reconciler.image]", "[reconciler.image]\nprovenance = true")
        )
    if document.stem in ("provenance", "on-call", "ci"):
        git(cli.folder, "init", "--quiet", "--initial-branch", "main")
        for key in ("user.name", "user.email"):
            git(cli.folder, "config", key, "ann@example.com")
        committed(cli.folder)
    ended = cli("apply", "--all", "--yes")
    assert ended.code == 0, ended.err

    play([document], cli.folder, sandbox)


def test_every_page_with_commands_is_run_by_a_test() -> None:
    assert all((ROOT / name).is_file() for name in ELSEWHERE)
    indented = [page.name for page in DOCUMENTS if re.search(r"^    reconciler ", page.read_text(), re.M)]
    assert indented == [], "commands stand in ```sh blocks"

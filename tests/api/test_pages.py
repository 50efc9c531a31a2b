"""The pages about Python, run as they are written, in a folder with a pipeline that was applied once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from tests.conftest import Cli, copy_example

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def of_the_page() -> str:
    return "\n".join(BLOCK.findall(PAGE.read_text()))


def of_the_module() -> str:
    example = re.search(r"((?:^ {4}.*\n|^\n)+)", api.__doc__ or "", re.M)
    assert example is not None
    return re.sub("^    ", "", example[1], flags=re.M)


@pytest.mark.parametrize("source", [of_the_page, of_the_module], ids=lambda source: source.__name__)
def test_the_code_works_as_it_is_written(
    source: Callable[[], str],
    cli: Cli,
    sandbox: Sandbox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "my_pipeline")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('name = "dataset_cleanup"', 'name = "my_pipeline"', 1))
    assert cli("apply", "my_pipeline", "--yes").code == 0
    code = source().replace('"STAGING"', '"CUSTOM"').replace('"/tmp/', f'"{tmp_path}/')
    assert "from reconciler import api" in code

    exec(compile(code, str(PAGE), "exec"), {})

    printed = capsys.readouterr()
    assert "Nothing to do" in printed.out or "in sync" in printed.out
    assert printed.err == ""

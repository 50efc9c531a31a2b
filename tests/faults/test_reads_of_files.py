"""A read of a file that fails is reported with its own reason, whichever file and whichever of its reads."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"
FILES = (".", "config.toml", "Dockerfile", ".dockerignore", "steps.py", "utils/inputs.py")
OTHER_REASONS = ("would hold", "regular file", "Correct the path", ", or add the file", "exclude = ")


class Opening:
    """Counts what is opened by a name, and from the `first` time on fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
        self.count, self.first, self._name, self._number = 0, 0, name, number
        self._open: Callable[..., int] = os.open
        monkeypatch.setattr("os.open", self)

    def __call__(self, path: Any, *rest: Any, **more: Any) -> int:
        if isinstance(path, str) and path.rstrip("/").rpartition("/")[2] == self._name:
            self.count += 1
            if self.first and self.count >= self.first:
                raise OSError(self._number, os.strerror(self._number), path)
        return self._open(path, *rest, **more)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO], ids=os.strerror)
@pytest.mark.parametrize("file", FILES)
def test_a_plan_says_why_a_file_cannot_be_read(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, file: str, number: int
) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("validate", NAME).code == 0
    opening = Opening(monkeypatch, (folder / file).name, number)
    for command in (("plan", "--all"), ("validate", NAME)):
        opening.count = opening.first = 0
        assert cli(*command).code == 0
        for first in range(1, opening.count + 1):
            opening.count, opening.first = 0, first
            ended = cli(*command)
            said = ended.out + ended.err
            if ended.code == 0:
                continue  # that read is not needed
            assert ended.code == 1, f"{command} {first}\n{said}"
            assert os.strerror(number) in said, f"{command} {first}\n{said}"
            assert not [words for words in OTHER_REASONS if words in said], f"{command} {first}\n{said}"
            assert ("ulimit -n" in said) == (number == errno.EMFILE), f"{first}\n{said}"
            assert ".dockerignore" not in said or file != ".", said
    assert sandbox.writes() == []

"""No output and no last day depends on the time zone of a machine, nor on summer time."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"
ZONES = (
    "UTC",
    "Pacific/Kiritimati",  # 14 hours ahead: tomorrow, most of the day
    "Pacific/Pago_Pago",  # 11 hours behind
    "America/St_Johns",  # 3.5 hours behind, with summer time
    "XXX-3YYY-4,0/0,365/23",  # summer time all year
)
READS = (
    ("state", "history", NAME),
    ("state", "history", NAME, "--saves"),
    ("state", "history", NAME, "--json"),
    ("state", "show", NAME),
    ("status", NAME, "--json"),
    ("plan", NAME, "--json"),
    ("image", NAME),
    ("image", NAME, "--json"),
    ("drift", NAME),
    ("drift", NAME, "--junit", "-"),
    ("drift", NAME, "--html", "-"),
)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Moves this machine to a time zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_every_output_is_the_same_in_every_zone(
    cli: Cli, sandbox: Sandbox, zone: Callable[[str], None]
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    for bump in ((), ("--bump", "patch", "--force-bump")):
        assert cli("apply", NAME, "--yes", *bump).code == 0
    sandbox.platform.edit_processing(NAME, default_cpu=7)
    printed: dict[tuple[str, ...], set[str]] = {}
    for name in ZONES:
        zone(name)
        for command in READS:
            ended = cli(*command)
            assert ended.code in (0, 11), f"{command}: {ended.err}"
            printed.setdefault(command, set()).add(without_now(ended.out + ended.err))
    assert [command for command, texts in printed.items() if len(texts) > 1] == []


def without_now(text: str) -> str:
    """With one word for each time of this test: it goes on. One that is hours off stays as it is."""

    def word(found: re.Match[str]) -> str:
        day, hour = found[1], found[2]
        at = datetime.fromisoformat(f"{day} {hour}+00:00")
        return "recently" if abs(datetime.now(UTC) - at) < timedelta(minutes=20) else found[0]

    return re.sub(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(\.\d+)?)?", word, text)


@pytest.mark.parametrize("name", ZONES)
def test_an_acknowledged_finding_ends_with_its_day_in_utc(
    name: str, cli: Cli, sandbox: Sandbox, zone: Callable[[str], None]
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    sandbox.platform.edit_processing(NAME, default_cpu=7)
    assert cli("drift", NAME, "--write-baseline", "--reason", "agreed").code == 0
    zone(name)
    (file,) = cli.folder.rglob("drift-baseline.toml")
    today = datetime.now(UTC).date()
    for days, code in ((0, 0), (1, 0), (-1, 11)):
        day = today + timedelta(days=days)
        file.write_text(re.sub(r"expires = .*", f"expires = {day.isoformat()}", file.read_text()))
        assert str(day) in file.read_text()
        assert cli("drift", NAME).code == code, (name, day)


def test_an_earlier_run_is_found_whatever_the_zone_of_its_machine_was(
    cli: Cli, sandbox: Sandbox, zone: Callable[[str], None]
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    for name in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"):
        zone(name)
        assert cli("apply", NAME, "--yes", "--bump", "patch", "--force-bump").code == 0
    listed = cli("state", "history", NAME).out
    versions = re.findall(r"1\.0\.\d", listed)
    assert versions == sorted(versions, reverse=True) and len(versions) >= 3, listed
    rolled = cli("rollback", NAME, "--yes")
    assert rolled.code == 0, rolled.err
    assert "1.0.2" in rolled.out + rolled.err

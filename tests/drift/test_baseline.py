"""Acknowledged findings: counted and reported, and new again after their last day or another change."""

import dataclasses
import re
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.json_value import JSON
from providers.picsellia.kinds.processing import RULES
from providers.rules import Effect
from providers.sandbox import Sandbox
from reconciler.core.diagnostics import UserError
from reconciler.core.diff import Change, ChangeClass, compare
from reconciler.core.plan import Plan, Stack
from reconciler.core.values import ABSENT, MISSING, Address, NoValue
from reconciler.drift.baseline import acknowledge, read_rules, updated_text
from reconciler.drift.contents import Contents, digest
from reconciler.drift.findings import Acknowledgement, Finding, FindingDates, Report, StackReport
from tests.conftest import Cli
from tests.drift.conftest import PROCESSING, TRAINING, Check

STACK = Stack("my-org", "STAGING", "https://staging.picsellia.com", "app")
NAME = "my-org@STAGING/app"
TODAY = date(2025, 3, 1)
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
RULE = """\
# a trial
[[acknowledge]]
address = "processing/app"
field = "default_cpu"
owner = "ann"
reason = "a trial"
expires = 2025-03-01
live = 64
"""


def finding(address: str = "processing/app", path: str = "default_cpu", live: JSON | NoValue = 64) -> Finding:
    change = Change(path, ChangeClass.DRIFT, 4, 4, live, "changed outside", write=True)
    return Finding(
        id=f"{address}#{path}",
        stack=STACK,
        address=Address.parse(address),
        change=change,
        effect=Effect.RESOURCES,
        seen=FindingDates(NOW, NOW),
        page="",
        put_back="",
    )


def found_in(desired: JSON, recorded: JSON | NoValue, live: JSON) -> list[Finding]:
    """The finding of one field with these three values."""
    sides = ({} if value is MISSING else {"default_cpu": value} for value in (desired, recorded, live))
    [change] = compare(*sides, RULES)
    quiet = (ChangeClass.IN_SYNC, ChangeClass.CONVERGED)
    return [] if change.cls in quiet else [replace(finding(), change=change)]


def said_of(
    folder: Path, text: str, *found: Finding, today: date = TODAY, checked_stacks: tuple[str, ...] = (NAME,)
) -> tuple[list[str], list[str]]:
    """The acknowledged findings, and the warnings about rules."""
    file = folder / "drift-baseline.toml"
    file.write_text(text)
    known, remarks = acknowledge(found, read_rules(file), today, checked_stacks=checked_stacks)
    assert [one.id for one in known] == [one.id for one in found]
    return [one.id for one in known if one.acknowledged], [remark.summary for remark in remarks]


def test_a_finding_is_acknowledged_until_the_end_of_the_last_day(tmp_path: Path) -> None:
    assert said_of(tmp_path, RULE, finding()) == (["processing/app#default_cpu"], [])
    known, remarks = said_of(tmp_path, RULE, finding(), today=date(2025, 3, 2))
    assert known == []
    assert remarks == ["the acknowledgement of processing/app#default_cpu ended on 2025-03-01"]


VALUES = [4, 8, 64]


WORLDS = list(product(VALUES, [*VALUES, MISSING], VALUES))


@pytest.mark.parametrize(("desired", "recorded", "live"), WORLDS)
def test_a_written_rule_acknowledges_one_pair_of_values_and_no_pending_change(
    desired: int, recorded: Any, live: int, tmp_path: Path
) -> None:
    """Every finding is acknowledged, and then compared with every later combination of values."""
    seen = found_in(desired, recorded, live)
    report = Report(NOW, (StackReport(STACK, tuple(seen), Plan(STACK, "", 0, ())),))
    known = Acknowledgement("eve", "a trial", "2999-12-31")
    text = updated_text("", (), report, known, TODAY)
    assert ("[[acknowledge]]" in text) == any(one.change.cls is not ChangeClass.PENDING for one in seen)
    for later in WORLDS:
        for one in found_in(*later):
            acknowledged, _ = said_of(tmp_path, text, one)
            is_same = bool(seen) and (later[0], later[2]) == (desired, live)
            both_drift = all(f.change.cls is not ChangeClass.PENDING for f in (*seen, one))
            assert bool(acknowledged) == (is_same and both_drift), later


@pytest.mark.parametrize("cls", [*ChangeClass])
def test_only_changes_outside_can_be_acknowledged(cls: ChangeClass, tmp_path: Path) -> None:
    one = finding()
    one = replace(one, change=one.change._replace(cls=cls))
    drift = cls not in (ChangeClass.PENDING, ChangeClass.UNVERIFIED)
    pair = RULE.replace("live = 64", "desired = 4\nlive = 64")
    if cls not in (ChangeClass.IN_SYNC, ChangeClass.CONVERGED):  # which are no findings
        assert bool(said_of(tmp_path, pair, one)[0]) == drift
    assert bool(said_of(tmp_path, RULE, one)[0]) == (cls is ChangeClass.DRIFT)


@pytest.mark.parametrize("desired", [5, "4", None, ABSENT, MISSING, [4]])
def test_another_value_in_the_files_is_a_new_finding(desired: Any, tmp_path: Path) -> None:
    text = RULE.replace("live = 64", "desired = 4\nlive = 64")
    one = finding()
    assert said_of(tmp_path, text, one)[0] == [one.id]
    one = replace(one, change=one.change._replace(desired=desired, recorded=9))
    known, remarks = said_of(tmp_path, text, one)
    assert known == []
    assert remarks == ["the acknowledgement of processing/app#default_cpu is for another value"]


@pytest.mark.parametrize("live", [65, "64", 64.5, True, None, ABSENT, MISSING, [64]])
def test_another_live_value_is_a_new_finding(live: Any, tmp_path: Path) -> None:
    known, remarks = said_of(tmp_path, RULE, finding(live=live))
    assert known == []
    assert remarks == ["the acknowledgement of processing/app#default_cpu is for another value"]


@pytest.mark.parametrize("live", [64, "x" * 1000, "ünï", True, None, ABSENT, MISSING, {"b": 1, "a": [1.5]}])
def test_a_digest_matches_any_value(live: Any, tmp_path: Path) -> None:
    text = RULE.replace("live = 64", f'live = "{digest(live)}"')
    assert said_of(tmp_path, text, finding(live=live))[0] == ["processing/app#default_cpu"]
    assert said_of(tmp_path, text, finding(live="other"))[0] == []


@pytest.mark.parametrize(
    ("replaced", "matches"),
    [
        ('field = "default_*"', True),
        ('field = "*"', True),
        ("", True),
        ('field = ""', False),
        ('field = "cpu"', False),
        ('field = "Default_cpu"', False),
        ('stack = "my-org@*"\nfield = "default_cpu"', True),
        ('stack = "other-org@*"\nfield = "default_cpu"', False),
    ],
)
def test_the_findings_that_a_rule_matches(replaced: str, matches: bool, tmp_path: Path) -> None:
    known, _ = said_of(tmp_path, RULE.replace('field = "default_cpu"', replaced), finding())
    assert bool(known) == matches


@pytest.mark.parametrize(
    ("stack", "matches"),
    [
        ("my-org@STAGING/team/training-clip", True),
        ("my-org@STAGING/training", True),
        ("my-org@STAGING/detector", False),
        ("my-org@PROD/training", False),
    ],
)
def test_a_rule_of_an_earlier_version_for_a_training_still_matches(
    stack: str, matches: bool, tmp_path: Path
) -> None:
    """Earlier versions named the stack of a training by metadata.name."""
    training = dataclasses.replace(STACK, pipeline="training", name="team/training-clip")
    known, _ = said_of(
        tmp_path,
        RULE.replace("[[acknowledge]]", f'[[acknowledge]]\nstack = "{stack}"'),
        replace(finding(), stack=training),
    )
    assert bool(known) == matches


def test_an_address_may_be_a_pattern_and_brackets_are_literal(tmp_path: Path) -> None:
    text = RULE.replace("processing/app", "input/*").replace('field = "default_cpu"', 'field = ""')
    contents = Contents(digest("nothing"), digest("a[1]"), is_as_applied=True)
    stray = replace(finding("input/app/a%5B1%5D", "", "a[1]"), contents=contents)
    known, _ = said_of(tmp_path, text.replace("live = 64", f'live = "{contents.live}"'), stray)
    assert known == [stray.id]


def test_an_unused_rule_is_reported_if_its_stack_was_checked(tmp_path: Path) -> None:
    nothing = ["the acknowledgement of processing/app#default_cpu matches nothing"]
    assert said_of(tmp_path, RULE) == ([], nothing)
    elsewhere = RULE.replace("address", 'stack = "my-org@PROD/*"\naddress', 1)
    assert said_of(tmp_path, elsewhere) == ([], [])
    assert said_of(tmp_path, RULE, checked_stacks=()) == ([], [])
    # … and not where another part of the pipelines may be what it is about.
    rules = read_rules(tmp_path / "drift-baseline.toml")
    assert acknowledge([], rules, TODAY, checked_stacks=[NAME], is_partial=True) == ((), ())


def test_one_of_two_rules_is_enough(tmp_path: Path) -> None:
    over = RULE.replace("2025-03-01", "2024-03-01")
    assert said_of(tmp_path, over + RULE, finding()) == (["processing/app#default_cpu"], [])


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("owner", "onwer", 5, "Did you mean 'owner'?"),
        ('owner = "ann"\n', "", 2, "the rule has no owner"),
        ("expires = 2025-03-01\n", "", 2, "the rule has no expires"),
        ("live = 64\n", "", 2, "the rule has no live"),
        ("2025-03-01", '"soon"', 7, "expires is not a date"),
        ("2025-03-01", "2025-03-01T12:00:00", 7, "expires is not a date"),
        ('"ann"', '" "', 5, "owner must be text"),
        ('"a trial"', "1", 6, "reason must be text"),
        ("[[acknowledge]]", "[acknowledge]", 2, "acknowledge must be rows"),
        (RULE, "\nacknowledge = [1]\n", 2, "acknowledge must be rows"),
        (RULE, "\nacknowledge = 1\n", 2, "acknowledge must be rows"),
        (RULE, "\nacknowledge = [\n  { live = 1 }]\n", 3, "the rule has no address"),
        ("live = 64", "live = " + "[" * 101 + "]" * 101, 8, "nested more than 100 levels deep"),
        (RULE, "live = " + "[" * 5000, None, "not valid TOML"),
        ("[[acknowledge]]", "[[acknowledged]]", 2, "Did you mean 'acknowledge'?"),
        ("live = 64", "live = ", 8, "not valid TOML"),
        ("live = 64", "live = 2025-03-01", 8, "live is not a value that a platform can return"),
        ("live = 64", "live = nan", 8, "live is not a value that a platform can return"),
    ],
)
def test_an_invalid_file(old: str, new: str, line: int | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(RULE.replace(old, new, 1))
    with pytest.raises(UserError) as refused:
        read_rules(file)
    told = {f"{one.summary} {one.detail}": one for one in refused.value.diagnostics}
    found = next((one for text, one in told.items() if words in text), None)
    assert found is not None, list(told)
    assert (found.file, found.line) == (file, line)


def test_every_problem_of_the_file_is_reported_before_any_request(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.clear_requests()
    (cli.folder / "drift-baseline.toml").write_text(
        RULE.replace("owner", "onwer").replace("2025-03-01", '"x"')
    )
    ended = cli("drift", "--all")
    assert (ended.code, ended.out) == (1, "")
    assert "drift-baseline.toml:5" in ended.err and "drift-baseline.toml:7" in ended.err
    assert sandbox.requests() == []
    assert cli("drift", "--all", "--baseline", "nowhere.toml").code == 1
    assert cli("drift", "--write-baseline", PROCESSING).code == 2
    assert cli("drift", "--owner", "ann").code == 2
    assert cli("drift", "--write-baseline", "--expires", "2020-01-01").code == 2
    assert cli("drift", "--write-baseline", "nowhere/known.toml").code == 2


def test_writing_again_keeps_valid_rules_and_rules_of_unchecked_stacks(
    cli: Cli, sandbox: Sandbox, applied: None, check: Check
) -> None:
    file = cli.folder / "known.toml"
    theirs = RULE.replace("address", 'stack = "my-org@PROD/*"\naddress', 1)
    mine = f"""
# never mind
[[acknowledge]]  # by hand
address = "processing/{PROCESSING}"
field = "default_*"
owner = "bob"   # not ann
reason = "load test"
expires = "2999-12-31"
live = 64
"""
    gone = "\n# this goes\n" + RULE.partition("\n")[2].replace("/app", f"/{PROCESSING}")
    theirs += "\n" + RULE  # a rule for any stack, about a pipeline that is in none of ours
    end = "\n# the end\n"
    file.write_text(theirs + gone + mine + end)
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64, description="secret words")
    assert check(PROCESSING, "--baseline", str(file)).code == 11
    for _ in range(2):
        report = check("--all", "--write-baseline", str(file), "--owner", "eve", "--expires", "2999-12-31")
        assert report.code == 0
        assert len(report.found) == 2
    text = file.read_text()
    assert text.startswith(theirs + mine + end)
    assert "this goes" not in text and "secret words" not in text
    assert text.count("[[acknowledge]]") == 4
    (*_, new) = read_rules(file)
    assert (new.address, new.field, new.acknowledgement.owner) == (
        f"processing/{PROCESSING}",
        "description",
        "eve",
    )
    sandbox.platform.edit_processing(PROCESSING, default_cpu=65)
    assert check("--all", "--baseline", str(file)).classes[f"processing/{PROCESSING}#default_cpu"] == "drift"


def test_pending_edits_are_never_acknowledged(
    cli: Cli, sandbox: Sandbox, applied: None, check: Check
) -> None:
    config, field = cli.folder / PROCESSING / "config.toml", f"processing/{PROCESSING}#default_cpu"
    before = config.read_text()

    def edited(cpu: int) -> None:
        config.write_text(re.sub(r"(?m)^cpu = .*$", f"cpu = {cpu}", before))

    edited(8)
    report = check(PROCESSING, "--write-baseline")
    assert report.code >= 10 and report.classes[field] == "pending"
    assert (
        "not applied yet" in report.err and "[[acknowledge]]" not in Path("drift-baseline.toml").read_text()
    )

    config.write_text(before)
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    assert check(PROCESSING, "--write-baseline").code == 0
    edited(8)  # the drift is known, the edit of the same field is not
    report = check(PROCESSING)
    assert report.code == 12 and report.classes[field] == "conflict"


def test_removed_rules_take_only_their_comments_along(tmp_path: Path) -> None:
    ours = RULE.replace("address", f'stack = "{NAME}"\naddress', 1)
    dotted = ours.replace("live = 64", "live.x = 64")
    table = ours.replace("live = 64", '[acknowledge.live]\nx = """\n# of the text\n"""')
    stays = ours.replace(NAME, "my-org@PROD/app")
    file = tmp_path / "known.toml"
    file.write_text(f"# head\n\n{ours}\n{dotted}{table}\n# kept\n\n{stays}{table}# tail\n")
    report = Report(NOW, (StackReport(STACK, (), Plan(STACK, "", 0, ())),))
    known = Acknowledgement("eve", "a trial", "2999-12-31")
    text = updated_text(file.read_text(), read_rules(file), report, known, TODAY)
    assert text == f"# head\n\n# kept\n\n{stays}# tail\n"


INLINE = (
    'stack = "{}", address = "processing/app", owner = "ann", reason = "{}", expires = {}, live.x = [1, "#,"]'
)


@pytest.mark.parametrize(("mark", "newline"), [("", "\n"), ("\ufeff", "\r\n")])
@pytest.mark.parametrize("gone", list(product((False, True), repeat=3)))
@pytest.mark.parametrize(
    "form",
    [
        "acknowledge = [{}, {}, {}]\n",
        "# head\n\nacknowledge = [\n  # of 0\n  {}, # of 0\n\n  # of 1\n  {},\n  {} # of 2\n]\n# tail\n",
        '"acknowledge"=[ {}# of 0\n , # of 1\n {}\n,{},\n # tail\n ] # tail\n',
    ],
)
def test_an_array_of_tables_has_the_same_rules_as_rows(
    form: str, gone: tuple[bool, ...], mark: str, newline: str, tmp_path: Path
) -> None:
    """A rule of a stack that was checked goes with its comments; the others stay with theirs."""
    stacks = [NAME if is_gone else "my-org@PROD/app" for is_gone in gone]
    written = (f"{{{INLINE.format(stack, i, '2999-01-01')}}}" for i, stack in enumerate(stacks))
    text = mark + form.format(*written).replace("\n", newline)
    file = tmp_path / "known.toml"
    file.write_bytes(text.encode())
    rules = read_rules(file)
    assert [rule.stack for rule in rules] == stacks and {str(rule.live) for rule in rules} == {
        "{'x': [1, '#,']}"
    }

    report = Report(NOW, (StackReport(STACK, (finding(),), Plan(STACK, "", 0, ())),))
    known = Acknowledgement("eve", "a trial", "2999-12-31")
    after = updated_text(text, rules, report, known, TODAY)

    file.write_bytes(after.encode())
    kept = [rule.acknowledgement.reason for rule in read_rules(file)]
    assert kept == [*(str(i) for i, is_gone in enumerate(gone) if not is_gone), "a trial"]
    assert after.startswith(mark) and after.count("\n") == after.count(newline)
    for comment in ("# head", "# tail", *(f"# of {i}" for i, is_gone in enumerate(gone) if not is_gone)):
        assert after.count(comment) == text.count(comment), after
    assert not [i for i, is_gone in enumerate(gone) if is_gone and f"# of {i}" in after], after


def test_an_empty_array_has_no_rules(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text("acknowledge = [] # none yet\n")
    report = Report(NOW, (StackReport(STACK, (finding(),), Plan(STACK, "", 0, ())),))
    assert read_rules(file) == ()
    known = Acknowledgement("eve", "a trial", "2999-12-31")
    file.write_text(updated_text(file.read_text(), (), report, known, TODAY))
    assert [rule.acknowledgement.owner for rule in read_rules(file)] == ["eve"]
    assert "# none yet" in file.read_text()


def test_a_broken_neighbour_is_still_reported(
    cli: Cli, sandbox: Sandbox, applied: None, check: Check
) -> None:
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    sandbox.fail("*", "/models/find", 503, times=None)
    report = check("--all", "--write-baseline")
    assert report.code == 13
    assert (cli.folder / "drift-baseline.toml").exists()
    assert TRAINING in report.err or "SiteDetector" in report.err


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "drift-baseline.toml"
    file.write_text(RULE)
    expected = read_rules(file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_rules(file) == expected

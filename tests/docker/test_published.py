"""The kind `image` against a real registry: reads, tags and races."""

import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec import structs

from providers.docker.builders.append import AppendBuilder
from providers.docker.image import ImageKind
from providers.docker.labels import REVISION
from providers.docker.registry.client import RegistryClient
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.verdicts import ImageRefusal, ImageWay
from providers.errors import ExistsError, TransientError
from providers.json_value import JSON
from providers.protocol import Assessment, LiveObject, Reference, Report, silent
from providers.reasons import WayOut
from reconciler.views import phrases
from tests.docker.proxy import Answer, proxy_to
from tests.services import Registry

pytestmark = pytest.mark.registry


NEW_VERSION = WayOut(ImageWay.NEW_VERSION, "reconciler apply app --bump patch")


def reason_of(assessment: Assessment) -> str:
    return phrases.reason(assessment.reason)


@dataclass
class Machine:
    """A machine with a folder and a registry, without state or cache.

    Attributes:
        meet: called right before and right after a push.
        builds: number of builds.
        connect, build: its client and its builder.
        accept_foreign, bumped_from: see `ImageKind`.
        earlier: whether it has an earlier reconciler, with the first recipe of the source key only.
    """

    repository: str
    source: ImageSource
    meet: Callable[[], object] = lambda: None
    revision: str = "0123456789abcdef"
    builds: int = 0
    connect: type[RegistryClient] = RegistryClient
    build: Callable[["Machine"], AppendBuilder] | None = None
    accept_foreign: bool = False
    bumped_from: str = ""
    earlier: bool = False

    @property
    def name(self) -> list[str]:
        return self.repository.split("/")

    @property
    def kind(self) -> ImageKind:
        return ImageKind(
            self.repository,
            self.source,
            self.key,
            builder=lambda: (self.build or Watched)(self),
            labels=lambda: {REVISION: self.revision},
            new_version=NEW_VERSION,
            connect=self.connect,
            accept_foreign=self.accept_foreign,
            bumped_from=self.bumped_from,
        )

    @property
    def key(self) -> SourceKey:
        return first_recipe(self.source) if self.earlier else fingerprint(self.source)

    def desired(self, version: str) -> dict[str, JSON]:
        key = self.key.key
        channel = "test" if "-rc" in version else "latest"
        return {
            "version": version,
            "channel": channel,
            "source_key": key,
            "platform": self.source.platform,
        }

    def read(self, version: str, recorded: Mapping[str, JSON] | None = None) -> LiveObject | None:
        desired = self.desired(version)
        return self.kind.read(Reference(tuple(self.name), fields=desired, outputs=recorded or {}))

    def verdict(
        self, version: str, *others: LiveObject, recorded: Mapping[str, JSON] | None = None
    ) -> Assessment:
        assess = self.kind.facts.assess
        assert assess is not None
        live = self.read(version, recorded)
        return assess(self.desired(version), None, recorded or {}, live, others)

    def publish(self, version: str) -> LiveObject:
        """Act on the verdict as `apply` does."""
        live, desired = self.read(version), self.desired(version)
        if live is None:
            return self.kind.create(self.name, desired, parent=None, report=silent)
        return self.kind.update(live, {}, desired, parent=None, report=silent)


def first_recipe(source: ImageSource, **_: object) -> SourceKey:
    """The source key of an earlier version."""
    found = fingerprint(source)
    return structs.replace(found, key=found.first, first="", first_files={})


class Watched(AppendBuilder):
    """The real builder, which counts its builds."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.source, "for the test")
        self._machine = machine

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        self._machine.builds += 1
        self._machine.meet()
        digest = super().publish(source, repository, tag, labels, report)
        self._machine.meet()
        return digest


@pytest.fixture
def here(folder: Path, registry: Registry, push_base: Callable[..., str]) -> Machine:
    (folder / ".dockerignore").write_text("there\n")
    base = push_base(registry, f"{folder.name}/base")
    return Machine(f"{registry.address}/{folder.name}/app", ImageSource(folder=folder, base=base))


@pytest.fixture
def there(here: Machine) -> Machine:
    """Another machine with the same files."""
    folder = here.source.folder / "there"
    shutil.copytree(here.source.folder, folder)
    return replace(here, source=structs.replace(here.source, folder=folder), builds=0)


def tags(machine: Machine) -> dict[str, str | None]:
    with RegistryClient(machine.repository) as client:
        return {tag: client.digest(tag) for tag in ("latest", "test", "1.0.0", "1.0.1")}


def edit(machine: Machine, text: str = "print('other')\n") -> None:
    (machine.source.folder / "pipeline.py").write_text(text)


def test_any_machine_recognizes_the_published_image(here: Machine, there: Machine) -> None:
    assert reason_of(here.verdict("1.0.0")) == "never-published"
    pointing = LiveObject("1", ("app",), {"docker_image": here.repository, "docker_tag": "latest"})
    assert reason_of(here.verdict("1.0.0", pointing)).startswith("missing")

    published = here.publish("1.0.0")

    assert tags(here)["1.0.0"] == tags(here)["latest"] == published.id.partition("@")[2]
    assert reason_of(there.verdict("1.0.0")) == "published"
    assert reason_of(there.verdict("1.0.1")) == "same-source: re-tagged, no build"
    there.publish("1.0.1")
    assert tags(here)["1.0.1"] == tags(here)["latest"] == tags(here)["1.0.0"]
    assert (here.builds, there.builds) == (1, 0)


def test_another_source_is_never_put_under_a_published_version(here: Machine, there: Machine) -> None:
    here.publish("1.0.0")
    before = tags(here)
    edit(there)

    verdict = there.verdict("1.0.0")
    assert (
        reason_of(verdict)
        == "source-changed: the state does not say which of its 5 files differ; try git diff 0123456789ab"
    )
    assert verdict.refusal is not None and "never overwritten" in phrases.reason(verdict.refusal.reason)
    recorded = fingerprint(here.source)
    outputs = {
        "digest": before["1.0.0"],
        "files": dict(recorded.files),
        "arguments": recorded.arguments,
    }
    known = there.verdict("1.0.0", recorded=outputs)
    assert reason_of(known) == "source-changed: pipeline.py changed"
    with pytest.raises(ExistsError, match="never overwritten"):
        there.kind.create(there.name, there.desired("1.0.0"), parent=None, report=silent)
    assert tags(here) == before


def test_recorded_facts_are_used_for_their_digest_only(here: Machine, there: Machine) -> None:
    """State saves reading an image, but never the read of a tag."""
    here.publish("1.0.0")
    first = here.read("1.0.0")
    assert first is not None

    def again(**recorded: JSON) -> LiveObject | None:
        outputs = {**first.outputs, **recorded}
        desired = here.desired("1.0.0")
        return here.kind.read(Reference(tuple(here.name), first.id, None, desired, outputs))

    assert again() == first
    believed = again(source_key=None)
    assert believed is not None
    assert believed.fields["source_key"] is None
    assert again(platform="linux/arm64", source_key=None) == first, "it was of another platform"

    edit(there)
    there.publish("1.0.1")
    with RegistryClient(here.repository) as client:
        client.tag("1.0.1", "1.0.0")
    moved = again()
    assert moved is not None
    assert moved.outputs["digest"] == tags(here)["1.0.1"] != first.outputs["digest"]
    assert moved.fields["source_key"] == fingerprint(there.source).key


def test_a_moved_channel_tag_is_restored(here: Machine, there: Machine) -> None:
    here.publish("1.0.0")
    edit(here)
    edit(there)
    here.publish("1.0.1")
    right = tags(here)
    with RegistryClient(here.repository) as client:
        client.tag("1.0.0", "latest")

    assert reason_of(there.verdict("1.0.1")).startswith("tag-moved: latest points at sha256:")
    there.publish("1.0.1")

    assert tags(here) == right
    assert (here.builds, there.builds) == (2, 0)


def another_tools_image(machine: Machine, push_base: Callable[..., str], *tags: str) -> str:
    """An image without our labels, under these tags."""
    server, _, repository = machine.repository.partition("/")
    push_base(server, repository)
    with RegistryClient(machine.repository) as client:
        return {client.tag("base", tag) for tag in tags}.pop()


def test_an_image_of_another_tool_is_this_source_only_if_accepted(
    here: Machine, push_base: Callable[..., str]
) -> None:
    foreign = another_tools_image(here, push_base, "1.0.0", "latest")

    refused = here.verdict("1.0.0")
    assert reason_of(refused).startswith("foreign")
    assert refused.refusal is not None
    assert refused.refusal.reason.code is ImageRefusal.FOREIGN_VERSION

    accepting = replace(here, accept_foreign=True)
    accepted = accepting.verdict("1.0.0")
    assert (accepted.need.value, accepted.refusal) == ("nothing", None)
    live = accepting.read("1.0.0")
    assert live is not None
    assert live.outputs["stands_for"] == fingerprint(here.source).key

    assert reason_of(here.verdict("1.0.0", recorded=live.outputs)).startswith("foreign")
    assert here.verdict("1.0.0", recorded=live.outputs).refusal is None, "it is recorded"

    edit(here)
    for machine in (here, accepting):  # an option that stays in a CI job must not hide an edit
        changed = machine.verdict("1.0.0", recorded=live.outputs)
        assert reason_of(changed) == "source-changed: pipeline.py changed"
        assert changed.refusal
    here.publish("1.0.1")
    with RegistryClient(here.repository) as client:
        client.tag("1.0.1", "1.0.0")
    assert reason_of(here.verdict("1.0.0", recorded=live.outputs)) == "published", "that was another digest"
    assert tags(here)["1.0.1"] != foreign


def test_an_accepted_version_gets_its_channel_tag_back_without_a_build(
    here: Machine, push_base: Callable[..., str]
) -> None:
    foreign = another_tools_image(here, push_base, "1.0.0", "latest")
    accepted = replace(here, accept_foreign=True).read("1.0.0")
    assert accepted is not None
    edited = replace(here)
    edit(edited)
    edited.publish("1.0.1")
    edit(here, "print('hello')\n")

    moved = here.read("1.0.0", recorded=accepted.outputs)
    assert moved is not None
    assert reason_of(here.verdict("1.0.0", recorded=accepted.outputs)).startswith("tag-moved")
    here.kind.update(moved, {}, here.desired("1.0.0"), parent=None, report=silent)

    assert tags(here)["latest"] == tags(here)["1.0.0"] == foreign


def test_an_image_with_a_key_of_the_first_recipe_is_compared_by_that_recipe(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = fingerprint(here.source)
    with monkeypatch.context() as earlier:
        earlier.setattr("providers.docker.image.fingerprint", first_recipe)
        replace(here, earlier=True).publish("1.0.0")

    assert reason_of(here.verdict("1.0.0")) == "published"
    live = here.read("1.0.0")
    assert live is not None
    assert (live.outputs["source_key"], live.outputs["stands_for"]) == (key.first, key.key)
    assert reason_of(here.verdict("1.0.1")) == "same-source: re-tagged, no build"
    here.publish("1.0.1")
    assert (here.builds, tags(here)["1.0.1"]) == (0, tags(here)["1.0.0"])

    edit(here)
    assert here.verdict("1.0.0").refusal


def test_a_release_is_the_very_image_of_its_candidate(here: Machine) -> None:
    """Also without state or a channel tag that points to it."""
    here.publish("1.0.1-rc")
    with RegistryClient(here.repository) as client:
        candidate = client.digest("1.0.1-rc")
    edit(here)
    here.publish("1.1.0-rc")  # moves `test`
    edit(here, "print('third')\n")
    here.publish("1.0.0")
    edit(here, "print('hello')\n")
    here.builds = 0

    replace(here, bumped_from="1.0.1-rc").publish("1.0.1")

    assert tags(here)["1.0.1"] == tags(here)["latest"] == candidate
    assert here.builds == 0


def at_once(*machines: Machine, version: str = "1.0.0") -> list[LiveObject | ExistsError]:
    """All publish it at the same moment: all have read before one pushes, and so on."""
    barrier = threading.Barrier(len(machines), timeout=30)

    def publish(machine: Machine) -> LiveObject | ExistsError:
        machine.meet = barrier.wait
        try:
            return machine.publish(version)
        except ExistsError as problem:
            return problem

    with ThreadPoolExecutor(len(machines)) as threads:
        return list(threads.map(publish, machines))


def test_the_source_that_the_registry_kept_wins(here: Machine, there: Machine) -> None:
    edit(there)

    ended = at_once(here, there)

    [winner] = [machine for machine in (here, there) if reason_of(machine.verdict("1.0.0")) == "published"]
    [lost] = [problem for problem in ended if isinstance(problem, ExistsError)]
    [won] = [live for live in ended if isinstance(live, LiveObject)]
    assert ended[(here, there).index(winner)] is won
    assert "at the same moment, from another source" in lost.message or "in the meantime" in lost.message
    assert lost.way_out == NEW_VERSION
    assert tags(here)["1.0.0"] == tags(here)["latest"] == won.id.partition("@")[2]


JITTER = 0.4  # maximum seconds, in each direction


def race(number: int, address: str, base: str, folder: Path) -> None:
    """Two machines build different sources, and publish them as 1.0.0."""
    chance = random.Random(number)
    machines = []
    for name in ("one", "another"):
        pipeline = folder / f"{number}-{name}"
        pipeline.mkdir()
        (pipeline / "pipeline.py").write_text(f"print({name!r})\n")
        source = ImageSource(folder=pipeline, base=base)
        machines.append(Machine(f"{address}/{folder.name}/race{number}", source))
    began = threading.Barrier(2, timeout=60)

    def publish(machine: Machine) -> LiveObject | ExistsError:
        began.wait()
        time.sleep(chance.choice((0, chance.uniform(0, 2 * JITTER))))
        try:
            return machine.publish("1.0.0")
        except ExistsError as problem:
            return problem

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(publish, machines))
    won = [live.id for live in ended if isinstance(live, LiveObject)]
    now = tags(machines[0])
    assert len(won) == 1, f"race {number}: {ended}"
    assert won == [f"1.0.0@{now['1.0.0']}"], f"race {number}"
    assert now["latest"] == now["1.0.0"], f"race {number}"


def test_one_publisher_wins_a_version_and_has_the_channel(
    registry: Registry, push_base: Callable[..., str], tmp_path: Path
) -> None:
    """With manifest requests that take up to 0.4 seconds longer each way."""
    hold_races(5, registry, push_base, tmp_path)


@pytest.mark.full
def test_one_publisher_wins_in_many_races(
    registry: Registry, push_base: Callable[..., str], tmp_path: Path
) -> None:
    hold_races(200, registry, push_base, tmp_path)


def hold_races(races: int, registry: Registry, push_base: Callable[..., str], tmp_path: Path) -> None:
    chance = random.Random(races)

    def jitter(_: str, path: str) -> float:
        return chance.uniform(0, JITTER) if "/manifests/" in path else 0.0

    with proxy_to(registry.address) as proxy:
        base = push_base(proxy.address, f"{tmp_path.name}/base")
        proxy.interfere = lambda method, path, body: time.sleep(jitter(method, path))
        proxy.lag = jitter
        with ThreadPoolExecutor(10) as threads:
            running = [threads.submit(race, n, proxy.address, base, tmp_path) for n in range(races)]
            for each in running:
                each.result()


@pytest.mark.parametrize("conditions", ["kept", "misread"])
def test_a_registry_with_conditions_may_refuse_to_overwrite(
    here: Machine, registry: Registry, conditions: str
) -> None:
    """A registry that supports `If-None-Match` decides; one that misreads it gets requests without it."""
    with proxy_to(registry.address) as proxy:
        machine = replace(here, repository=here.repository.replace(registry.address, proxy.address))
        refused: list[str] = []

        def conditional(method: str, path: str, body: bytes) -> Answer | None:
            if method == "PUT" and path.endswith("/manifests/1.0.0") and not refused:
                refused.append(path)
                if conditions == "kept":  # another publisher was first
                    edit(here)
                    with RegistryClient(here.repository) as client:
                        client.tag(other.partition("@")[2], "1.0.0")
                return Answer(412)
            return None

        edit(here)
        other = here.publish("0.9.0").id
        edit(here, "print('this')\n")
        proxy.interfere = conditional
        if conditions == "kept":
            with pytest.raises(ExistsError, match="at the same moment, from another source"):
                machine.publish("1.0.0")
            assert tags(here)["1.0.0"] == other.partition("@")[2]
        else:
            assert machine.publish("1.0.0").id == f"1.0.0@{tags(here)['latest']}"
        assert refused


def test_a_delayed_publisher_restores_a_version_that_was_published_first(
    here: Machine, there: Machine
) -> None:
    """It read that the version is free, and puts it after another one has published it."""
    edit(there)
    held, done = threading.Event(), threading.Event()

    class Slow(RegistryClient):
        def tag(self, reference: str, new_tag: str, *, new: bool = False) -> str:
            if new_tag == "1.0.0" and not held.is_set():
                held.set()
                done.wait(60)
            return super().tag(reference, new_tag, new=new)

    there.connect = Slow
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(there.publish, "1.0.0")
        assert held.wait(60)
        won = here.publish("1.0.0").id
        done.set()
        with pytest.raises(ExistsError, match="at the same moment, from another source"):
            slow.result()
    assert won == f"1.0.0@{tags(here)['1.0.0']}"
    assert tags(here)["latest"] == tags(here)["1.0.0"]


def test_the_push_of_a_concurrent_build_is_not_mistaken_for_ours(
    here: Machine, push_base: Callable[..., str]
) -> None:
    """Builders with an Engine share one tag to push under."""
    address, _, path = here.repository.partition("/")
    push_base(address, path)
    with RegistryClient(here.repository) as client:
        other = client.digest("base") or ""

    class Confused(AppendBuilder):
        def publish(self, *_: object) -> str:
            return other

    here.build = lambda machine: Confused(machine.source, "for the test")
    with pytest.raises(TransientError, match="another build was pushed"):
        here.publish("1.0.0")
    assert tags(here)["1.0.0"] is tags(here)["latest"] is None


def test_two_publishers_of_one_source_both_succeed(here: Machine, there: Machine) -> None:
    there.revision = "another"  # so their images differ

    ended = at_once(here, there)

    assert {live.id for live in ended if isinstance(live, LiveObject)} == {f"1.0.0@{tags(here)['1.0.0']}"}
    assert tags(here)["latest"] == tags(here)["1.0.0"]


def test_a_version_that_was_taken_before_a_re_tag_is_kept(here: Machine, there: Machine) -> None:
    here.publish("1.0.0")
    live = here.read("1.0.1")
    assert live is not None
    edit(there)
    there.publish("1.0.1")
    before = tags(here)

    with pytest.raises(ExistsError, match="published in the meantime"):
        here.kind.update(live, {}, here.desired("1.0.1"), parent=None, report=silent)

    assert tags(here) == before

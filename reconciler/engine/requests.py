"""Requests of a command to the engine, as plain values. Imports no engine, so options load fast."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from providers.json_value import JSON
from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import Address
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.shared import SharedSettings

if TYPE_CHECKING:
    from reconciler.core.waves import FailureLimit, Waves


class ReadOptions(Struct, frozen=True):
    """How to read the files of a pipeline.

    Attributes:
        python: interpreter for classes that must be run; None for the pipeline's own, otherwise ours.
        static_only: never run code of a pipeline.
        timeout: seconds that running a class may take.
        environment: the environment whose overlay of config.toml applies; None for no overlay.
        shared: settings of the workspace.
        state_files: files that the state store writes, in folders without links. None of them may be part of
            an image.
        search: search the source for secrets while it is hashed. A command that plans writes does.
    """

    python: Path | None = None
    static_only: bool = False
    timeout: float = 30.0
    environment: str | None = None
    shared: SharedSettings = field(default_factory=SharedSettings)
    state_files: tuple[Path, ...] = ()
    search: bool = False


class PromoteRequest(Struct, frozen=True):
    """The environment whose image a plan takes over.

    Attributes:
        source: its name.
        final: give a release candidate its final version.
    """

    source: str
    final: bool = False

    @property
    def options(self) -> list[str]:
        """The options for a command line."""
        return ["--from", self.source, *(["--final"] if self.final else [])]


class RollbackRequest(Struct, frozen=True):
    """The state version that a plan restores.

    Attributes:
        to: see `engine.rollback.find_earlier`.
        write: also write its version to config.toml.
    """

    to: str | None = None
    write: bool = False

    @property
    def options(self) -> list[str]:
        """The options for a command line."""
        return [*(["--to", self.to] if self.to is not None else []), *(["--write"] if self.write else [])]


class PlanRequest(Struct, frozen=True):
    """Options for the plan of every pipeline of the command.

    Attributes:
        bump: publish the next version if the source differs from the published one.
        force_bump: publish the next version in any case.
        accept_foreign: accept a version that another tool published as made from the folder's source.
        options: the options of the planner.
        targets: addresses to limit the plan to; empty for all.
        promote: the environment to take the image over from; None to publish the folder's.
        rollback: the state version to restore; None for a plan from the files.
    """

    bump: Bump | None = None
    force_bump: bool = False
    accept_foreign: bool = False
    options: PlanOptions = field(default_factory=PlanOptions)
    targets: Collection[Address] = ()
    promote: PromoteRequest | None = None
    rollback: RollbackRequest | None = None

    @property
    def version_options(self) -> list[str]:
        """The options about versions, for a command line."""
        if (other := self.promote or self.rollback) is not None:
            return other.options
        bump = ["--bump", self.bump.value] if self.bump else []
        force = ["--force-bump"] if self.force_bump else []
        return [*bump, *force, *(["--accept-foreign"] if self.accept_foreign else [])]

    def verb(self, of_session: str) -> str:
        """The command that makes this plan again, in a session of this command."""
        return "promote" if self.promote else "rollback" if self.rollback else of_session

    @property
    def addresses(self) -> set[Address]:
        """Every address that an option names."""
        options = self.options
        return {
            *self.targets,
            *options.replace,
            *options.take,
            *(options.ours or ()),
            *(options.theirs or ()),
        }

    def to_document(self) -> dict[str, JSON]:
        """The document of this request, which a saved plan contains."""
        options, promote, rollback = self.options, self.promote, self.rollback
        return {
            "bump": self.bump.value if self.bump else None,
            "force_bump": self.force_bump,
            "accept_foreign": self.accept_foreign,
            "targets": sorted(map(str, self.targets)),
            "ours": None if options.ours is None else sorted(map(str, options.ours)),
            "theirs": None if options.theirs is None else sorted(map(str, options.theirs)),
            "replace": sorted(map(str, options.replace)),
            "take": sorted(map(str, options.take)),
            "prune": options.prune,
            "destroy": options.destroy,
            **({} if promote is None else {"promote": {"from": promote.source, "final": promote.final}}),
            **({} if rollback is None else {"rollback": {"to": rollback.to, "write": rollback.write}}),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PlanRequest":
        """The request of a document by `to_document`. Raises ValueError, KeyError or TypeError if invalid."""
        # Older plans lack these.
        document = {"force_bump": False, "accept_foreign": False, "take": [], **document}
        promote, rollback = document.pop("promote", None), document.pop("rollback", None)
        if set(document) != set(cls().to_document()):
            raise ValueError(f"unexpected plan options: {', '.join(map(str, document)) or 'none'}")

        def addresses(name: str) -> tuple[Address, ...] | None:
            return None if document[name] is None else tuple(map(Address.parse, document[name]))

        return cls(
            Bump(document["bump"]) if document["bump"] else None,
            bool(document["force_bump"]),
            bool(document["accept_foreign"]),
            PlanOptions(
                ours=addresses("ours"),
                theirs=addresses("theirs"),
                replace=addresses("replace") or (),
                take=addresses("take") or (),
                prune=document["prune"],
                destroy=document["destroy"],
            ),
            addresses("targets") or (),
            None if promote is None else PromoteRequest(str(promote["from"]), bool(promote["final"])),
            None if rollback is None else RollbackRequest(rollback["to"], bool(rollback["write"])),
        )


class ApplyOptions(Struct, frozen=True):
    """How to apply a plan.

    Attributes:
        parallel: most steps at once.
        lock_timeout: seconds to wait for another run's lock.
        command: the command line, for the lock and the history.
    """

    parallel: int
    lock_timeout: float
    command: Sequence[str]


JOBS = 64
"""Pipelines that are applied at once, unless they publish an image: some compute, others send requests."""
BUILDS = 2
"""Pipelines that publish an image at once."""


class FleetOptions(Struct, frozen=True):
    """How to apply many plans.

    Attributes:
        jobs: most pipelines at once, without those that publish an image.
        builds: most pipelines at once that publish an image.
        waves: which pipelines start together; None for all.
        limit: the failures after which nothing new starts; None for no limit, and for none between waves.
        rps: most requests per second, of all workers together; None for no limit.
        executor: `HOST:PORT` of a Dask scheduler; None for this machine.
    """

    jobs: int = JOBS
    builds: int = BUILDS
    waves: "Waves | None" = None
    limit: "FailureLimit | None" = None
    rps: float | None = None
    executor: str | None = None


class Consent(Struct, frozen=True):
    """What the arguments of a command approve in advance.

    Attributes:
        yes: every plan.
        digest: the plans with this digest, see `reconciler.core.approval`; None for any.
        override: why gates and reviews are overridden; "" to keep to them.
    """

    yes: bool = False
    digest: str | None = None
    override: str = ""

"""What a command asks of the engine: plain values, so that reading the options imports no engine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import JSON, Address
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.shared import SharedSettings


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the files of a pipeline are read.

    Attributes:
        python: the interpreter for classes that need code to run; None for the pipeline's own, then ours.
        static_only: never run code of a pipeline.
        timeout: seconds that a class may take.
        environment: whose overlay of config.toml counts; None for what all of them share.
        shared: the settings of the workspace.
    """

    python: Path | None = None
    static_only: bool = False
    timeout: float = 30.0
    environment: str | None = None
    shared: SharedSettings = field(default_factory=SharedSettings)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the user asks of a plan, for every pipeline of the command.

    Attributes:
        bump: publish as the next version, where what is published is other source.
        force_bump: publish as the next version all the same.
        accept_foreign: a version that another tool published is taken for the source in the folder.
    """

    bump: Bump | None = None
    force_bump: bool = False
    accept_foreign: bool = False
    options: PlanOptions = field(default_factory=PlanOptions)
    targets: Collection[Address] = ()

    @property
    def version_options(self) -> list[str]:
        """What was said of the version, as options of a command."""
        bump = ["--bump", self.bump.value] if self.bump else []
        force = ["--force-bump"] if self.force_bump else []
        return [*bump, *force, *(["--accept-foreign"] if self.accept_foreign else [])]

    @property
    def addresses(self) -> set[Address]:
        """Every address that an option names."""
        options = self.options
        return {*self.targets, *options.replace, *(options.ours or ()), *(options.theirs or ())}

    def to_document(self) -> dict[str, JSON]:
        """As a saved plan carries it, to be made again."""
        options = self.options
        return {
            "bump": self.bump.value if self.bump else None,
            "force_bump": self.force_bump,
            "accept_foreign": self.accept_foreign,
            "targets": sorted(map(str, self.targets)),
            "ours": None if options.ours is None else sorted(map(str, options.ours)),
            "theirs": None if options.theirs is None else sorted(map(str, options.theirs)),
            "replace": sorted(map(str, options.replace)),
            "prune": options.prune,
            "destroy": options.destroy,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, JSON]) -> "PlanRequest":
        """What `to_document` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        document = {"force_bump": False, "accept_foreign": False, **document}  # plans of before have neither
        if set(document) != set(cls().to_document()):
            raise ValueError(f"the plan was asked for with {', '.join(map(str, document)) or 'nothing'}")

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
                prune=document["prune"],
                destroy=document["destroy"],
            ),
            addresses("targets") or (),
        )


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a plan is carried out.

    Attributes:
        parallel: steps at once.
        lock_timeout: seconds to wait for another run.
        command: what was asked for, for the record.
    """

    parallel: int
    lock_timeout: float
    command: Sequence[str]

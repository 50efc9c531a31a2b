"""Commands that write: how they plan and apply a pipeline, and which plans need an approval."""

from collections.abc import Callable
from typing import Self

from msgspec import Struct, field

from reconciler.core.plan import Plan
from reconciler.engine.operations import ApplyFiles, DeployFiles, Operation, RollBack
from reconciler.engine.requests import ReadOptions

__all__ = ["Command"]


def is_destructive(plan: Plan) -> bool:
    """Whether the plan deletes or replaces resources."""
    return plan.is_destructive


def always(_: Plan) -> bool:
    return True


def never(_: Plan) -> bool:
    return False


class Command(Struct, frozen=True):
    """A command that writes.

    Attributes:
        operation: plans and applies one pipeline.
        verb: its name.
        confirms: the plans that need an approval.
        options: of a command that repeats the run, apart from those of its plans.
        searches: whether the sources are searched for secrets. What publishes nothing has no need.
    """

    operation: Operation = field(default_factory=ApplyFiles)
    verb: str = "apply"
    confirms: Callable[[Plan], bool] = is_destructive
    options: tuple[str, ...] = ()
    searches: bool = True

    @classmethod
    def rollback(cls, *, is_of_many: bool) -> Self:
        """Restores an earlier state version. Another environment may share the channel, so every plan needs
        an approval."""
        return cls(RollBack(is_of_many), "rollback", always, searches=False)

    @classmethod
    def destroy(cls) -> Self:
        """Deletes what a pipeline has. What it deletes is in the options of its plan."""
        return cls(verb="destroy", searches=False)

    @classmethod
    def promote(cls) -> Self:
        """Gives an environment the images of another one, which are published already."""
        return cls(verb="promote", searches=False)

    @classmethod
    def deploy(cls, read_options: ReadOptions) -> Self:
        """Applies the files. It is documented to remove inputs that the class no longer declares."""
        return cls(DeployFiles(read_options), "deploy", never)

"""The pipelines that the arguments of a command select, as plain values. Command options import them."""

from msgspec import Struct

_WILDCARDS = frozenset("*?[")


def is_glob(name: str) -> bool:
    """Whether an argument is a glob of pipelines: `team/SAM*`."""
    return not _WILDCARDS.isdisjoint(name)


class SelectionRequest(Struct, frozen=True):
    """Names and groups select pipelines, and the other values leave some of them out.

    Without names and groups, every pipeline below the current folder is selected.

    Attributes:
        names: names, paths and globs of pipelines.
        everything: whether `--all` is given.
        groups: names of `[groups]` in reconciler.toml.
        types: values of metadata.type; empty for all.
        gpu: only pipelines whose jobs have a GPU, or only those whose jobs have none; None for both.
        changed: only pipelines that differ from this commit; "" for the merge base with the default branch,
            None for all.
        stale: only pipelines whose files differ from the state.
        allow_empty: whether it is no error if no pipeline is selected.
    """

    names: tuple[str, ...] = ()
    everything: bool = False
    groups: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    gpu: bool | None = None
    changed: str | None = None
    stale: bool = False
    allow_empty: bool = False

    @property
    def has_filters(self) -> bool:
        """Whether a selected pipeline needs certain properties."""
        return bool(self.types) or self.gpu is not None or self.changed is not None or self.stale

    @property
    def is_complete(self) -> bool:
        """Whether the request selects every pipeline below the current folder."""
        return self.everything and not self.has_filters

    @property
    def is_by_name(self) -> bool:
        """Whether it selects a fixed number of pipelines: those with these names, or the current folder."""
        return not (self.everything or self.groups or self.has_filters or any(map(is_glob, self.names)))

    @property
    def is_of_one(self) -> bool:
        """Whether it selects one pipeline: the one with this name, or the current folder."""
        return self.is_by_name and len(self.names) <= 1

    @property
    def arguments(self) -> list[str]:
        """The arguments of a command that selects the same pipelines."""
        pairs = [*(("--group", name) for name in self.groups), *(("--type", name) for name in self.types)]
        words = [
            *self.names,
            *(["--all"] if self.everything else []),
            *(word for pair in pairs for word in pair),
        ]
        words += [] if self.gpu is None else ["--gpu" if self.gpu else "--no-gpu"]
        words += (
            [] if self.changed is None else [f"--changed={self.changed}" if self.changed else "--changed"]
        )
        return [*words, *(["--stale"] if self.stale else [])]

    @property
    def kind_options(self) -> list[str]:
        """The options for the kind of a pipeline, as on the command line."""
        types = [f"--type {kind}" for kind in self.types]
        return [*types, *([] if self.gpu is None else ["--gpu" if self.gpu else "--no-gpu"])]

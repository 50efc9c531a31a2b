"""A run as others see it: kept with its lock, and in the history of what it saved. Pure."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class LockInfo:
    """A run, as others see it: kept with the lock, and in the history of what the run saved.

    Attributes:
        owner: who runs it.
        host: on which machine.
        pid: as which process.
        command: what was asked for, without secrets: `reconciler apply my_pipeline`.
        since: when it asked for the lock, ISO 8601 with its offset from UTC.
        id: of this run alone.
        git_commit: of the files it works from; "" when they are in no repository.
        processes: the one table of processes in which `pid` means that run, see `process_table`; "" when
            that is not known.
        ci: where the log of the CI job that it is can be read, or its number; "" when it is none.
    """

    owner: str
    host: str
    pid: int
    command: str
    since: str
    id: str
    git_commit: str = ""
    processes: str = ""
    ci: str = ""

    def __str__(self) -> str:
        return f"{self.owner}@{self.host} (process {self.pid}) since {self.since}: {self.command}"

    def to_json(self) -> str:
        """As a store keeps it."""
        return json.dumps(asdict(self))

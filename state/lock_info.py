"""The description of a run that is stored with its lock and its saves. Pure."""

import json

from msgspec import Struct
from msgspec.structs import asdict


class LockInfo(Struct, frozen=True):
    """The description of a run, stored with its lock and with each of its saves.

    Attributes:
        owner: the user who started the run.
        host: the name of the machine.
        pid: the process id.
        command: the command line without secrets: `reconciler apply my_pipeline`.
        since: time of the lock request, ISO 8601 with its offset from UTC.
        id: unique to this run.
        git_commit: commit of the files it works from; "" outside a repository.
        processes: the process table in which `pid` is valid, see `process_table`; "" if unknown.
        ci: URL of the CI job's log, or the job's number; "" outside CI.
        promoted_from: the environment whose image a promotion takes over; "" for other runs.
        override: why the run overrides gates and reviews; "" if it keeps to them.
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
    promoted_from: str = ""
    override: str = ""

    def __str__(self) -> str:
        return f"{self.owner}@{self.host} (process {self.pid}) since {self.since}: {self.command}"

    def to_json(self) -> str:
        """The JSON text that a store keeps."""
        return json.dumps(asdict(self))

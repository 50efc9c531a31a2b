"""What git has of a folder: its commit, and whether files are still as they were committed.

The only place that runs git. It runs plumbing only, which knows no signatures, pagers or hooks, without the
configuration of the user and the system. No setting of the repository has a say in what these commands print.
So neither `log.showSignature` nor `core.fsmonitor` changes the answer or runs a program.
The repository is found here and not by git, so one of another user is read as well, as in a container.
"""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_TIMEOUT = 30  # seconds
_POINTER = 1024  # bytes; a pointer of Git LFS is shorter
_COMMITTER = re.compile(rb"^committer .*> (-?\d+) [-+]\d+$", re.MULTILINE)
_OID = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LINK, _SUBMODULE, _EXECUTABLE = "120000", "160000", "100755"
_NEUTRAL = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "HOME": os.devnull,  # git before 2.32 does not know GIT_CONFIG_GLOBAL
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone fetches by a program that its configuration names
    "GIT_ALLOW_PROTOCOL": "none",  # the same for git before 2.44
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}


class GitError(Exception):
    """Git cannot read a repository that is there; says why."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit.

    Attributes:
        id: its full hash.
        time: when it was committed, in seconds since 1970, as it says; None when it says no number.
    """

    id: str
    time: int | None


@dataclass(frozen=True, slots=True)
class CommittedFile:
    """A file as a commit has it.

    Attributes:
        repository: that has its content; that of a submodule for a file in one.
        mode: as git writes it, "100644", "100755" or "120000".
        id: hash of its content.
    """

    repository: "Repository"
    mode: str
    id: str


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository.

    Attributes:
        top: the first of its folders, with all links resolved.
    """

    top: Path

    def head(self) -> Commit | None:
        """The commit that is checked out; None before the first one, and where git is not installed.

        Raises:
            GitError: git cannot read the repository.
        """
        try:
            answer = self._run("cat-file", "--batch", stdin=b"HEAD\n")
        except FileNotFoundError:
            return None
        first, _, content = answer.partition(b"\n")
        identity, _, kind = first.partition(b" ")
        if not kind.startswith(b"commit "):
            return None
        found = _COMMITTER.search(content.partition(b"\n\n")[0])
        return Commit(identity.decode(), int(found[1]) if found and len(found[1]) < 24 else None)

    def files(self, commit: str, below: Iterable[str]) -> dict[str, CommittedFile]:
        """The files of a commit by their path from the top, submodules that are checked out included.

        Args:
            below: files and folders that are looked for, as paths from the top; "" is all.

        Raises:
            GitError: git cannot read the repository.
        """
        asked = sorted({*below})
        listed = self._run(
            "ls-tree", "-r", "-z", "--full-tree", commit, *([] if "" in asked else ["--", *asked])
        )
        found: dict[str, CommittedFile] = {}
        for line in listed.split(b"\0")[:-1]:
            what, _, name = line.partition(b"\t")
            mode, _, identity = what.decode().split(" ")
            path = os.fsdecode(name)
            if mode != _SUBMODULE:
                found[path] = CommittedFile(self, mode, identity)
            elif _is_top(self.top / path):
                inner = Repository(self.top / path).files(identity, ("",))
                found |= {f"{path}/{below_it}": one for below_it, one in inner.items()}
        return found

    def contents(self, identities: Sequence[str]) -> list[bytes] | None:
        """Contents of as many small files; None when one of them is not here, or is large.

        Raises:
            GitError: git cannot read the repository.
        """
        asked = "".join(f"{identity}\n" for identity in identities).encode()
        for line in self._run("cat-file", "--batch-check", stdin=asked).splitlines():
            if not (size := line.rpartition(b" ")[2]).isdigit() or int(size) > _POINTER:
                return None
        answer, found = self._run("cat-file", "--batch", stdin=asked), []
        while answer:
            first, _, rest = answer.partition(b"\n")
            length = int(first.rpartition(b" ")[2])
            found.append(rest[:length])
            answer = rest[length + 1 :]
        return found

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What git prints. Raises GitError, and FileNotFoundError when there is no git."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        here = {"GIT_DIR": str(self.top / ".git"), "GIT_WORK_TREE": str(self.top)}
        try:
            answer = subprocess.run(
                ["git", *arguments],
                cwd=self.top,
                env={**ours, **_NEUTRAL, **here},
                input=stdin,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]} did not answer within {_TIMEOUT} seconds") from None
        except FileNotFoundError:
            raise
        except OSError as problem:
            raise GitError(f"git cannot be run: {problem.strerror}") from None
        if answer.returncode != 0:
            told = answer.stderr.decode("utf-8", "replace").strip() or f"exit code {answer.returncode}"
            raise GitError(f"git cannot read {self.top}: {told}")
        return answer.stdout


def repository_of(folder: Path) -> Repository | None:
    """The repository that a folder is in; None when it is in none."""
    here = folder.resolve()
    return next((Repository(top) for top in (here, *here.parents) if _is_top(top)), None)


def is_changed(files: Mapping[Path, CommittedFile]) -> bool:
    """Whether any of these files is not what the commit has: its bytes, its executable bit, its target.

    A file that Git LFS keeps elsewhere is what its pointer names. One that any other filter rewrites at
    checkout, line ends included, is changed: its bytes are not those of the commit.

    Raises:
        GitError: git cannot read a repository.
    """
    pointed: list[tuple[Repository, str, Path]] = []
    for path, committed in files.items():
        try:
            digest = _digest(path, committed)
        except OSError:
            return True
        if digest is None:
            return True
        if digest != committed.id:
            pointed.append((committed.repository, committed.id, path))
    for repository, group in groupby(sorted(pointed), key=lambda found: found[0]):
        members = list(group)
        contents = repository.contents([identity for _, identity, _ in members])
        if contents is None:
            return True
        for content, (_, _, path) in zip(contents, members, strict=True):
            if not _link_target(content, path):
                return True
    return False


def _is_top(folder: Path) -> bool:
    """Whether a repository begins here: a file `.git` names where a worktree or submodule has its own."""
    return (folder / ".git").is_file() or (folder / ".git" / "HEAD").is_file()


def _digest(path: Path, committed: CommittedFile) -> str | None:
    """Git's hash of what is there; None when it is of another kind or mode."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.fsencode(path.readlink())
        return _hash(committed, len(target), [target]) if committed.mode == _LINK else None
    if not stat.S_ISREG(status.st_mode) or committed.mode == _LINK:
        return None
    executable = bool(status.st_mode & 0o100)
    if os.name != "nt" and executable != (committed.mode == _EXECUTABLE):
        return None
    return _hash(committed, status.st_size, _pieces(path))


def _hash(committed: CommittedFile, size: int, pieces: Iterable[bytes]) -> str:
    whole = hashlib.new("sha256" if len(committed.id) == 64 else "sha1", usedforsecurity=False)
    whole.update(b"blob %d\0" % size)
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            yield piece


def _link_target(pointer: bytes, path: Path) -> bool:
    found = _OID.search(pointer) if pointer.startswith(_LFS) else None
    if found is None or not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode() == found[1]

"""Read the commit of a folder from git, and whether its files differ from it.

The only module that runs git. It uses plumbing commands only, which have no signatures, pagers or hooks, and
ignores the configuration of the user and the system. No repository setting, such as `log.showSignature` or
`core.fsmonitor`, changes the output of these commands or makes them run a program.
The repository is located here and not by git, because git refuses one of another user, as in a container.
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

from providers.regular_files import real_path

_TIMEOUT = 30  # seconds
_PATHS = 500  # arguments of one call
_POINTER = 1024  # bytes; a pointer of Git LFS is shorter
_COMMITTER = re.compile(rb"^committer .*> (-?\d+) [-+]\d+$", re.MULTILINE)
_OID = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
_LINK, _SUBMODULE, _EXECUTABLE = "120000", "160000", "100755"
_NEUTRAL = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "HOME": os.devnull,  # for git before 2.32, which ignores GIT_CONFIG_GLOBAL
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone fetches with a program from its configuration
    "GIT_ALLOW_PROTOCOL": "none",  # the same for git before 2.44
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}


class GitError(Exception):
    """Git cannot read a repository; the text has the reason."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit.

    Attributes:
        id: its full hash.
        time: its own commit time, in seconds since 1970; None if it is not a number.
    """

    id: str
    time: int | None


@dataclass(frozen=True, slots=True)
class CommittedFile:
    """A file in a commit.

    Attributes:
        repository: the repository with its content; the submodule's for a file in a submodule.
        mode: in git's form: "100644", "100755" or "120000".
        id: hash of its content.
    """

    repository: "Repository"
    mode: str
    id: str


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository.

    Attributes:
        top: the folder of its working tree, with all links resolved.
    """

    top: Path

    def head(self) -> Commit | None:
        """The commit that is checked out; None before the first commit, or if git is not installed.

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
        committer = _COMMITTER.search(content.partition(b"\n\n")[0])
        return Commit(identity.decode(), int(committer[1]) if committer and len(committer[1]) < 24 else None)

    def remote(self) -> str:
        """The address of the remote `origin`, else of the first one, in its normal form; "" without a remote.

        Raises:
            GitError: git cannot read the repository.
        """
        try:
            listing = self._run("config", "--local", "--null", "--list")
        except FileNotFoundError:
            return ""
        entries = (os.fsdecode(entry).partition("\n") for entry in listing.split(b"\0"))
        urls = {
            key[7:-4]: url for key, _, url in entries if key.startswith("remote.") and key.endswith(".url")
        }
        return remote_name(urls.get("origin") or next(iter(urls.values()), ""))

    def files(self, commit: str, below: Iterable[str]) -> dict[str, CommittedFile]:
        """The files of a commit by path from the top, including those of submodules that are checked out.

        Args:
            below: files and folders to list, as paths from the top; "" for everything.

        Raises:
            GitError: git cannot read the repository.
        """
        paths = sorted({*below})
        listing = self._run(
            "ls-tree", "-r", "-z", "--full-tree", commit, *([] if "" in paths else ["--", *paths])
        )
        files: dict[str, CommittedFile] = {}
        for entry in listing.split(b"\0")[:-1]:
            attributes, _, name = entry.partition(b"\t")
            mode, _, identity = attributes.decode().split(" ")
            path = os.fsdecode(name)
            if mode != _SUBMODULE:
                files[path] = CommittedFile(self, mode, identity)
            elif _is_top(self.top / path):
                inner = Repository(self.top / path).files(identity, ("",))
                files |= {f"{path}/{inner_path}": file for inner_path, file in inner.items()}
        return files

    def left_out(self, paths: Iterable[str]) -> set[str]:
        """The files of the index, among these paths from the top, that a sparse checkout leaves out.

        Raises:
            GitError: git cannot read the repository.
            FileNotFoundError: git is not installed.
        """
        found: set[str] = set()
        listed = sorted({*paths})
        for start in range(0, len(listed), _PATHS):
            listing = self._run("ls-files", "-t", "-z", "--", *listed[start : start + _PATHS])
            entries = (os.fsdecode(entry).partition(" ") for entry in listing.split(b"\0")[:-1])
            found |= {path for tag, _, path in entries if tag == "S"}
        return found

    def contents(self, identities: Sequence[str]) -> list[bytes] | None:
        """The contents of these small files; None if one of them is missing or larger than 1 KiB.

        Raises:
            GitError: git cannot read the repository.
        """
        request = "".join(f"{identity}\n" for identity in identities).encode()
        for line in self._run("cat-file", "--batch-check", stdin=request).splitlines():
            if not (size := line.rpartition(b" ")[2]).isdigit() or int(size) > _POINTER:
                return None
        answer, contents = self._run("cat-file", "--batch", stdin=request), []
        while answer:
            first, _, rest = answer.partition(b"\n")
            length = int(first.rpartition(b" ")[2])
            contents.append(rest[:length])
            answer = rest[length + 1 :]
        return contents

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """The standard output of git. Raises GitError, or FileNotFoundError if git is not installed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        location = {"GIT_DIR": str(self.top / ".git"), "GIT_WORK_TREE": str(self.top)}
        try:
            answer = subprocess.run(
                ["git", *arguments],
                cwd=self.top,
                env={**inherited, **_NEUTRAL, **location},
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
            reason = answer.stderr.decode("utf-8", "replace").strip() or f"exit code {answer.returncode}"
            raise GitError(f"git cannot read {self.top}: {reason}")
        return answer.stdout


def remote_name(url: str) -> str:
    """The address of a remote in one form for all protocols and logins: `github.com/org/repository`.

    The scheme, user, password, query, port of the scheme, final slashes and `.git` make no difference, nor
    does the case of the host. A path on this machine stays a path.
    """
    scheme, has_scheme, rest = url.strip().partition("://")
    if not has_scheme:
        host, colon, path = url.strip().partition(":")
        if not colon or "/" in host or len(host) == 1:  # C:/repository is a path
            return _bare_path(url.strip())
        return _remote(host, path)
    if scheme.lower() == "file":
        return _bare_path("/" + rest.partition("/")[2])
    host, _, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    name, _, port = host.rpartition("@")[2].partition(":")
    is_usual = not port or port == _REMOTE_PORTS.get(scheme.lower())
    return _remote(name if is_usual else f"{name}:{port}", path)


_REMOTE_PORTS = {"ssh": "22", "git+ssh": "22", "https": "443", "http": "80", "git": "9418"}


def _remote(host: str, path: str) -> str:
    return f"{host.rpartition('@')[2].lower()}/{_bare_path(path).lstrip('/')}"


def _bare_path(path: str) -> str:
    return path.rstrip("/").removesuffix(".git").rstrip("/")


def repository_of(folder: Path) -> Repository | None:
    """The repository that contains a folder, or None."""
    resolved = real_path(folder)
    return next((Repository(top) for top in (resolved, *resolved.parents) if _is_top(top)), None)


def is_changed(files: Mapping[Path, CommittedFile]) -> bool:
    """Whether any of these files differs from its commit: in bytes, executable bit or link target.

    A file in Git LFS is compared with its pointer. A file that any other filter rewrites at checkout, line
    endings included, counts as changed, because its bytes differ from those of the commit.

    Raises:
        GitError: git cannot read a repository.
    """
    pointers: list[tuple[Repository, str, Path]] = []
    for path, committed in files.items():
        try:
            digest = _digest(path, committed)
        except OSError:
            return True
        if digest is None:
            return True
        if digest != committed.id:
            pointers.append((committed.repository, committed.id, path))
    for repository, group in groupby(sorted(pointers), key=lambda pointer: pointer[0]):
        members = list(group)
        contents = repository.contents([identity for _, identity, _ in members])
        if contents is None:
            return True
        for content, (_, _, path) in zip(contents, members, strict=True):
            if not _matches_pointer(content, path):
                return True
    return False


def _is_top(folder: Path) -> bool:
    """Whether this is the top of a repository; in a worktree or submodule, `.git` is a file."""
    return (folder / ".git").is_file() or (folder / ".git" / "HEAD").is_file()


def _digest(path: Path, committed: CommittedFile) -> str | None:
    """Git's hash of the file on disk; None if its kind or mode differs from the commit."""
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
    blob = hashlib.new("sha256" if len(committed.id) == 64 else "sha1", usedforsecurity=False)
    blob.update(b"blob %d\0" % size)
    for piece in pieces:
        blob.update(piece)
    return blob.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            yield piece


def _matches_pointer(pointer: bytes, path: Path) -> bool:
    """Whether the file has the content that this Git LFS pointer names."""
    oid = _OID.search(pointer) if pointer.startswith(_LFS) else None
    if oid is None or not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode() == oid[1]

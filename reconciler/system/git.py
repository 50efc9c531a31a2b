"""Read the commit of a folder from git, and whether its files differ from it.

The only module that runs git. It uses plumbing commands only, which have no signatures, pagers or hooks, and
ignores the configuration of the user and the system. No repository setting, such as `log.showSignature` or
`core.fsmonitor`, changes the output of these commands or makes them run a program.
The repository is located here and not by git, because git refuses one of another user, as in a container.
"""

import hashlib
import os
import re
import select
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BufferedIOBase, BufferedReader, RawIOBase
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from msgspec import Struct

from providers.ascii_case import ascii_lower
from providers.patterns import pattern
from providers.programs import ProgramError, end_program, run_program, start_program
from providers.regular_files import open_regular, read_regular, real_path
from providers.waits import pending

_TIMEOUT = 30  # seconds
_MOST_OUTPUT = 256 << 20  # bytes; the list of a million files has less
_MOST_LINE = 1024  # bytes of a line that names a file and its size
_PATHS = 500  # arguments of one call
_POINTER = 1024  # bytes; a pointer of Git LFS is shorter
_COMMITTER = pattern(rb"^committer .*> (-?\d+) [-+]\d+$", re.MULTILINE)
_OID = pattern(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
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


class Commit(Struct, frozen=True):
    """A commit.

    Attributes:
        id: its full hash.
        time: its own commit time, in seconds since 1970; None if it is not a number.
    """

    id: str
    time: int | None


class CommittedFile(Struct, frozen=True):
    """A file in a commit.

    Attributes:
        repository: the repository with its content; the submodule's for a file in a submodule.
        mode: in git's form: "100644", "100755" or "120000"; "160000" for a submodule.
        id: hash of its content.
    """

    repository: "Repository"
    mode: str
    id: str

    @property
    def is_submodule(self) -> bool:
        """Whether this is a submodule that is not checked out."""
        return self.mode == _SUBMODULE

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link, whose content is its target."""
        return self.mode == _LINK

    @property
    def is_executable(self) -> bool:
        """Whether this file can be run."""
        return self.mode == _EXECUTABLE


class MissingCommitError(GitError):
    """A submodule lacks the commit that its repository names."""

    def __init__(self, repository: "Repository", commit: str) -> None:
        super().__init__(f"the submodule {repository.top} lacks the commit {commit}")
        self.repository = repository
        self.commit = commit


class Repository(Struct, frozen=True, order=True):
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

    def has_remote(self, name: str) -> bool:
        """Whether the repository has a remote of this name. Raises GitError."""
        return bool(self._run("config", "--local", "--get-all", f"remote.{name}.url", codes=(0, 1)))

    def commit(self, name: str) -> str | None:
        """The full hash of the commit with this name: a branch, tag or hash; None if there is none.

        Raises:
            GitError: git cannot read the repository.
            FileNotFoundError: git is not installed.
        """
        if not name.isprintable() or not name:
            return None
        answer = self._run("cat-file", "--batch-check", stdin=f"{name}^{{commit}}\n".encode())
        identity, _, rest = answer.decode("utf-8", "replace").partition(" ")
        return identity if rest.startswith("commit ") else None

    def merge_base(self, first: str, second: str) -> str | None:
        """The latest common ancestor of two commits.

        Returns:
            None if there is none, and in a shallow clone whose history is too short to know it.

        Raises:
            GitError: git cannot read the repository.
        """
        base = self._run("merge-base", first, second, codes=(0, 1)).decode().strip()
        if not base:
            return None
        ends = self._shallow_commits()
        seen = self._run("rev-list", first, second, f"^{base}").decode().split() if ends else []
        return None if ends.intersection(seen) else base

    def is_shallow(self) -> bool:
        """Whether this is a shallow clone. Raises GitError."""
        return bool(self._shallow_commits())

    def _shallow_commits(self) -> set[str]:
        """The commits whose parents a shallow clone lacks."""
        place = self._run("rev-parse", "--git-path", "shallow").decode("utf-8", "surrogateescape")
        try:
            content = read_regular(self.top / place.removesuffix("\n"))
        except OSError:
            return set()
        return {*content.decode("ascii", "replace").split()}

    def files(self, commit: str, below: Iterable[str]) -> dict[str, CommittedFile]:
        """The files of a commit by path from the top, including those of submodules that are checked out.

        Args:
            below: files and folders to list, as paths from the top; "" for everything.

        Raises:
            GitError: git cannot read the repository.
        """
        entries = self.entries(commit, below)
        return {path: entry for path, entry in entries.items() if not entry.is_submodule}

    def entries(self, commit: str, below: Iterable[str] = ("",)) -> dict[str, CommittedFile]:
        """As `files`, with an entry for each submodule that is not checked out.

        Raises:
            MissingCommitError: a submodule that is checked out lacks its commit.
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
            if mode != _SUBMODULE or not _is_top(self.top / path):
                files[path] = CommittedFile(self, mode, identity)
                continue
            inner = Repository(self.top / path)
            if inner.commit(identity) is None:
                raise MissingCommitError(inner, identity)
            files |= {f"{path}/{below}": file for below, file in inner.entries(identity).items()}
        return files

    def left_out(self, paths: Iterable[str]) -> set[str]:
        """The files and submodules of the index, among these paths from the top, that are not checked out.

        A sparse checkout leaves them out, or a submodule is not initialized, and has an empty folder. A file
        or folder that is deleted is not among them.

        Raises:
            GitError: git cannot read the repository.
            FileNotFoundError: git is not installed.
        """
        found: set[str] = set()
        listed = sorted({*paths})
        for start in range(0, len(listed), _PATHS):
            listing = self._run("ls-files", "-t", "-s", "-z", "--", *listed[start : start + _PATHS])
            for entry in listing.split(b"\0")[:-1]:
                attributes, _, name = entry.partition(b"\t")
                tag, mode, *_ = attributes.decode().split(" ")
                path = os.fsdecode(name)
                if tag == "S" or (mode == _SUBMODULE and _is_empty(self.top / path)):
                    found.add(path)
        return found

    def content(self, file: CommittedFile) -> bytes:
        """The content of a committed file. Raises GitError."""
        return self._run("cat-file", "blob", file.id)

    def contents(self, identities: Sequence[str]) -> list[bytes | None]:
        """The contents of these files; None for each that is missing or larger than 1 KiB.

        Raises:
            GitError: git cannot read the repository.
        """
        request = "".join(f"{identity}\n" for identity in identities).encode()
        sizes = self._run("cat-file", "--batch-check", stdin=request).splitlines()
        small = [
            identity
            for identity, line in zip(identities, sizes, strict=True)
            if (size := line.rpartition(b" ")[2]).isdigit() and int(size) <= _POINTER
        ]
        answer = self._run("cat-file", "--batch", stdin="".join(f"{one}\n" for one in small).encode())
        found: dict[str, bytes] = {}
        for identity in small:
            first, _, rest = answer.partition(b"\n")
            length = int(first.rpartition(b" ")[2])
            found[identity] = rest[:length]
            answer = rest[length + 1 :]
        return [found.get(identity) for identity in identities]

    def blobs(self, identities: Iterable[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The contents of these files in their order, each in pieces, to be read before the next file.

        Raises:
            GitError: git cannot read the repository, or lacks a file, as a partial clone may.
            FileNotFoundError: git is not installed.
        """
        with TemporaryFile() as request:
            count = sum(1 for identity in identities if request.write(f"{identity}\n".encode()))
            request.seek(0)
            git = start_program(
                ["git", "cat-file", "--batch"],
                cwd=self.top,
                env=self._environment(),
                stdin=request,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            assert git.stdout is not None
            try:
                output = BufferedReader(_TimelyOutput(git.stdout.fileno(), "git cat-file"))
                for line in islice(iter(lambda: output.readline(_MOST_LINE), b""), count):
                    identity, _, size = line.decode("ascii", "replace").strip().partition(" blob ")
                    if not size.isdecimal():
                        raise GitError(f"git cannot read {self.top}: {line.decode('utf-8', 'replace')}")
                    yield identity, _exactly(output, int(size))
                    output.read(1)
            finally:
                end_program(git, at_once=True)  # it ended, unless the caller stops early

    def lfs_object(self, oid: str) -> Path:
        """The place of the content that a pointer of Git LFS names; it exists if it was fetched."""
        place = self._run("rev-parse", "--git-path", "lfs/objects").decode("utf-8", "surrogateescape")
        return self.top / place.removesuffix("\n") / oid[:2] / oid[2:4] / oid

    def _environment(self) -> dict[str, str]:
        """The variables for git."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {**inherited, **_NEUTRAL, "GIT_DIR": str(self.top / ".git"), "GIT_WORK_TREE": str(self.top)}

    def _run(self, *arguments: str, stdin: bytes = b"", codes: Sequence[int] = (0,)) -> bytes:
        """The standard output of git. Raises GitError, or FileNotFoundError if git is not installed.

        Args:
            codes: exit codes that are no error.
        """
        try:
            answer = run_program(
                ["git", *arguments],
                name=f"git {arguments[0]}",
                timeout=_TIMEOUT,
                input=stdin,
                folder=self.top,
                environment=self._environment(),
                most=_MOST_OUTPUT,
            )
        except ProgramError as problem:
            raise GitError(f"git {arguments[0]} {problem}") from None
        except FileNotFoundError:
            raise
        except OSError as problem:
            raise GitError(f"git cannot be run: {problem.strerror}") from None
        if answer.returncode not in codes:
            reason = answer.stderr.decode("utf-8", "replace").strip() or f"exit code {answer.returncode}"
            raise GitError(f"git cannot read {self.top}: {reason}")
        return answer.stdout


class _TimelyOutput(RawIOBase):
    """The output of a program that must not be silent for longer than `_TIMEOUT` while it is read.

    Reads raise GitError after that.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if hasattr(select, "poll"):  # not on Windows; `select` takes no descriptor above 1023
            ready = select.poll()
            ready.register(self._descriptor, select.POLLIN)
            with pending(self._name):
                is_silent = not ready.poll(_TIMEOUT * 1000)
            if is_silent:
                raise GitError(f"{self._name} did not answer within {_TIMEOUT} seconds")
        found = os.read(self._descriptor, len(buffer))
        buffer[: len(found)] = found
        return len(found)


def lfs_oid(content: bytes) -> str | None:
    """The sha256 that a pointer of Git LFS names; None for any other content."""
    oid = _OID.search(content) if content.startswith(_LFS) and len(content) <= _POINTER else None
    return oid[1].decode() if oid else None


def _exactly(file: BufferedIOBase, size: int) -> Iterator[bytes]:
    """The next `size` bytes of a file, in pieces. Raises GitError if it has fewer."""
    while size:
        piece = file.read(min(size, 1 << 16))
        if not piece:
            raise GitError("git stopped in the middle of a file")
        size -= len(piece)
        yield piece


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
    if ascii_lower(scheme) == "file":
        return _bare_path("/" + rest.partition("/")[2])
    host, _, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    name, _, port = host.rpartition("@")[2].partition(":")
    is_usual = not port or port == _REMOTE_PORTS.get(ascii_lower(scheme))
    return _remote(name if is_usual else f"{name}:{port}", path)


_REMOTE_PORTS = {"ssh": "22", "git+ssh": "22", "https": "443", "http": "80", "git": "9418"}


def _remote(host: str, path: str) -> str:
    return f"{ascii_lower(host.rpartition('@')[2])}/{_bare_path(path).lstrip('/')}"


def _bare_path(path: str) -> str:
    return path.rstrip("/").removesuffix(".git").rstrip("/")


def repository_of(folder: Path) -> Repository | None:
    """The repository that contains a folder, or None."""
    resolved = real_path(folder)
    return next((Repository(top) for top in (resolved, *resolved.parents) if _is_top(top)), None)


Reading = Callable[[Path, int], object]
"""Called with a file that is being read, and the size of the part that was read, in bytes."""


def is_changed(files: Mapping[Path, CommittedFile], reading: Reading) -> bool:
    """Whether any of these files differs from its commit. Raises GitError."""
    return any(True for _ in changed_files(files, reading))


def changed_files(files: Mapping[Path, CommittedFile], reading: Reading) -> Iterator[Path]:
    """The files that differ from their commit: in bytes, executable bit or link target.

    A file in Git LFS is compared with its pointer. A file that any other filter rewrites at checkout, line
    endings included, counts as changed, because its bytes differ from those of the commit.

    Raises:
        GitError: git cannot read a repository.
    """
    pointers: list[tuple[Repository, str, Path]] = []
    for path, committed in files.items():
        try:
            digest = _digest(path, committed, reading)
        except OSError:
            yield path
            continue
        if digest is None:
            yield path
        elif digest != committed.id:
            pointers.append((committed.repository, committed.id, path))
    for repository, group in groupby(sorted(pointers), key=lambda pointer: pointer[0]):
        members = list(group)
        contents = repository.contents([identity for _, identity, _ in members])
        for content, (_, _, path) in zip(contents, members, strict=True):
            if content is None or not _matches_pointer(content, path, reading):
                yield path


def _is_top(folder: Path) -> bool:
    """Whether this is the top of a repository; in a worktree or submodule, `.git` is a file."""
    place = f"{folder}/.git"
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116 - most folders have none, and a Path takes twice as long
        return stat.S_ISREG(mode) or stat.S_ISREG(os.stat(f"{place}/HEAD").st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _is_empty(folder: Path) -> bool:
    """Whether this is a folder without files."""
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return False


def _digest(path: Path, committed: CommittedFile, reading: Reading) -> str | None:
    """Git's hash of the file on disk; None if its kind or mode differs from the commit."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.fsencode(path.readlink())
        return _hash(committed, len(target), [target]) if committed.mode == _LINK else None
    if not stat.S_ISREG(status.st_mode) or committed.mode == _LINK:
        return None
    if status.st_mode & 0o7000:
        return None  # no commit has such a bit, and an image would
    executable = bool(status.st_mode & 0o100)
    if os.name != "nt" and executable != (committed.mode == _EXECUTABLE):
        return None
    return _hash(committed, status.st_size, _pieces(path, reading))


def _hash(committed: CommittedFile, size: int, pieces: Iterable[bytes]) -> str:
    blob = hashlib.new("sha256" if len(committed.id) == 64 else "sha1", usedforsecurity=False)
    blob.update(b"blob %d\0" % size)
    for piece in pieces:
        blob.update(piece)
    return blob.hexdigest()


def _pieces(path: Path, reading: Reading) -> Iterator[bytes]:
    reading(path, 0)
    with os.fdopen(open_regular(path), "rb") as file:
        while piece := file.read(1 << 16):
            reading(path, len(piece))
            yield piece


def _matches_pointer(pointer: bytes, path: Path, reading: Reading) -> bool:
    """Whether the file has the content that this Git LFS pointer names."""
    oid = lfs_oid(pointer)
    if oid is None or not path.is_file() or path.is_symlink():
        return False
    digest = hashlib.sha256()
    for piece in _pieces(path, reading):
        digest.update(piece)
    return digest.hexdigest() == oid

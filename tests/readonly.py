"""A folder in which nothing can be written, by root either: read-only, another user's, on a full disk."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

_OVERRIDE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: for root, modes do not count
_VERSION_3 = 0x20080522  # of the kernel's interface, see capget(2)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A read-only mount where this user may mount; otherwise modes, which then hold for root as well."""
    if _mounted(folder):
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        with _no_override() if os.geteuid() == 0 else nullcontext():
            yield
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A file system with what is in the folder and no byte more. Skips if this user may not mount."""
    content = folder.with_name(f"{folder.name}.before")
    shutil.copytree(folder, content)
    options = ["mount", "-t", "tmpfs", "-o", "size=4M", "none", folder]
    if os.geteuid() != 0 or subprocess.run(options, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounts a file system")
    try:
        shutil.copytree(content, folder, dirs_exist_ok=True)
        with pytest.raises(OSError, match="No space left"), (folder / "rest").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def unlisted(folder: Path, rights: int = 0) -> Iterator[None]:
    """A folder with these rights for root, too: by default, it can be neither listed nor entered."""
    mode = folder.stat().st_mode
    folder.chmod(rights)
    try:
        with _no_override() if os.geteuid() == 0 else nullcontext():
            yield
    finally:
        folder.chmod(mode)


def _mounted(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    bound = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bound.returncode != 0:
        return False
    options = ["mount", "-o", "remount,bind,ro", folder]
    if subprocess.run(options, capture_output=True, check=False).returncode == 0:
        return True
    subprocess.run(["umount", "--lazy", folder], check=True)
    return False


@contextmanager
def _no_override() -> Iterator[None]:
    """This thread, and those that it starts, without the right to write whatever the modes say."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits, one after the other
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~_OVERRIDE
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0

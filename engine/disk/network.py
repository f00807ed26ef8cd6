"""Refuse databases on network file systems.

SQLite's write-ahead log needs memory that all processes share, which no network file system has
(https://sqlite.org/wal.html, §2.2), and many have locks that do nothing: two machines damage the
file, and one may. Which file system a path is on, Linux tells in ``/proc/self/mountinfo`` (proc(5))
and macOS by ``mount``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from ..data.errors import UserError

ALLOW: Final = "CODECLM_ALLOW_NETWORK_FS"
"""The variable that allows it, where one machine alone uses the files."""

NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "ncpfs", "webdav"),
        *("lustre", "gpfs", "beegfs", "ceph", "glusterfs", "orangefs", "pvfs2", "panfs", "wekafs"),
        *("davfs", "vboxsf", "vmhgfs", "prl_fs", "ftp", "coda", "ocfs2", "gfs2"),
        *("sshfs", "s3fs", "rclone", "gcsfuse", "goofys", "juicefs", "curlftpfs", "blobfuse"),
        *("blobfuse2", "gvfsd-fuse", "vmhgfs-fuse", "mount.davfs", "drive"),
    }
)
"""Types of file systems; those in user space are ``fuse.NAME`` on Linux."""


class NetworkFileSystemError(UserError):
    """A database would be on a network file system. The message names it and the way out."""


class Mount(NamedTuple):
    """A mounted file system.

    Attributes:
        point: where it is mounted.
        kind: its type, such as nfs4.
        options: of the mount and of the file system, separated by commas.
    """

    point: str
    kind: str
    options: str = ""

    @property
    def is_network(self) -> bool:
        """Whether other machines may have the same files."""
        if self.kind == "9p":  # between machines, or of a sandbox, whose own files are not shared
            of_sandbox = "trans=fd" in self.options or self.point == "/"
            return not of_sandbox or "aname=drvfs" in self.options
        return self.kind.removeprefix("fuse.") in NETWORK


def check_local(path: Path, mounts: Iterable[Mount] | None = None) -> None:
    """Check that a database at *path* is on a file system of this machine. Blocks.

    Args:
        path: the database's, which need not exist.
        mounts: what is mounted; None: what the system says.

    Raises:
        NetworkFileSystemError: it is not, and the user has not allowed it.
    """
    if os.environ.get(ALLOW):
        return
    mount = mount_of(path.parent.resolve(), _mounts() if mounts is None else mounts)
    if mount is not None and mount.is_network:
        raise NetworkFileSystemError(
            f"{path}: on a network file system ({mount.kind} at {mount.point}), where SQLite loses"
            " data: choose a folder on a local disk (--out for runs, --cache or CODECLM_CACHE_DIR"
            f" for answers), or set {ALLOW}=1 if no other machine uses these files"
        )


def mount_of(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount that holds *path*: the deepest, of several at one place the last."""
    text, deepest = f"{path}/", None
    for mount in mounts:
        point = mount.point.rstrip("/") + "/"
        if text.startswith(point) and (
            deepest is None or len(mount.point.rstrip("/")) >= len(deepest.point.rstrip("/"))
        ):
            deepest = mount
    return deepest


@cache
def _mounts() -> tuple[Mount, ...]:
    """Return what is mounted; nothing where the system does not tell."""
    try:
        if sys.platform == "darwin":
            done = subprocess.run(
                ["/sbin/mount"], capture_output=True, text=True, timeout=10, check=True
            )
            return tuple(read_mount_command(done.stdout))
        return tuple(read_mountinfo(Path("/proc/self/mountinfo").read_text("utf-8", "replace")))
    except (OSError, subprocess.SubprocessError):
        return ()


def read_mountinfo(text: str) -> Iterator[Mount]:
    """Yield the mounts of ``/proc/self/mountinfo`` (proc(5))."""
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if separator and len(fields) >= 6 and rest:
            options = f"{fields[5]},{','.join(rest[2:])}"
            yield Mount(_unescaped(fields[4]), rest[0], options)


def read_mount_command(text: str) -> Iterator[Mount]:
    """Yield the mounts of macOS's ``mount``: ``//me@host/share on /Volumes/share (smbfs, …)``."""
    for line in text.splitlines():
        if match := re.fullmatch(r".+? on (/.*) \(([^,)]+)(?:, )?([^)]*)\)", line):
            yield Mount(match[1], match[2], match[3].replace(", ", ","))


def _unescaped(text: str) -> str:
    """Undo the kernel's escapes: a backslash and three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)

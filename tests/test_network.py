"""Databases on network file systems are refused; the system's table says which those are."""

from pathlib import Path

import pytest

from codeclm.engine.disk.network import (
    ALLOW,
    NetworkFileSystemError,
    check_local,
    mount_of,
    read_mount_command,
    read_mountinfo,
)
from codeclm.engine.disk.sqlite import connect

LINUX = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:27 / /home rw,relatime shared:1 - nfs4 server:/export/home rw,vers=4.2,hard
31 30 0:28 / /home/me/local rw,relatime - xfs /dev/sdb1 rw
32 27 0:29 / /mnt/with\040space rw,relatime shared:2 master:1 - cifs //server/share rw,vers=3.1
33 27 0:30 / /mnt/ssh rw,nosuid - fuse.sshfs me@host:/ rw,user_id=1000
34 27 0:31 / /mnt/ntfs rw - fuseblk /dev/sdc1 rw
35 27 0:32 / /mnt/c rw - 9p drvfs rw,dirsync,aname=drvfs;path=C:\134,trans=fd,rfdno=8,wfdno=8
36 27 0:33 / /mnt/host rw - 9p share rw,trans=virtio
37 27 0:34 / /sandbox rw - 9p none rw,trans=fd,rfdno=6,wfdno=6
38 27 0:35 / /lustre rw - lustre 10.0.0.1@tcp:/scratch rw
39 27 0:36 / /twice rw - nfs server:/old rw
40 27 0:37 / /twice rw - tmpfs tmpfs rw
41 27 0:38 / /content/drive rw - fuse.drive drive rw
a line of nonsense
"""

MACOS = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//me@nas._smb._tcp.local/Share on /Volumes/My Share (smbfs, nodev, nosuid, mounted by me)
server:/export on /Volumes/nfs (nfs, nodev)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/homeless", None),
        ("/home/me/run", "nfs4"),
        ("/home", "nfs4"),
        ("/home/me/local/run", None),
        ("/mnt/with space/run", "cifs"),
        ("/mnt/ssh/run", "fuse.sshfs"),
        ("/mnt/ntfs/run", None),
        ("/mnt/c/Users/me", "9p"),
        ("/mnt/host/run", "9p"),
        ("/sandbox/run", None),
        ("/lustre/run", "lustre"),
        ("/twice/run", None),
        ("/content/drive/MyDrive/run", "fuse.drive"),
    ],
)
def test_a_network_file_system_is_known_by_the_mount_that_holds_the_path(
    path: str, kind: str | None
) -> None:
    mount = mount_of(Path(path), read_mountinfo(LINUX))

    assert mount is not None
    assert (mount.kind if mount.is_network else None) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/Users/me/run", None), ("/Volumes/My Share/run", "smbfs"), ("/Volumes/nfs/run", "nfs")],
)
def test_so_it_is_on_macos(path: str, kind: str | None) -> None:
    mount = mount_of(Path(path), read_mount_command(MACOS))

    assert mount is not None
    assert (mount.kind if mount.is_network else None) == kind


def test_a_database_there_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tuple(read_mountinfo(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/home rw"))

    with pytest.raises(NetworkFileSystemError, match=rf"nfs4 at {tmp_path}.*CODECLM_CACHE_DIR"):
        check_local(tmp_path / "new" / "cache.db", mounts)

    monkeypatch.setenv(ALLOW, "1")
    check_local(tmp_path / "new" / "cache.db", mounts)


def test_this_machine_s_own_table_can_be_read(tmp_path: Path) -> None:
    connect(tmp_path / "cache.db").close()

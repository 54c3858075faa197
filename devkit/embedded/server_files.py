"""Create a server's files, with an owner that may run the server.

Postgres refuses to run as root, so root runs the servers as `nobody`. `nobody` cannot enter folders of mode 0700, such
as root's home or pytest's temporary folder. Then programs and data are put into a folder of root below the system's
temporary folder, and the data folder contains a link to it.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

SHARED_FOLDER = "recado-root"


class EmbeddedError(RuntimeError):
    """A server is not installed or cannot start, or its folder is in use or unsafe. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the servers run as. `switch` is true when this process runs as another user."""

    uid: int
    gid: int
    switch: bool


def account() -> Account:
    """Return `nobody` if this process runs as root, else its own user."""
    uid = os.geteuid()
    if uid:
        return Account(uid, os.getegid(), switch=False)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedError(
            "Postgres does not run as root and this system has no user `nobody`: run as an ordinary user, "
            "or set DATABASE_URL and REDIS_URL"
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid, switch=True)


def reachable(folder: Path) -> bool:
    """Return whether any user may enter `folder` and all folders above it."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def own_folder(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Create `folder` with this owner and mode. Raises EmbeddedError if another user may have created it."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise EmbeddedError(f"{folder} is a link or a file where a folder must be: remove it")
    if state.st_uid not in (uid, os.geteuid()) or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EmbeddedError(
            f"{folder} belongs to user {state.st_uid} (expected {uid}) or others may write to it: "
            "remove it or use another data folder"
        )
    if (state.st_uid, state.st_gid) != (uid, gid):
        os.chown(folder, uid, gid, follow_symlinks=False)
    if stat.S_IMODE(state.st_mode) != mode:
        folder.chmod(mode)


def server_folder(data_dir: Path, name: str, *, disposable: bool) -> Path:
    """Create and return the folder of server `name`: a subfolder of `data_dir`, or the target of a link there."""
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = data_dir.resolve() / name
    uid = os.geteuid()
    if uid == 0 and (folder.is_symlink() or not reachable(folder.parent)):
        return _folder_for_nobody(folder, disposable=disposable)
    own_folder(folder, uid, os.getegid(), 0o700 if uid else 0o711)
    return folder


def _folder_for_nobody(link: Path, *, disposable: bool) -> Path:
    if link.is_symlink():
        if link.lstat().st_uid != 0:
            raise EmbeddedError(f"{link} is a link made by another user: remove it")
        folder = link.readlink()
        if folder.is_dir() or folder.parent.name != SHARED_FOLDER:
            own_folder(folder, 0, 0, 0o711)
            if not disposable:
                (folder / "origin").unlink(missing_ok=True)
            return folder
        link.unlink()  # The system has emptied its temporary folder.
    elif link.exists():
        raise EmbeddedError(f"user `nobody` cannot reach {link}: let others enter (chmod o+x) the folders above it")
    top = _shared_folder()
    _remove_orphans(top)
    folder = Path(tempfile.mkdtemp(prefix=f"{link.name}-", dir=top))
    folder.chmod(0o711)
    try:
        link.symlink_to(folder)
    except FileExistsError:  # Another process has created it meanwhile.
        folder.rmdir()
        return _folder_for_nobody(link, disposable=disposable)
    if disposable:
        (folder / "origin").write_bytes(os.fsencode(link))
    return folder


def _shared_folder() -> Path:
    for base in dict.fromkeys(map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp"))):  # noqa: S108
        if base.is_dir() and reachable(base):
            top = base.resolve() / SHARED_FOLDER
            own_folder(top, 0, 0, 0o711)
            return top
    raise EmbeddedError("user `nobody` can enter no temp folder: set TMPDIR to a folder that all users may enter")


def _remove_orphans(top: Path) -> None:
    """Remove the data of tests whose data folder is gone. Durable data has no file `origin`, and stays."""
    for origin in top.glob("*/origin"):
        with contextlib.suppress(OSError):
            if Path(os.fsdecode(origin.read_bytes())).readlink() == origin.parent:
                continue
        fds = [lock(origin.with_name(name)) for name in ("owner.lock", "server.lock")]
        if None not in fds:
            shutil.rmtree(origin.parent, ignore_errors=True)
        for fd in fds:
            if fd is not None:
                os.close(fd)


def programs(base: Path, parts: tuple[str, ...], account: Account) -> Path:
    """Return `base`, or a copy of its `parts` that the account can reach.

    The parts keep their relative paths, because programs find their libraries by them.
    """
    present = [path for part in parts if (path := base / part).exists()]
    if not account.switch or all(reachable(path if path.is_dir() else path.parent) for path in present):
        return base
    versions = [(str(path), state.st_ino, state.st_mtime_ns) for path in present if (state := path.stat())]
    top = _shared_folder()
    copy = top / f"programs-{hashlib.sha256(repr(versions).encode()).hexdigest()[:16]}"
    if copy.is_dir():
        return copy
    new = Path(tempfile.mkdtemp(prefix="copying-", dir=top))
    for path in present:
        target = new / path.relative_to(base)
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, ignore=shutil.ignore_patterns("include", "pkgconfig", "*.a"))
        else:
            shutil.copy2(path, target)
    for path in (new, *(path for path in new.rglob("*") if path.is_dir())):
        path.chmod(0o755)  # A strict umask may have closed them.
    try:
        new.rename(copy)
    except OSError:  # Another process has created it meanwhile.
        shutil.rmtree(new)
        if not copy.is_dir():
            raise
    return copy


def secret(file: Path, account: Account) -> str:
    """Return the random password in `file`, which is created at the first call. Called under the server's lock."""
    if not file.exists():
        new = file.with_name("password.new")
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as stream:
            os.fchown(fd, account.uid, account.gid)
            stream.write(secrets.token_urlsafe(24))
            stream.flush()
            os.fsync(fd)
        new.rename(file)
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as stream:
        state = os.fstat(stream.fileno())
        if state.st_uid != account.uid or state.st_mode & 0o077:
            raise EmbeddedError(
                f"{file} must be readable by user {account.uid} alone: remove it together with its folder"
            )
        return stream.read().strip()


def lock(file: Path) -> int | None:
    """Lock a file. Return its descriptor, or None if another process has the lock.

    The lock is released when the descriptor and all inherited copies are closed.
    """
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd

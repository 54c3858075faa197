"""Where a server's files live and who owns them.

Postgres refuses to run as root, so under root the servers run as `nobody`. `nobody` cannot enter folders of mode 0700
(root's home, pytest's temp folder): then programs and data go to a folder of root's own below the system temp folder,
and the wanted data folder holds a link to it.
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

TOP = "recado-root"


class EmbeddedError(RuntimeError):
    """A server is not installed, cannot start, or its folder is in use or unsafe; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user the servers run as; `switch` says that it is not the user we run as."""

    uid: int
    gid: int
    switch: bool


def account() -> Account:
    """Return `nobody` when we are root, else ourselves."""
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
    """Tell whether any user may enter `folder` and all folders above it."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def own_folder(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Make `folder` with this owner and mode; raises EmbeddedError if another user could have made it."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise EmbeddedError(f"{folder} is a link or a file where a folder of our own must be: remove it")
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
    """Make and return the real folder of server `name`: the subfolder of `data_dir`, or where it links to."""
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = data_dir.resolve() / name
    uid = os.geteuid()
    if uid == 0 and (folder.is_symlink() or not reachable(folder.parent)):
        return _shelter(folder, disposable=disposable)
    own_folder(folder, uid, os.getegid(), 0o700 if uid else 0o711)
    return folder


def _shelter(link: Path, *, disposable: bool) -> Path:
    if link.is_symlink():
        if link.lstat().st_uid != 0:
            raise EmbeddedError(f"{link} is a link made by another user: remove it")
        folder = link.readlink()
        if folder.is_dir() or folder.parent.name != TOP:
            own_folder(folder, 0, 0, 0o711)
            if not disposable:
                (folder / "origin").unlink(missing_ok=True)
            return folder
        link.unlink()  # the system has emptied its temp folder
    elif link.exists():
        raise EmbeddedError(f"user `nobody` cannot reach {link}: let others enter (chmod o+x) the folders above it")
    top = _top()
    _sweep(top)
    folder = Path(tempfile.mkdtemp(prefix=f"{link.name}-", dir=top))
    folder.chmod(0o711)
    try:
        link.symlink_to(folder)
    except FileExistsError:  # another process was faster
        folder.rmdir()
        return _shelter(link, disposable=disposable)
    if disposable:
        (folder / "origin").write_bytes(os.fsencode(link))
    return folder


def _top() -> Path:
    for base in dict.fromkeys(map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp"))):  # noqa: S108
        if base.is_dir() and reachable(base):
            top = base.resolve() / TOP
            own_folder(top, 0, 0, 0o711)
            return top
    raise EmbeddedError("user `nobody` can enter no temp folder: set TMPDIR to a folder that all users may enter")


def _sweep(top: Path) -> None:
    """Remove the data of tests whose data folder is gone; data that was ever durable carries no `origin` and stays."""
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


def programs(base: Path, parts: tuple[str, ...], who: Account) -> Path:
    """Return `base`, or a copy of its `parts` that `who` can reach; relative places stay, libraries are found so."""
    present = [path for part in parts if (path := base / part).exists()]
    if not who.switch or all(reachable(path if path.is_dir() else path.parent) for path in present):
        return base
    marks = [(str(path), state.st_ino, state.st_mtime_ns) for path in present if (state := path.stat())]
    top = _top()
    copy = top / f"programs-{hashlib.sha256(repr(marks).encode()).hexdigest()[:16]}"
    if copy.is_dir():
        return copy
    fresh = Path(tempfile.mkdtemp(prefix="copying-", dir=top))
    for path in present:
        target = fresh / path.relative_to(base)
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, ignore=shutil.ignore_patterns("include", "pkgconfig", "*.a"))
        else:
            shutil.copy2(path, target)
    for path in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
        path.chmod(0o755)  # folders made under a strict umask
    try:
        fresh.rename(copy)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)
        if not copy.is_dir():
            raise
    return copy


def secret(file: Path, who: Account) -> str:
    """Return the random password kept in `file` (mode 0600, owned by `who`), made on first use; call under the lock."""
    if not file.exists():
        fresh = file.with_name("password.new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as stream:
            os.fchown(fd, who.uid, who.gid)
            stream.write(secrets.token_urlsafe(24))
            stream.flush()
            os.fsync(fd)
        fresh.rename(file)
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW)) as stream:
        state = os.fstat(stream.fileno())
        if state.st_uid != who.uid or state.st_mode & 0o077:
            raise EmbeddedError(f"{file} must be readable by user {who.uid} alone: remove it together with its folder")
        return stream.read().strip()


def lock(file: Path) -> int | None:
    """Return a descriptor that holds the lock on `file` until it and all inherited copies are closed, None if taken."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd

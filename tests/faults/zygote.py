"""A process that has imported all that commands need, and forks one for each that it is asked for.

Requests come as lines of JSON on standard input: what to run, in which folder, with which fault. An
answer is a line of JSON with the exit code, negative for a signal. What a command prints goes to
the file ``log`` of its folder. A fork costs a hundredth of a second, the imports several.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PRELOADED = (
    "matplotlib.pyplot",
    "scipy.stats",
    "tensorboard.summary.writer.record_writer",
    "mmpareto.cli",
    "mmpareto.compare._illustrations",
    "mmpareto.training.run",
)
RENEWED = {"open", "os.mkdir", "os.rename", "os.fsync"}
"""Changes for which a full disk has no room."""
CHANGED = {*RENEWED, "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def opened(descriptor: int) -> Path:
    """The file or folder that is open."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


class Changes:
    """Counts the changes of files below a folder, and does something before one of them.

    Python tells of nearly all through audit events, before they happen; an error that is raised
    then is that of the system call.

    Args:
        root: The folder.
        act: Called with the number of each change, from 1, its kind and its path.
    """

    def __init__(self, root: str, act: Callable[[int, str, str], None]) -> None:
        self._root, self._act, self.count = root, act, 0
        sys.addaudithook(self._see)
        self._fsync = os.fsync
        os.fsync = self._synced

    def _see(self, event: str, arguments: Sequence[Any]) -> None:
        if event in CHANGED and (event != "open" or (arguments[2] or 0) & WRITES):
            path = self._path(event, arguments)
            if path.startswith(self._root) and not Path(path).name.startswith("log"):
                self.count += 1
                self._act(self.count, event, path)

    def _path(self, event: str, arguments: Sequence[Any]) -> str:
        """The path that is changed; of a renaming the new one."""
        path = arguments[1] if event == "os.rename" else arguments[0]
        if isinstance(path, int):
            return str(opened(path))
        within = event in ("os.remove", "os.rmdir") and arguments[-1] >= 0
        folder = opened(arguments[-1]) if within else Path.cwd()
        return str(folder / os.fsdecode(path))

    def _synced(self, descriptor: int) -> None:
        sys.audit("os.fsync", descriptor)
        self._fsync(descriptor)


def inject(fault: dict[str, Any], root: str) -> Callable[[], None]:
    """Prepares a fault in this process; what is returned is called at its end."""
    if "bytes" in fault:  # no file may become longer
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], fault["bytes"]))
    number, kind = fault.get("change", 0), fault.get("kind", "")

    def act(count: int, event: str, path: str) -> None:
        if kind == "kill" and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "full" and count >= number and event in RENEWED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if kind == "read-only" and count >= number:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    changes = Changes(root, act)
    if fault.get("worker"):
        kill_a_worker(fault["worker"])
    if kind == "count":
        return lambda: write_counts(root, changes.count)
    return lambda: None


def write_counts(root: str, changes: int) -> None:
    """Tells how many changes there were, and which modules the command has imported."""
    Path(root, "log.count").write_text(str(changes))
    Path(root, "log.modules").write_text("\n".join(sys.modules))


def kill_a_worker(batch: int) -> None:
    """Ends each process that loads data at its batch of a number, as a small /dev/shm does."""
    from torch.utils.data import get_worker_info

    from mmpareto.data.samples._cached import CachedDataset

    item, count = CachedDataset.pending, 0

    def dying(self: Any, index: Any) -> Any:
        nonlocal count
        count += 1
        if count == batch and get_worker_info() is not None:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGBUS)
        return item(self, index)

    CachedDataset.pending = dying


def launch_here(
    call: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    jobs: int,
    devices: Sequence[str] = (),
) -> Iterator[tuple[int, Future[Any]]]:
    """Stands in for the launcher of a grid: all in this process, whose changes are counted."""
    for number, task in enumerate(tasks):
        future: Future[Any] = Future()
        try:
            future.set_result(call(*task))
        except Exception as error:
            future.set_exception(error)
        yield number, future


def run(request: dict[str, Any]) -> NoReturn:
    """Runs a command in this process, and ends it."""
    code = 1
    try:
        os.chdir(request["folder"])
        log = os.open(request.get("log", "log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ |= request["environment"]
        if not request.get("workers"):
            import mmpareto.compare._grid as grid

            grid.launch = launch_here
        from mmpareto.cli import main

        end = inject(request["fault"], request["folder"]) if request["fault"] else lambda: None
        try:
            code = main(request["arguments"])
        except SystemExit as stopped:
            code = stopped.code
        end()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Answers requests until there are no more."""
    for module in PRELOADED:
        import_module(module)
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(request)
        end = os.pidfd_open(pid)
        if not select.select([end], [], [], request.get("seconds"))[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(end)
        used = Path(request["folder"], "log.modules")
        for module in used.read_text().splitlines() if used.exists() else ():
            with suppress(ImportError):  # so that the next ones need not
                import_module(module)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()

"""The program of a worker process: calls what it is sent, until its driver ends.

It is run as a file and begins with the standard library alone, so that it ends with its driver
also while it imports. Requests come on standard input, answers go to standard output, as pickles.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import queue
import signal
import sys
import threading
import warnings
from multiprocessing import spawn
from typing import Any, BinaryIO

_SET_SIGNAL_OF_PARENTS_DEATH = 1  # prctl's PR_SET_PDEATHSIG


def main() -> None:
    """Answers requests; the first one says how the driver was started."""
    # Whatever prints goes to standard error; the pipes stay between driver and worker.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    os.dup2(sys.stdin.fileno(), 0)
    os.dup2(2, 1)
    _end_with_driver(int(sys.argv[1]))
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # which the driver gets, too, and answers
        spawn.prepare(pickle.loads(inbox.get()))
        # What the data set warns of, the driver has said.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"mmpareto\.training")
        while True:
            answer = _answer(inbox.get())
            answers.write(len(answer).to_bytes(8, "big") + answer)
            answers.flush()
    os._exit(130)  # the thread that reads would not let Python end


def _end_with_driver(driver: int) -> None:
    """Asks the system to kill this process when its driver dies, where the system does so."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
        if os.getppid() != driver:  # it has died before
            os._exit(1)


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[Any]) -> None:
    """Passes requests on; their end is the driver's."""
    while True:
        length = requests.read(8)
        if len(length) < 8:
            os._exit(1)
        inbox.put(requests.read(int.from_bytes(length, "big")))


def _answer(request: bytes) -> bytes:
    """The pickled result of a call, or the error that it raised."""
    try:
        call, arguments = pickle.loads(request)
        return pickle.dumps((call(*arguments), None))
    except Exception as error:
        try:
            answer = pickle.dumps((None, error))
            pickle.loads(answer)  # some errors cannot be made again
        except Exception:
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer


if __name__ == "__main__":
    main()

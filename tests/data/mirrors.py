"""A web server on this machine, with the faults that servers have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_server


@dataclass
class Mirror:
    """Address, files by name, and the (name, Range header) of every request.

    Of a file whose name is in `cut` a response ends after so many bytes, though it announces all;
    without `ranges` every response is the whole file.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def mirror(**settings: object) -> Iterator[Mirror]:
    """Serves until the block ends."""
    state = Mirror(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.removeprefix("/"), self.headers["Range"]
            state.requests.append((name, wanted))
            if name not in state.files:
                return self.send_error(404)
            content, status = state.files[name], 200
            if wanted and state.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.send_error(416)
                content, status = content[start:], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: state.cut.get(name)])
            return None

        def log_message(self, *details: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def dead_address() -> str:
    """Where nobody answers."""
    with create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/"

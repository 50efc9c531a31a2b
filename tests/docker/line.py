"""A TCP line to a registry: counts every byte, and breaks on demand."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """The address of the line, and its traffic.

    Attributes:
        address: "127.0.0.1:PORT", to use instead of the registry's.
        sent: bytes to the registry, including headers.
        received: bytes from the registry.
        breaks: numbers of bytes: the line breaks after the first number is sent, then after the second, …
        breaks_back: the same for received bytes.
    """

    address: str
    sent: int = 0
    received: int = 0
    breaks: list[int] = field(default_factory=list)
    breaks_back: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Reset the counters."""
        with self._lock:
            self.sent = self.received = 0

    def count_sent(self, size: int) -> bool:
        """Count bytes to the registry. Returns whether the line breaks now."""
        with self._lock:
            self.sent += size
            return _is_over(self.breaks, size)

    def count_received(self, size: int) -> bool:
        """Count bytes from the registry. Returns whether the line breaks now."""
        with self._lock:
            self.received += size
            return _is_over(self.breaks_back, size)


def _is_over(breaks: list[int], size: int) -> bool:
    if not breaks:
        return False
    breaks[0] -= size
    if breaks[0] > 0:
        return False
    breaks.pop(0)
    return True


@contextlib.contextmanager
def line_to(address: str) -> Iterator[Line]:
    """A line to the registry at `address`."""
    host, _, port = address.rpartition(":")
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = Line(f"127.0.0.1:{server.getsockname()[1]}")

        def serve() -> None:
            with contextlib.ExitStack() as connections:
                while True:
                    near, _ = server.accept()
                    connections.enter_context(near)
                    if stopping.is_set():
                        return
                    far = connections.enter_context(socket.create_connection((host, int(port))))
                    for source, target, count in (
                        (near, far, line.count_sent),
                        (far, near, line.count_received),
                    ):
                        threading.Thread(target=_pass_on, args=(source, target, count), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield line
        finally:
            stopping.set()
            with socket.create_connection(("127.0.0.1", int(line.address.rpartition(":")[2]))):
                thread.join()


def _pass_on(source: socket.socket, target: socket.socket, count: Callable[[int], bool]) -> None:
    try:
        while data := source.recv(1 << 18):
            broken = count(len(data))
            target.sendall(data)
            if broken:
                break
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

"""A TCP proxy that can lose a connection without a word: its ends stay open, and nothing comes any more."""

import selectors
import socket
import threading

from support.process import free_port


class Proxy:
    """Forwards 127.0.0.1:`port` to a server's port, from a thread of its own, until freeze() or close()."""

    def __init__(self, target: int):
        self.target = target
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._frozen: list[socket.socket] = []  # kept open
        self._wishes = threading.Semaphore(0)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def freeze(self):
        """All connections that are open now fall silent, both ways; new ones work."""
        self._wishes.release()

    def close(self):
        self._ending.set()
        self._thread.join()
        for one in (*self._peers, *self._frozen, self._listener):
            one.close()

    def _run(self):
        while not self._ending.is_set():
            if self._wishes.acquire(blocking=False):
                for one in self._peers:
                    self._selector.unregister(one)
                self._frozen += self._peers
                self._peers.clear()
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:
                    self._forward(key.fileobj)

    def _accept(self):
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.settimeout(5)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket):
        target = self._peers[source]
        try:
            data = source.recv(65536)
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (source, target):
                self._selector.unregister(one)
                del self._peers[one]
                one.close()

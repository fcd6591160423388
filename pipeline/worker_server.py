"""Forks Beam's worker processes from a process that has everything imported already.

Beam starts a worker as a new program, which imports Beam for several seconds, for each worker of
each pipeline. This server is forked before any thread or connection exists, waits on a socket, and
forks a ready worker for each request (`worker_client.py`), so a worker is up at once.
"""

import json
import os
import selectors
import shlex
import signal
import socket
import sys
from pathlib import Path

POLL_SECONDS = 0.05
KILLED = 128
"""Added to a signal's number to form the exit status of a worker it ended, as shells do."""


def start_worker_server(folder: str) -> str:
    """Fork the server; returns the command that Beam runs for each worker.

    Call it from a process without threads. The socket is made in `folder`, whose path is short:
    the name of a socket has at most about a hundred bytes.
    """
    path = os.path.join(folder, "workers")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    if os.fork() == 0:
        try:
            _serve(listener)
        finally:
            os._exit(1)
    listener.close()
    client = Path(__file__).with_name("worker_client.py")
    return f"exec {shlex.join([sys.executable, '-I', '-S', str(client), path])}"


def _serve(listener: socket.socket) -> None:
    parent = os.getppid()
    waiting: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while os.getppid() == parent:
            for _ in selector.select(POLL_SECONDS):
                connection, _address = listener.accept()
                settings = json.loads(_read_all(connection))
                number = os.fork()
                if number == 0:
                    listener.close()
                    connection.close()
                    _work(settings)
                waiting[number] = connection
            _answer_ended(waiting)
    for number in waiting:
        os.kill(number, signal.SIGKILL)


def _read_all(connection: socket.socket) -> bytes:
    data = bytearray()
    while chunk := connection.recv(65536):
        data += chunk
    return bytes(data)


def _answer_ended(waiting: dict[int, socket.socket]) -> None:
    """Tell the client of every worker that has ended how it ended."""
    while waiting:
        number, status = os.waitpid(-1, os.WNOHANG)
        if number == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        with waiting.pop(number) as connection:
            connection.sendall(str(code if code >= 0 else KILLED - code).encode())


def _work(settings: dict[str, str]) -> None:
    """Body of a worker; never returns."""
    status = 1
    try:
        os.environ.clear()
        os.environ.update(settings)
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main([])
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)

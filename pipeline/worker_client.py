"""Stands in for a worker process: asks the worker server for one, and ends as that one ends.

Beam starts this file as a program, with the worker's settings in the environment. It imports
nothing but the standard library, so it is up in milliseconds.
"""

import json
import os
import socket
import sys


def main() -> None:
    """Program entry; the argument is the path of the server's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(sys.argv[1])
        server.sendall(json.dumps(dict(os.environ)).encode())
        server.shutdown(socket.SHUT_WR)
        status = server.recv(16)
    # No answer means that the server is gone, and the worker with it.
    sys.exit(int(status) if status else 1)


if __name__ == "__main__":
    main()

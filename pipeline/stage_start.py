"""Begins to import Beam for the stages while the command still imports it for itself.

Light on purpose: it is imported before anything that imports Beam.
"""

import multiprocessing
import tempfile
from multiprocessing import forkserver

PRELOAD = "pipeline.stage_server"
MAX_SOCKET_FOLDER = 60
"""Characters of a folder's path beyond which sockets are kept in `/tmp`, which is not known yet."""


def start_importing() -> None:
    """Start the server of stage processes early; `start_stage_server` finds it running."""
    if len(tempfile.gettempdir()) > MAX_SOCKET_FOLDER:
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOAD])
    forkserver.ensure_running()

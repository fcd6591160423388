"""What the server of stage processes imports once, so that stages and workers start at once."""

import signal

from pipeline.logs import silence_import_notice

silence_import_notice()
# Ctrl-C reaches the whole terminal group; the driver is the one that ends a run.
signal.signal(signal.SIGINT, signal.SIG_IGN)

# The notice comes while Beam is imported, so these follow.
import apache_beam  # noqa: E402, F401
from apache_beam.runners.portability import local_job_service  # noqa: E402, F401
from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: E402, F401
from apache_beam.runners.worker import sdk_worker_main  # noqa: E402, F401

from pipeline import stages  # noqa: E402, F401

"""What the server of stage processes imports once, so that stages and workers start at once."""

import apache_beam  # noqa: F401
from apache_beam.runners.portability import local_job_service  # noqa: F401
from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: F401
from apache_beam.runners.worker import sdk_worker_main  # noqa: F401

from pipeline import stages  # noqa: F401

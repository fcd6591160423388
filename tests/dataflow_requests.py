"""Makes the Dataflow requests of pickled graphs, in an environment that has Beam's Google part.

`python dataflow_requests.py FOLDER`: each FOLDER/*.pickle is a graph and its options; what would be
sent is written beside it as JSON. Graphs are loaded as CPU workers load them: without the libraries
of models.
"""

import json
import pickle
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.dataflow import request_job
from pipeline.graphs import job_link


def refuse(*args: Any, **kwargs: Any) -> None:
    raise AssertionError(f"something asked the network: {args}")


def main(folder: Path) -> None:
    for name in ("torch", "vllm", "open_clip", "transformers"):
        sys.modules[name] = None  # type: ignore[assignment]
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse  # type: ignore[assignment]
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.dataflow.internal import apiclient

    for path in sorted(folder.glob("*.pickle")):
        job, options, build = pickle.loads(path.read_bytes())
        made = request_job(build, options)
        components = made.pipeline.components
        environments = []
        for environment in components.environments.values():
            payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
            hints = {name: value.decode() for name, value in environment.resource_hints.items()}
            environments.append({"image": payload.container_image, "hints": hints})
        written = {
            "stage": job.stage,
            "name": job.name,
            "models": job.models,
            "request": made.request,
            "transforms": sorted(each.unique_name for each in components.transforms.values()),
            "environments": environments,
            "staged": made.staged,
        }
        path.with_suffix(".json").write_text(json.dumps(written))
    started = apiclient.dataflow.Job(id="2026-1", location="some-region", project_id="some-project")
    link = job_link(SimpleNamespace(_job=started))
    assert link is not None, "a started job has no link"
    assert link.endswith("/jobs/some-region/2026-1?project=some-project")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

# syntax=docker/dockerfile:1
# Workers of all stages that ask no model: Weft, what it needs, Beam's worker; no torch.
#   docker build --platform linux/amd64 -f containers/cpu.Dockerfile -t weft-cpu .
ARG PYTHON=3.11
ARG BEAM=2.77.0

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam

# The image with compilers: one dependency has no wheel, and the kernels of transforms/ are C.
FROM python:${PYTHON}-bookworm AS build
WORKDIR /weft
COPY requirements/worker.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps --no-build-isolation \
    --requirement requirements/worker.txt
COPY pyproject.toml setup.py README.md LICENSE beam_runner.py ./
COPY schemas schemas
COPY transforms transforms
COPY recaptioner recaptioner
COPY pipeline pipeline
COPY trainer trainer
# A worker without the kernels would be many times slower, so here they must be there.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && pip check \
    && cd / \
    && python -c "from transforms import minhash_kernel as m, page_kernel as p, resize as r; assert m.AVAILABLE and p.AVAILABLE and r.AVAILABLE"

FROM python:${PYTHON}-slim-bookworm
# Beam's worker makes an environment that sees the system's packages, so Weft is one of those.
COPY --from=build /usr/local /usr/local
COPY --from=beam /opt/apache/beam /opt/apache/beam
# A part is handled on one core: small products are far slower when each of them starts threads.
ENV OPENBLAS_NUM_THREADS=1
ENTRYPOINT ["/opt/apache/beam/boot"]

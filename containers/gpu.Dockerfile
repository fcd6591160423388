# syntax=docker/dockerfile:1
# Workers that show items to models: all of the CPU image, and torch, open_clip, vLLM. CUDA comes in
# their wheels; the driver is installed on the machine by the service (`install-nvidia-driver`).
#   docker build --platform linux/amd64 -f containers/gpu.Dockerfile -t weft-gpu .
ARG PYTHON=3.11
ARG BEAM=2.77.0

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam

# The image with compilers: vLLM's kernels are compiled when they are first used.
FROM python:${PYTHON}-bookworm
WORKDIR /weft
COPY requirements/worker-gpu.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps --no-build-isolation \
    --requirement requirements/worker-gpu.txt
COPY pyproject.toml setup.py README.md LICENSE beam_runner.py ./
COPY schemas schemas
COPY transforms transforms
COPY recaptioner recaptioner
COPY pipeline pipeline
COPY trainer trainer
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && cd / \
    && python -c "from transforms import minhash_kernel as m, page_kernel as p, resize as r; assert m.AVAILABLE and p.AVAILABLE and r.AVAILABLE" \
    && rm -rf /weft
WORKDIR /
COPY --from=beam /opt/apache/beam /opt/apache/beam
# Where the service mounts the driver, as NVIDIA's own images name it.
ENV PATH=/usr/local/nvidia/bin:${PATH} \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    OPENBLAS_NUM_THREADS=1
ENTRYPOINT ["/opt/apache/beam/boot"]

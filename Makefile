# `make help` lists what there is. A bare machine needs git, make and Python 3.11 to 3.13; `make lint` npm too.
PYTHON ?= python3
BIN := .venv/bin
UV := $(PYTHON) scripts/bootstrap.py uv
DATA := $(or $(YIVIDEO_HOME),data)
SOURCES := yivideo_pipeline tests benchmarks scripts

.DEFAULT_GOAL := help
.PHONY: help bench-editor pictures install install-whisperx test test-whisperx lint demo dev cluster bench bench-load bench-orchestration bench-service \
	bench-gpu bench-setup bench-truth soak score gate gate-renew lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## set up .venv from the lock files
	@$(PYTHON) scripts/bootstrap.py install

install-whisperx: ## the same with WhisperX and torch (about 9 GB); YIVIDEO_WHISPERX=0 make install goes back
	@YIVIDEO_WHISPERX=1 $(PYTHON) scripts/bootstrap.py install

test: install ## run the tests, three files at a time, since many wait for Dagster (TEST_ARGS=tests/media)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

test-whisperx: ## run the tests that need WhisperX, in .tools/whisperx beside .venv (about 9 GB)
	@$(PYTHON) scripts/bootstrap.py whisperx
	@.tools/whisperx/bin/python -m pytest -m whisperx $(TEST_ARGS)

lint: install node_modules ## check style, types (also of the pages' scripts) and import layers
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ty check
	@node_modules/.bin/tsc --project .
	@$(BIN)/lint-imports

node_modules: package-lock.json
	@npm ci --no-audit --no-fund --loglevel=error
	@touch node_modules

demo: install ## make subtitles for data/samples and print a table of them
	@$(BIN)/yivideo process data/samples --output-dir "$(DATA)/demo"

dev: install ## start Dagster's UI, daemon and code location, and the service; Ctrl-C stops them
	@$(BIN)/yivideo up

cluster: install ## the same as `make dev`, with the models in replicas on Ray (docs/scaling.md)
	@$(BIN)/yivideo cluster up

# With Chinese letters in them: apt-get install fonts-noto-cjk.
pictures: install ## take the documentation's pictures and film of the pages again, by their browser tests
	@SCREENSHOTS=docs $(BIN)/python -m pytest tests/cli/up/test_ui.py tests/service/review/test_*_in_browser.py

bench: install ## measure against whisperx and faster-whisper (BENCH_ARGS='--runs 3 --minutes 11')
	@$(BIN)/python -m benchmarks.compare $(BENCH_ARGS)

bench-orchestration: install ## measure what grows with the library, with 1,000 to 100,000 registered videos
	@$(BIN)/python -m benchmarks.orchestration $(BENCH_ARGS)

bench-load: install ## load the service with 32 clients for two minutes (BENCH_ARGS='--clients 8 --seconds 30')
	@$(BIN)/python -m benchmarks.load $(BENCH_ARGS)

soak: install ## kill what `make dev` runs, one after the other, under 30 videos: each must end, once (BENCH_ARGS='--videos 12')
	@$(BIN)/python -m benchmarks.soak $(BENCH_ARGS)

bench-service: install ## 16 clips as runs with the service and without it, and by whisperx
	@$(BIN)/python -m benchmarks.service_runs $(BENCH_ARGS)

bench-truth: install ## what yivideo, faster-whisper and whisperx lose and invent in hard sounds (BENCH_ARGS='--every 3')
	@$(BIN)/python -m benchmarks.truth $(BENCH_ARGS)

# A machine without a network has .tools/gpu in place of .venv: scripts/gpu_parts.py unpacks it there.
bench-gpu: $(if $(wildcard .tools/gpu/bin/python),,install) ## measure on an NVIDIA GPU, on the CPU if there is none (docs/gpu.md)
	@$(or $(wildcard .tools/gpu/bin/python),$(BIN)/python) -m benchmarks.gpu $(BENCH_ARGS)

bench-setup: ## the whisperx program for `make bench`, in .tools/whisperx (about 9 GB)
	$(PYTHON) scripts/bootstrap.py whisperx
	ln -sf "$$(.tools/whisperx/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" \
		.tools/whisperx/bin/ffmpeg

bench-editor: install ## measure the review page with 1,000 cues: opening it, and typing
	@$(BIN)/python -m benchmarks.editor $(BENCH_ARGS)

score: install ## word error rate and word times on the corpus that YIVIDEO_SPEECH_CORPUS names
	@$(BIN)/python -m benchmarks.score $(SCORE_ARGS)

gate: install ## compare words, word times and style of the samples with stored baselines
	@$(BIN)/python -m benchmarks.gate

gate-renew: install ## write the figures of now as baselines
	@$(BIN)/python -m benchmarks.gate --renew

# Universal locks name no registry: the machine's own settings say where packages come from.
LOCK = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--custom-compile-command "make lock" $(LOCK_ARGS) pyproject.toml
# What deploy/Dockerfile installs.
IMAGE = --extra postgres --extra s3 --extra gcs --extra azure --extra cluster

lock: ## resolve requirements/*.txt again; LOCK_ARGS=--upgrade takes newer versions
	$(LOCK) --extra weights --output-file requirements/runtime.txt
	$(LOCK) --extra weights $(IMAGE) --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt
	$(LOCK) --extra weights $(IMAGE) --constraints requirements/runtime.txt --output-file requirements/image-cpu.txt
	$(LOCK) --extra weights $(IMAGE) --extra cuda --constraints requirements/image-cpu.txt \
		--output-file requirements/image-cuda.txt
	$(LOCK) --extra weights $(IMAGE) --extra whisperx --group dev --group bench \
		--output-file requirements/whisperx.txt
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes --quiet \
		--custom-compile-command "make lock" $(LOCK_ARGS) --group pyproject.toml:uv --output-file requirements/uv.txt

clean: ## remove what can be made again: environments, tools, caches (never data/)
	rm -rf .venv .tools node_modules .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# The two commands that a newcomer needs: `make demo` and `make test`. Both set up what they need.
BUILD := build/train
JOBS := $(shell nproc)

.PHONY: help demo test setup build bench fuzz format check install clean

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

setup: ## install the missing Debian packages (says which; needs root or sudo)
	@scripts/setup.sh

build: setup ## build everything: library, tool, training, tests, benchmarks
	@cmake --preset train
	@cmake --build --preset train --parallel $(JOBS)

demo: setup ## train, evaluate, verify, stream and report an S4D classifier
	@scripts/demo.sh

test: build check ## build everything and run every test
	@ctest --preset train --parallel $(JOBS)
	@scripts/test_install.sh $(BUILD)
	@scripts/test_docs.py $(BUILD) README.md docs/how-to/*.md docs/tutorials/*.md

check: ## check layers, sizes and formatting
	@scripts/check_layers.py
	@scripts/check_sizes.py
	@scripts/format.sh --check

bench: build ## run every benchmark, each after checking its result
	@scripts/bench.sh

fuzz: setup ## fuzz every parser for a minute each
	@scripts/fuzz.sh 60

format: ## format all sources
	@scripts/format.sh

install: build ## install under PREFIX (default /usr/local)
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean: ## remove what was built
	@rm -rf build

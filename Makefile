# Sparklane. `make serve` and `make test` need nothing but Node ≥ 20.19 and npm; they install what is missing.
PORT ?= 8080
HOST ?= 127.0.0.1
MODEL ?= smollm2-135m-instruct
BACKEND ?= cpu
ARGS ?=
SEED ?=
MINUTES ?=
REQUESTS ?= 5000

SOURCES := sparklane.ts $(shell find models kernels server loadtest -name '*.ts' -o -name '*.tsx' 2>/dev/null)
SPARKLANE = node dist/sparklane.js

# What a target does, before it does it: its own words of `make help`.
say = @awk -F ':.*\#\# ' '/^$@:.*\#\# /{printf "== make %s: %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.DEFAULT_GOAL := help
.PHONY: help setup build serve chat test clients test-clients check law sim faults soak bench quality peer bench-peer validate loadtest cluster package bless native clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: node_modules/.installed ## install the packages

node_modules/.installed: package.json package-lock.json
	@echo '== installing the packages of package-lock.json, without their scripts'
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

build: dist/.built ## compile to dist/

dist/.built: node_modules/.installed tsconfig.json tsconfig.build.json server/ui/page/tsconfig.json $(SOURCES)
	@echo '== compiling to dist/'
	npx tsc -p tsconfig.build.json
	npx tsc -p server/ui/page/tsconfig.json
	@touch $@

serve: dist/.built ## serve MODEL on HOST:PORT with BACKEND (ARGS="--precision=fp32 …"; SIM_MODEL for simulated chips)
	$(say)
	$(SPARKLANE) serve --host $(HOST) --port $(PORT) --model $(MODEL) --backend $(BACKEND) $(if $(SIM_MODEL),--sim-model $(SIM_MODEL)) $(ARGS)

chat: dist/.built ## talk to a model in the terminal (MODEL, ARGS)
	$(say)
	$(SPARKLANE) chat --model $(MODEL) $(ARGS)

test: node_modules/.installed ## all tests
	$(say)
	npx tsc --noEmit -p tsconfig.json
	npx tsc --noEmit -p server/ui/page/tsconfig.json
	npx biome check .
	npx vitest run
	SPARKLANE_LISTENER=node npx vitest run test/e2e/http.test.ts test/e2e/responses.test.ts test/e2e/lanes.test.ts test/e2e/native.test.ts

clients: test/clients/node_modules/.installed test/clients/node_modules/.python/.installed ## install the real Codex CLI, Claude Code, other agents and SDKs for test-clients (1.8 GB)

# Not `npm ci`: npm 11 refuses the lock wherever a registry lacks an agent's binary for some other platform.
test/clients/node_modules/.installed: test/clients/package.json test/clients/package-lock.json
	cd test/clients && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# PyPI's, where there is a Python 3 with venv: what this machine cannot have is skipped, and says so.
test/clients/node_modules/.python/.installed: test/clients/requirements.txt test/clients/node_modules/.installed
	@python3 -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $< && touch $@ || \
	  echo 'no Python clients: their tests will skip'

test-clients: node_modules/.installed clients ## the real clients against this server
	$(say)
	npx vitest run --config test/clients/vitest-setup.ts --retry=1

check: node_modules/.installed ## the quick ones, before every commit: types, lint, unit, property, tidy, 20 seeds
	$(say)
	npx tsc --noEmit -p tsconfig.json
	npx tsc --noEmit -p server/ui/page/tsconfig.json
	npx biome check .
	npx knip
	SEEDS=20 npx vitest run test/unit test/property test/sim test/tidy.test.ts test/docs.test.ts

law: node_modules/.installed ## no answer depends on the others: the long form (SEED, REQUESTS=5000)
	$(say)
	REQUESTS=$(REQUESTS) SEED=$(SEED) npx vitest run test/law --disable-console-intercept

sim: node_modules/.installed ## one whole run in virtual time: make sim SEED=17
	$(say)
	SEED=$(SEED) npx vitest run test/sim --disable-console-intercept

faults: node_modules/.installed ## every fault beside streams that are compared, then a mix (SEED, MINUTES; docs/faults.md)
	$(say)
	FAULTS=whole SEED=$(SEED) MINUTES=$(MINUTES) npx vitest run test/faults --disable-console-intercept

soak: node_modules/.installed ## what one server holds after each round of load and faults (SEED, MINUTES=2; docs/faults.md)
	$(say)
	FAULTS=soak SEED=$(SEED) MINUTES=$(MINUTES) npx vitest run test/faults/soak.test.ts --disable-console-intercept

bench: dist/.built ## measure: decode, prefill, server share, time to first token (table and JSON)
	$(say)
	npx tsx test/bench/main.ts

quality: node_modules/.installed ## measure each precision of MODEL against its fp32: divergence, tokens, speed (PRECISIONS=int8,w8a8 TOKENS=8192 WINDOW=512)
	$(say)
	npx tsx test/quality/main.ts --model $(MODEL) $(if $(PRECISIONS),--precisions $(PRECISIONS)) $(if $(TOKENS),--tokens $(TOKENS)) $(if $(WINDOW),--window $(WINDOW))

peer: test/peer/node_modules/.installed ## install llama.cpp for bench-peer: node-llama-cpp with its prebuilt binaries (700 MB)

# Not `npm ci`: npm 11 refuses the lock wherever a registry lacks a binary of node-llama-cpp for some other platform.
test/peer/node_modules/.installed: test/peer/package.json test/peer/package-lock.json
	cd test/peer && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

bench-peer: dist/.built peer ## measure against llama.cpp, side by side; fails if a committed ratio is lost (ARGS="--only nano/8bit", "--bless")
	$(say)
	npx tsx test/peer/main.ts $(ARGS)

validate: dist/.built ## every published figure beside what the simulated devices say
	$(say)
	$(SPARKLANE) validate

loadtest: dist/.built ## replay recorded agent sessions against a server started for it; writes a report
	$(say)
	npx tsx test/bench/loadtest-local.ts $(ARGS)

bless: node_modules/.installed ## rewrite golden files after an intended change; read the diff
	$(say)
	npx vitest run --update

cluster: dist/.built ## Redis or Valkey, Envoy and three nodes on loopback, faults, clients that check every token (SEEDS=1,2,3, ROUNDS, DEVICE, ONLY; docs/cluster.md)
	$(say)
	SEEDS=$(SEEDS) ROUNDS=$(ROUNDS) DEVICE=$(DEVICE) ONLY='$(ONLY)' npx tsx test/cluster/main.ts

package: dist/.built ## the npm package as a tarball, installed into an empty folder and run (examples/README.md)
	$(say)
	npm pack --ignore-scripts --loglevel=error
	PACKAGE=whole npx vitest run test/e2e/package.test.ts

native: ## build our own operators anew from kernels/native (needs zig: ZIG="python3 -m ziglang"); the result is committed
	$(say)
	kernels/native/build.sh

clean: ## remove what was built and installed
	$(say)
	rm -rf dist node_modules .test-program-*

# The targets of this repository; `make help` lists them. They need Go, make, git and gcc, and build the other tools
# themselves, outside the tree. `make ci` is what a change must pass.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# What can be set on the command line.
FUZZTIME    ?= 10s
BENCH       ?= .
BENCHTIME   ?= 1s
BENCHCOUNT  ?= 1
RACECOUNT   ?= 5
TESTTIMEOUT ?= 25m
BANK_DIR    ?= .cache/bank
ROUNDS      ?= 20
JEPSENTIME  ?= 210s

CLUSTER_STORE ?=
FIGHT       ?= 60s
EVENTS      ?= 10000000
CHAOS       ?= 1m
SEED        ?= 0
VULNDB      ?= https://vuln.go.dev
TRANSFERS   ?= 1000

# Every module of the tree; tools and those below it are for building what others need.
MODULES      := $(shell find . -name go.mod -not -path '*/testdata/*' -not -path '*/.*/*' -exec dirname {} \; | sort)
CODE_MODULES := $(filter-out ./tools ./tools/%,$(MODULES))

# Builds read go.mod and never edit it, and do not ask git about a tree that may belong to another user.
export GOFLAGS := $(filter-out -mod=% -buildvcs=%,$(shell go env GOFLAGS)) -mod=readonly -buildvcs=false
export GOWORK  := off

# The tools live in a cache that is named by their versions and by the Go that built them.
TOOLS_ID  := $(shell { cat tools/go.mod tools/go.sum; go env GOVERSION; } | git hash-object --stdin | cut -c1-16)
TOOLS_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ego-tools/$(TOOLS_ID)
export PATH := $(abspath $(TOOLS_DIR)):$(PATH)

# The server that the tests of the MongoDB store run on has a module, and so a cache, of its own.
FERRETDB_ID        := $(shell { cat tools/ferretdb/*; go env GOVERSION; } | git hash-object --stdin | cut -c1-16)
export EGO_FERRETDB ?= $(abspath $(TOOLS_DIR)/..)/ferretdb-$(FERRETDB_ID)/ferretdb

BUF           := $(TOOLS_DIR)/buf
BENCHSTAT     := $(TOOLS_DIR)/benchstat
GOLANGCI_LINT := $(TOOLS_DIR)/golangci-lint
GOVULNCHECK   := $(TOOLS_DIR)/govulncheck
PROTOC_GEN_GO := $(TOOLS_DIR)/protoc-gen-go

# $(call in-modules,modules,command) runs a command in each module and fails if it failed in one.
in-modules = status=0; for module in $(1); do (cd "$$module" && $(2)) || status=1; done; exit $$status

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: fmt
fmt: $(GOLANGCI_LINT) $(BUF) ## Format Go and protobuf files
	@$(call in-modules,$(CODE_MODULES),golangci-lint fmt --config "$(CURDIR)/.golangci.yml" ./...)
	@buf format --write

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check all modules with golangci-lint
	@$(call in-modules,$(CODE_MODULES),golangci-lint run --config "$(CURDIR)/.golangci.yml" ./...)

.PHONY: test
test: services ferretdb ## Test all modules with the race detector
	@$(call in-modules,$(CODE_MODULES),go test -race -timeout $(TESTTIMEOUT) ./...)

.PHONY: generate
generate: $(BUF) $(PROTOC_GEN_GO) ## Generate Go from the protobuf files
	@buf generate

.PHONY: golden
golden: ## Record golden files of events that have none yet
	@$(call in-modules,$(CODE_MODULES),EGO_GOLDEN=record go test -count=1 -run Golden ./...)

.PHONY: tidy
tidy: ## Tidy go.mod and go.sum of all modules
	@$(call in-modules,$(MODULES),go mod tidy)

.PHONY: verify
verify: $(BUF) $(PROTOC_GEN_GO) ## Check formatting, go.mod, protobuf files and what is generated from them
	@hack/verify $(MODULES)

##@ Deeper

.PHONY: race
race: services ferretdb ## Test RACECOUNT times in random order, to find races and flaky tests
	@$(call in-modules,$(CODE_MODULES),go test -race -shuffle=on -count=$(RACECOUNT) -timeout 30m ./...)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@hack/fuzz $(FUZZTIME) $(CODE_MODULES)

.PHONY: bench
bench: services ferretdb ## Run the benchmarks named by BENCH, BENCHCOUNT times for BENCHTIME
	@hack/bench '$(BENCH)' $(BENCHTIME) $(BENCHCOUNT) $(CODE_MODULES)

.PHONY: benchstat
benchstat: $(BENCHSTAT) ## Compare the benchmarks saved in OLD and NEW
	@benchstat "$(OLD)" "$(NEW)"

.PHONY: ratios
ratios: ## Measure ego beside the bare parts it is made of, and print the ratios as a table
	@cd benchmark && go run ./cmd/ratios

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities in the database VULNDB; `proxy`: its copy at the Go module proxy
	@db="$(VULNDB)"; if [ "$$db" = proxy ]; then \
		db="file://$$(cd / && GOFLAGS= go mod download -json golang.org/x/vulndb@latest | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/data/osv"; fi; \
	$(call in-modules,$(CODE_MODULES),govulncheck -db "$$db" ./...)

.PHONY: demo
demo: ## Run the bank example in BANK_DIR
	@mkdir -p "$(BANK_DIR)"
	go run ./examples/bank -dir "$(BANK_DIR)"

.PHONY: crash
crash: ferretdb ## Kill the bank example ROUNDS times, on SQLite and on FerretDB, and check that it lost nothing
	go run ./examples/bank/crash -rounds $(ROUNDS)
	go run ./examples/bank/crash -rounds $(ROUNDS) -mongo -accounts 24 -transfers 100 -longest 800ms

.PHONY: fight
fight: services ## Let two PostgreSQL stores fight for the same entities for FIGHT
	EGO_POSTGRES_FIGHT=$(FIGHT) go test -race -count=1 -run '^TestTwoStores$$' -v ./persistence/postgres

.PHONY: journal
journal: services ## Measure the PostgreSQL store with a journal of EVENTS beside a small one
	EGO_POSTGRES_EVENTS=$(EVENTS) go test -run '^$$' -bench Journal -benchtime $(BENCHTIME) -count $(BENCHCOUNT) -timeout 2h ./persistence/postgres

.PHONY: chaos
chaos: services ## Treat processes that share projections badly for CHAOS, with the random choices of SEED
	go test -count=1 -v -timeout 30m -run TestChaos ./internal/chaos -args -chaos.for=$(CHAOS) -chaos.seed=$(SEED)

.PHONY: chaos-publish
chaos-publish: ## Kill brokers and the processes that publish to them for CHAOS, with the random choices of SEED
	go test -count=1 -v -timeout 30m -run TestChaos ./internal/publishchaos -args -chaos.for=$(CHAOS) -chaos.seed=$(SEED)

.PHONY: cluster
cluster: ## Run three nodes of the example cluster on a PostgreSQL of their own, or on CLUSTER_STORE: a SQLite file or a postgres:// URL
	@hack/cluster .cache/cluster "$(CLUSTER_STORE)"

.PHONY: jepsen
jepsen: services ## Let random faults happen to a cluster of processes under load for JEPSENTIME and check its histories
	go test -v -count=1 -timeout 20m -run 'TestNemesis|TestSplitBrain' ./internal/clustertest -nemesis.time=$(JEPSENTIME)

.PHONY: faults
faults: services ## Take the database of a cluster away for 30 seconds, two of five nodes, and nodes that use TLS
	go test -v -count=1 -timeout 20m -run 'TestDatabaseOutage|TestFiveNodes|TestTLSIsPatient' ./internal/clustertest -faults.long

.PHONY: crash-saga
crash-saga: services ## Kill the transfer example ROUNDS times, on SQLite and on PostgreSQL, and check that every saga ended well
	go run ./examples/transfer/crash -rounds $(ROUNDS) -transfers $(TRANSFERS)
	go run ./examples/transfer/crash -rounds $(ROUNDS) -transfers $(TRANSFERS) -postgres

.PHONY: ci
ci: ## Everything that CI checks: lint, verify, test, a short crash, each benchmark once
	@hack/steps tools lint verify test 'crash ROUNDS=3' 'crash-saga ROUNDS=2 TRANSFERS=150' 'bench BENCHTIME=1x BENCHCOUNT=1'

##@ What the others need

.PHONY: tools
tools: $(BUF) $(BENCHSTAT) $(GOLANGCI_LINT) $(GOVULNCHECK) $(PROTOC_GEN_GO) ## Build the pinned tools, once

.PHONY: services
services: ## Install PostgreSQL, pgbouncer, kcat and Chromium for the tests, when missing and apt can
	@hack/services

.PHONY: ferretdb
ferretdb: $(EGO_FERRETDB) ## Build FerretDB for the tests, once; it takes some minutes

# Not from its command: that wants files in its own directory, which the module cache does not let us write.
$(EGO_FERRETDB):
	@echo "building FerretDB into $(@D)" >&2
	@mkdir -p "$(@D)" && cd tools/ferretdb && go build -tags ferretdb_no_postgresql -o "$@.$$$$" . && mv "$@.$$$$" "$@"

$(BUF):           package := github.com/bufbuild/buf/cmd/buf
$(BENCHSTAT):     package := golang.org/x/perf/cmd/benchstat
$(GOLANGCI_LINT): package := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(GOVULNCHECK):   package := golang.org/x/vuln/cmd/govulncheck
$(PROTOC_GEN_GO): package := google.golang.org/protobuf/cmd/protoc-gen-go

# Built beside its place and moved there, so that an interrupted build leaves nothing that looks like a tool.
$(TOOLS_DIR)/%:
	@echo "building $* into $(TOOLS_DIR)" >&2
	@mkdir -p "$(TOOLS_DIR)" && cd tools && go build -o "$(abspath $(TOOLS_DIR))/.$*.$$$$" $(package) && \
		mv "$(abspath $(TOOLS_DIR))/.$*.$$$$" "$(abspath $@)"

# `make` alone lists what can be done.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help build run servers test check fuzz chaos live-do live-gce bench vuln clean

# What may be set: the version of a release; the arguments of `make run`; how long
# each fuzz target and each Go benchmark runs.
VERSION ?=
ARGS ?=
FUZZTIME ?= 10s
BENCHTIME ?= 1s

# How many runs `make chaos` plays. For the trials on a real cloud: the file with the
# token of DigitalOcean; the key of a service account, and an empty group of Google's
# with what one of its machines costs an hour.
RUNS ?= 10000
TOKEN_FILE ?=
CREDENTIALS_FILE ?=
PROJECT ?=
ZONE ?=
GROUP ?=
PRICE ?= 0

# What is shipped needs no C library. Build and checks compile alike, so that they
# share one build cache; the race detector needs cgo, and with it a C compiler.
pure := export CGO_ENABLED=0 GOFLAGS="-trimpath $${GOFLAGS:-}"
patient := -timeout 30m # real servers start slowly where others compile
race := $(if $(shell command -v $${CC:-cc}),-race)
ldflags := -s -w$(if $(VERSION), -X main.version=$(VERSION))
stale := list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' .
lint := tool -modfile=$(CURDIR)/deploy/tools/lint/go.mod
progress := $(CURDIR)/deploy/tools/progress.sh

help: ## show this help
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/flyball and bin/app
	$(pure)
	begun=$$SECONDS
	todo=$$({ go $(stale) && go -C app $(stale); } 2> >($(progress) '?' >&2) | wc -l)
	if [ "$$todo" -gt 300 ]; then
		echo "compiling $$todo packages: the first build takes 2 to 6 minutes, the next ones seconds"
	fi
	{
		go build -v -ldflags '$(ldflags)' -o bin/flyball . &&
			go -C app build -v -ldflags '$(ldflags)' -o ../bin/app .
	} 2>&1 | $(progress) "$$todo"
	[ "$$todo" -eq 0 ] || echo "built bin/flyball and bin/app in $$((SECONDS - begun)) s"

run: build ## build, then show the whole loop on this machine (ARGS='--once --report FILE')
	exec bin/flyball demo $(ARGS)

servers: ## start real servers on loopback until Ctrl-C (ARGS='postgres cassandra', or haproxy, podman, elasticsearch)
	go -C deploy/testservers build -o $(CURDIR)/bin/servers ./run
	exec bin/servers $(ARGS)

# The root's tests start real programs and measure time: they run by themselves, after
# the packages that they are made of.
test: ## run the tests of all modules, with the race detector where there is a C compiler
	[ -n "$(race)" ] || echo "no C compiler: testing without the race detector"
	failed=0
	go -C deploy/testservers test $(race) ./... || failed=1
	go -C app test $(race) ./... || failed=1
	go test $(race) $(patient) $$(go list ./... | grep -vx flyball) || failed=1
	go test $(race) $(patient) . || failed=1
	go -C deploy/tools/bench test ./... || failed=1
	exit $$failed

# Not of the collector that is measured against, in deploy/tools/bench/otelcol: to
# compile what it imports takes minutes, and `make bench` does.
check: ## formatting, vet, staticcheck, unreached code and go.mod, in all modules
	$(pure)
	wrong=$$(go $(lint) gofumpt -l .)
	[ -z "$$wrong" ] || { printf 'not formatted by gofumpt:\n%s\n' "$$wrong"; exit 1; }
	for module in app . deploy/testservers deploy/tools/bench; do
		echo "checking $$module"
		go -C $$module vet ./...
		go -C $$module $(lint) staticcheck ./...
	done
	for module in app .; do
		go -C $$module $(lint) deadcode -test ./... | (! grep -v '^deploy/testservers/') # a module of its own
	done
	for module in app . deploy/testservers; do
		go -C $$module mod tidy -diff
		# a module in this tree has no checksum to be verified
		wrong=$$(go -C $$module mod verify 2>&1) || (! grep -v '^flyball/deploy/testservers ' <<<"$$wrong")
	done

fuzz: ## fuzz every parser for a while (FUZZTIME=10s each)
	for module in app deploy/testservers .; do
		grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' $$module | sed 's|:func | |' |
			while read -r file name; do
				case $$module:$$file in .:./app/* | .:./deploy/testservers/*) continue ;; esac
				echo "$${file%/*} $$name"
				go -C "$${file%/*}" test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) .
			done
	done

chaos: ## run pools through storms of failures and kill -9 in simulated time (RUNS=10000), then end 1,000 members under load
	go test -count 1 -timeout 4h ./scaler/pool/chaos -chaos.runs $(RUNS) -v
	FLYBALL_SCALE_INS=1000 go test -count 1 -timeout 2h -run TestNoRequestFailsWhileMembersOfACloudAreEnded -v .

# Both make at most 3 of the smallest machines, cost at most 1 USD, end what they made,
# and write a report. The same runs in the tests against the emulators.
live-do: ## try pools on your account at DigitalOcean (TOKEN_FILE=...; ARGS='-region fra1')
	go run ./deploy/tools/live -cloud digitalocean -token-file '$(TOKEN_FILE)' $(ARGS)

live-gce: ## try pools on an empty group of yours at Google (PROJECT= ZONE= GROUP= PRICE= CREDENTIALS_FILE=)
	go run ./deploy/tools/live -cloud gce -project '$(PROJECT)' -zone '$(ZONE)' -group '$(GROUP)' \
		-price '$(PRICE)' -credentials-file '$(CREDENTIALS_FILE)' $(ARGS)

# The peers are modules of their own; the collector's is older than ours and shares
# no version with it.
bench: build ## Go benchmarks, then beside the Prometheus server and an OpenTelemetry collector (9 minutes; the first time their builds besides)
	go test -run '^$$' -bench . -benchtime 10x . # these wait for the once-a-second beat
	packages=$$(grep -rl --include='*_test.go' '^func Benchmark' */ | grep -v '^app/' | xargs -r -n 1 dirname | sort -u)
	[ -z "$$packages" ] || go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $$(printf './%s ' $$packages)
	$(pure)
	go -C deploy/tools/bench build -v -tags netgo,remove_all_sd -o $(CURDIR)/bin/prometheus \
		-ldflags '-s -w -X github.com/prometheus/common/version.Version=3.14.0' \
		github.com/prometheus/prometheus/cmd/prometheus 2>&1 | $(progress) '?'
	go -C deploy/tools/bench/otelcol build -v -tags netgo -ldflags '-s -w' -o $(CURDIR)/bin/otelcol . 2>&1 | $(progress) '?'
	go -C deploy/tools/bench build -o $(CURDIR)/bin/bench .
	exec bin/bench -flyball $(CURDIR)/bin/flyball -prometheus $(CURDIR)/bin/prometheus -otelcol $(CURDIR)/bin/otelcol

vuln: ## look for known vulnerabilities (asks vuln.go.dev)
	for module in app .; do go -C $$module $(lint) govulncheck ./...; done

clean: ## remove what was built
	rm -rf bin

SHELL := /bin/bash
GO    ?= go
BIN   := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@latest

# The real programs that the tests talk to: command and the Debian package that brings it.
PEERS := redis-server:redis-server sipp:sip-tester baresip:baresip-core linphonec:linphone-cli \
         tftp:tftp-hpa atftp:atftp curl:curl gcc:gcc patch:patch \
         aiosmtpd:python3-aiosmtpd svmap:sipvicious

.PHONY: help
help: ## Show this help.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/offhook, bin/bootstorm and bin/sipbench, static.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/ ./cmd/...

.PHONY: run
run: build ## Build and serve, with everything kept under ./data.
	$(BIN)/offhook serve --data data

.PHONY: test
test: peers check ## Everything that CI runs: style, generated files, and every test against real peers.
	$(GO) test -race -shuffle=on -timeout 14m ./...
	@echo "every benchmark, once:"; out=$$($(GO) test -run '^$$' -bench . -benchtime 1x ./... 2>&1) || { echo "$$out" >&2; exit 1; }
	@echo; echo "Identification over real requests, and the requirement rows with their tests:"
	@$(GO) test -count=1 -v -run '^(TestCases|TestRequirementRows|TestConformance)$$' ./provisioning/family ./admin ./sip | grep -vE '^(=== |--- |PASS|ok)'

.PHONY: peers
peers: ## Install the programs that the tests talk to (Debian), or name the packages that are missing.
	@missing=; for p in $(PEERS); do command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing libc6-dev >/dev/null; \
	  else echo "missing Debian packages; install them: apt-get install$$missing" >&2; exit 1; fi; \
	fi; \
	for p in $(PEERS); do command -v $${p%%:*} >/dev/null || { echo "missing Debian package: $${p##*:}" >&2; exit 1; }; done

.PHONY: check
check: ## Vet, staticcheck, gofmt and go.mod, without running tests.
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: golden
golden: ## Write the golden files anew; review them in the diff.
	$(GO) test ./templates -update

.PHONY: bench
bench: PEERS := kamailio:kamailio nginx:nginx-light redis-server:redis-server
bench: export PATH := $(PATH):/usr/sbin
bench: peers build ## Print the benchmarks, then the comparison with Kamailio, nginx and a bare echo: four minutes.
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(BIN)/sipbench

.PHONY: fuzz
fuzz: ## Run every fuzz target for 30 seconds (FUZZTIME=10m for longer).
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-30s} $$pkg; \
	  done; done

.PHONY: storm
storm: ## Boot 1,000 simulated phones of every maker at once against a server of its own.
	$(GO) test -count=1 -v -run '^TestStorm$$' ./cmd/offhook

.PHONY: soak
soak: ## Keep a server busy for half an hour (SOAK=8h for longer) and see whether it grows.
	$(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./cmd/offhook -soak $${SOAK:-30m}

.PHONY: vuln
vuln: ## Look for known vulnerabilities in the dependencies; needs the vulnerability database.
	$(GO) run $(GOVULNCHECK) ./...

# Everything that is done with this repository starts here: make help.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BIN     ?= bin/upall
PKG     ?= ./...

# How long one package's tests, a benchmark and a fuzz target may run.
TEST_TIMEOUT  ?= 45m
BENCH_TIMEOUT ?= 30m
BENCH_TIME    ?= 1s
FUZZ_TIME     ?= 10s

# Whole projects, which need the machine for themselves: tested after the others.
E2E := upall/internal/e2e

LINT_VERSION := v2.11.4
LINT         := build/tools/golangci-lint-$(LINT_VERSION)

# The shim is C and the race detector needs cgo.
export CGO_ENABLED = 1

# The binary becomes the entrypoint of other people's images: it may need
# nothing of theirs, so glibc and libseccomp are linked in, and Go's own
# resolver and user lookup stand in for those of glibc, which load libraries.
TAGS    := netgo,osusergo
LDFLAGS := -s -w -X main.version=$(VERSION) -linkmode external -extldflags "-static"

.NOTPARALLEL: # deps come before build
.PHONY: help build deps test-deps demo test test-short lint bench fuzz cover clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the static binary bin/upall
	go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/upall

deps: ## install what building and the demo need (as root, on Debian; else say what is missing)
	@hack/install-deps

test-deps: ## install what the tests need besides
	@hack/install-deps --test

demo: deps build ## build, and run examples/quickstart to its end
	cd examples/quickstart && $(abspath $(BIN)) up --no-tui --exit-code-from check

test: ## vet and test; UPALL_TEST_REQUIRE=all turns skips into failures
	go vet $(PKG)
	go list $(PKG) | grep -vx $(E2E) | xargs -r go test -race -timeout $(TEST_TIMEOUT)
	go list $(PKG) | grep -x $(E2E) | xargs -r go test -race -timeout $(TEST_TIMEOUT)

test-short: ## only the tests that are quick, without the race detector
	go test -short -timeout $(TEST_TIMEOUT) $(PKG)

lint: $(LINT) ## check the style, and that go.mod is tidy
	$(LINT) run $(PKG)
	go mod tidy -diff

# Built from source at a pinned version, apart from our own requirements.
$(LINT):
	@mkdir -p $(@D)/new
	GOBIN=$(abspath $(@D))/new CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(@D)/new/golangci-lint $@

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCH_TIME) -timeout $(BENCH_TIMEOUT) $(PKG)

fuzz: ## run each fuzz target for FUZZ_TIME
	hack/fuzz $(FUZZ_TIME)

cover: ## test, and show the covered share of each function
	@mkdir -p build
	go test -timeout $(TEST_TIMEOUT) -coverpkg=./... -coverprofile=build/cover.out $(PKG)
	go tool cover -func=build/cover.out

clean: ## remove what was built
	rm -rf bin build

# The targets that people and CI use; docs/architecture.md says what lies where.

SHELL := bash
FUZZTIME ?= 20s
# Tests whose names begin with TestModels need ../shared beside the checkout.
MODELS := ^TestModels
# Tests that hold a limit of time or memory, or are long and run on one goroutine.
RACE_SKIP := $(MODELS)|^TestCheckIsQuick$$|^TestLongLines$$|^TestLongWordMemory$$|^TestEveryChangedBitIsRefused$$
# Kernels of make mutants: all, or families or entries with commas between.
MUTANTS ?= all
# What make latency-tables measures: models in ../shared by name, with colons between.
LATENCY_MODELS ?= tiny-sst2:minilm-sst2:all-MiniLM-L6-v2:gpt2-wikitext:transformer-lm-wikitext
# What make bench measures: MiniLM where it lies beside the checkout.
BENCH_MODEL ?= $(firstword $(wildcard ../shared/models/all-MiniLM-L6-v2) testdata/tiny-sst2)

.PHONY: help build nvrtc cuda cuda-test gpu-check gpu-bench run test test-models race mutants check generate bench bench-peers prune-bench latency-tables fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## bin/etc, static
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/etc ./cmd/etc

nvrtc: ## bin/etc-nvrtc and NVRTC's library beside it: what compiles GPU kernels (no GPU needed)
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/etc-nvrtc ./cmd/etc-nvrtc
	cmd/etc-nvrtc/install.sh bin/nvrtc

cuda: ## bin/etc-cuda, bin/etc with the GPU executor (linux/amd64; needs a C compiler, no card)
	@mkdir -p bin
	executor/cuda/cgo.sh go build -tags cuda -trimpath -ldflags '-s -w -buildid=' -o bin/etc-cuda ./cmd/etc

cuda-test: build cuda ## the GPU executor on a machine without a card: vet, tests against a driver made of C, exit 6
	executor/cuda/cgo.sh go vet -tags cuda ./executor/cuda/...
	executor/cuda/cgo.sh go test -tags cuda ./executor/cuda/...
	bin/etc-cuda version
	@mkdir -p out/cuda-test
	bin/etc compile testdata/tiny-sst2 -o out/cuda-test/plan.etp --target sm_80 --source-only --force --quiet
	@bin/etc-cuda run out/cuda-test/plan.etp --device cuda < /dev/null; code=$$?; \
	  if [ -e /dev/nvidiactl ]; then echo 'a card is here: make gpu-check'; \
	  elif [ $$code -ne 6 ]; then echo "etc-cuda run --device cuda: exit $$code without a driver, want 6"; exit 1; fi

gpu-check: build nvrtc cuda ## every kernel and whole models on a card; without one, the folder to carry to it
	executor/cuda/pack.sh
	@if [ -e /dev/nvidiactl ]; then out/gpu/check.sh; \
	  else echo 'no card here: copy out/gpu to a machine with one and run ./check.sh there'; fi

gpu-bench: build nvrtc cuda ## etc beside PyTorch on a card; without one, the folder to carry to it
	executor/cuda/bench/pack.sh
	@if [ -e /dev/nvidiactl ]; then out/gpu-bench/bench.sh; \
	  else echo 'no card here: copy out/gpu-bench to a machine with one and run ./bench.sh there'; fi

run: build ## prune, compile and run a real model on real sentences
	@rm -rf out/run && mkdir -p out/run
	bin/etc prune testdata/tiny-sst2 -o out/run/pruned --sparsity 0.3 --eval testdata/sst2-dev.tsv --max-drop 1%
	bin/etc compile testdata/tiny-sst2 -o out/run/dense.etp
	bin/etc compile out/run/pruned -o out/run/pruned.etp --seqlen-buckets 32,64,128
	printf '%s\n' 'a gorgeous , witty , seductive movie .' 'it is a mess from start to finish .' 'one of the best films of the year' | bin/etc run out/run/pruned.etp
	bin/etc diff out/run/dense.etp out/run/pruned.etp
	bin/etc eval out/run/pruned.etp --data testdata/sst2-dev.tsv

test: ## every test that needs nothing but this checkout
	go test -timeout 30m -skip '$(MODELS)' ./...

test-models: ## tests against the models, data and goldens in ../shared
	go test -timeout 30m -run '$(MODELS)' ./...

race: ## the packages where goroutines meet, under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -short -skip '$(RACE_SKIP)' ./fault ./formats/... ./executor/... ./ir/sparse ./ir/interp ./prune/linalg

mutants: ## every mutant of the PTX of every GPU kernel (hours), or of MUTANTS=family,...; what survives goes to testdata/survivors.txt
	ETC_MUTANTS=$(MUTANTS) go test ./codegen/cuda/kernels -run '^TestMutants$$' -v -timeout 24h

check: ## formatting, vet, staticcheck, generated files, a second platform
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt would change the files above'; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod verify
	go mod tidy -diff
	@set -e; sums=$$(mktemp); trap 'rm -f '$$sums EXIT; \
	  grep -rlE --include='*.go' --include='*.s' --include='*.h' '^// Code generated .* DO NOT EDIT' . | xargs -r sha256sum > $$sums; \
	  test -s $$sums || { echo 'no generated file was found'; exit 1; }; \
	  go generate ./...; \
	  sha256sum --check --quiet $$sums || { echo 'go generate changed the files above'; exit 1; }
	GOARCH=arm64 go vet ./...
	GOOS=darwin GOARCH=arm64 go build ./...

generate: ## the generated files again
	go generate ./...

fuzz: ## every fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

bench: build ## tokens a second, start-up and memory of BENCH_MODEL, pruned against dense
	@mkdir -p out/bench
	bin/etc compile $(BENCH_MODEL) -o out/bench/model.etp --force
	bin/etc bench out/bench/model.etp --batch 1,8,32 --seqlen 32,128
	bin/etc prune $(BENCH_MODEL) -o out/bench/half --method neurons --sparsity 0.333 --calib testdata/sst2-dev.tsv --force
	bin/etc compile out/bench/half -o out/bench/half.etp --force
	bin/etc bench out/bench/half.etp --batch 1,8 --seqlen 32,128 --baseline out/bench/model.etp

bench-peers: build ## etc beside OpenVINO and ONNX Runtime on this machine, MiniLM and BERT_BASE, and text to answers (makes a Python environment of 6 GB)
	executor/cpu/peers.sh minilm bert-base answers

prune-bench: build ## real models pruned, judged and timed, as a table in docs/pruning.md (an hour; PRUNE_ASKS=NAME ... for some)
	prune/bench.py ../shared out/prune-bench docs/pruning.md $(PRUNE_ASKS)

latency-tables: ## the tables that etc prune goes by, measured anew on this machine, which should be idle (half an hour)
	@rm -rf out/latency && mkdir -p out/latency
	go run ./cmd/etc-bert -layers 4 out/latency/bert-base-classifier
	go run ./cmd/etc-bert -layers 4 out/latency/bert-base-embedding
	sed -i 's/BertForSequenceClassification/BertModel/' out/latency/bert-base-embedding/config.json
	ETC_LATENCY_TABLES=$(LATENCY_MODELS):$(CURDIR)/out/latency/bert-base-classifier:$(CURDIR)/out/latency/bert-base-embedding \
	  go test ./cmd/etc -run '^TestLatencyTables$$' -v -timeout 2h

clean:
	rm -rf bin out

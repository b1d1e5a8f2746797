# make          incremental release build: build/release/umbrad and build/release/umbra
# make demo     set up, build, and play a CA's rollover in two minutes, then meet third-party clients
# make test     set up, build, and run every test
# make bench    durable enrolments per second beside their crypto floor
# make format | tidy | fuzz | clean

SHELL := /bin/bash
JOBS  ?= $(shell nproc)
# Seconds each fuzz target runs under `make fuzz`.
FUZZ_SECONDS ?= 60
THREADED := store ca server io
CTEST := ctest -j$(JOBS) --output-on-failure --no-tests=error --progress
empty :=
space := $(empty) $(empty)

.PHONY: all release setup setup-test setup-develop demo test bench format tidy fuzz clean help
.DEFAULT_GOAL := all
all: release

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

setup:
	@packaging/install-dependencies build
setup-test:
	@packaging/install-dependencies build test
setup-develop:
	@packaging/install-dependencies build test develop

# $(call configured,PRESET): configure once; ninja itself notices later changes of the CMake files.
configured = @test -f build/$(1)/build.ninja || cmake --preset $(1) -Wno-dev --log-level=WARNING

release: setup
	$(call configured,release)
	@ninja -C build/release -j$(JOBS) --quiet umbrad umbra

demo: setup-test release
	@tests/demo/demo.sh build/release

# The units under ASan and UBSan, what has threads under TSan, then everything as shipped.
test: setup-test
	$(call configured,release)
	@ninja -C build/release -j$(JOBS) --quiet
	$(call configured,asan)
	@ninja -C build/asan -j$(JOBS) --quiet
	$(call configured,tsan)
	@ninja -C build/tsan -j$(JOBS) --quiet $(THREADED:%=%_test) umbrad umbra
	@echo "== units, AddressSanitizer and UndefinedBehaviorSanitizer"
	@$(CTEST) --test-dir build/asan -LE system
	@echo "== what has threads, ThreadSanitizer"
	@$(CTEST) --test-dir build/tsan -R '^($(subst $(space),|,$(THREADED)))\.|^system\.parallel'
	@echo "== everything, as shipped"
	@$(CTEST) --test-dir build/release

bench: setup
	$(call configured,release)
	@ninja -C build/release -j$(JOBS) --quiet umbrad enrolments
	@build/release/enrolments build/release/umbrad

format: setup-develop
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

tidy: setup-develop
	$(call configured,release)
	@git ls-files 'src/*.cc' 'apps/*.cc' | xargs -P$(JOBS) -n4 clang-tidy -p build/release --quiet

fuzz: setup-develop
	$(call configured,fuzz)
	@ninja -C build/fuzz -j$(JOBS) --quiet
	@fuzz/run build/fuzz $(FUZZ_SECONDS)

clean:
	rm -rf build

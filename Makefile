# make          incremental release build: build/release/umbrad and build/release/umbra
# make demo     set up, build, and play a CA's rollover in two minutes, then meet third-party clients
# make test     set up, build, and run every test
# make soak     go on simulating faults with new seeds for SOAK_SECONDS (docs/SIMULATION.md)
# make bench    enrolments, renewals, GetCACert beside the crypto floor and micromdm; a growing store; a storm; a CRL of a million (build/bench.txt)
# make bench-growth  the growing store with ten million certificates: 14 GB in $TMPDIR
# make install  the two programs to /usr/bin, manual pages, bash completion and the unit for systemd (DESTDIR=... puts them elsewhere)
# make attacks  umbrad under each attack for ATTACK_SECONDS while devices enrol, and the CPU time of bad requests
# make format | tidy | fuzz | clean

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
JOBS  ?= $(shell nproc)
# Seconds each fuzz target runs under `make fuzz`.
FUZZ_SECONDS ?= 60
# How long `make soak` goes on.
SOAK_SECONDS ?= 600
# Seconds each attack goes on under `make attacks`.
ATTACK_SECONDS ?= 20
THREADED := store ca server io rehearse
# The other rehearsals are played on the same threads, and take ThreadSanitizer a minute.
THREADED_TESTS := ^(store|ca|server|io)\.|^rehearse\.Rehearsal\.|^system\.(parallel|live)$$
# Two jobs a processor: a test takes both, unless it mostly waits.
CTEST := ctest -j$(shell echo $$((2 * $(JOBS)))) --output-on-failure --no-tests=error --progress

.PHONY: all release setup setup-test setup-develop demo test soak install bench bench-growth bench-programs format tidy fuzz clean help
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

# $(call build,PRESET,TARGETS): says nothing when nothing is to do.
build = @ninja -C build/$(1) -j$(JOBS) --quiet $(2) | sed '/no work to do/d'
# $(call configured,PRESET): configure once; ninja itself notices later changes of the CMake files.
configured = @test -f build/$(1)/build.ninja || { mkdir -p build && \
  cmake --preset $(1) >build/configure-$(1).log 2>&1 || { cat build/configure-$(1).log; exit 1; }; }

release: setup
	$(call configured,release)
	$(call build,release,umbrad umbra)

demo: setup-test release
	@python3 -B tests/demo/demo.py build/release

# The units and the virtual labs under ASan and UBSan, what has threads under TSan; then, as shipped, the programs among
# their peers, and the virtual labs once more.
test: setup-test
	$(call configured,release)
	$(call build,release,umbrad umbra shipped_tests)
	$(call configured,asan)
	$(call build,asan,unit_tests)
	$(call configured,tsan)
	$(call build,tsan,$(THREADED:%=%_test) umbrad umbra)
	@echo "== units, AddressSanitizer and UndefinedBehaviorSanitizer"
	@$(CTEST) --test-dir build/asan -LE system
	@echo "== what has threads, ThreadSanitizer"
	@TSAN_OPTIONS='suppressions="$(CURDIR)/tests/tsan.supp"' $(CTEST) --test-dir build/tsan -R '$(THREADED_TESTS)'
	@echo "== programs and labs, as shipped"
	@$(CTEST) --test-dir build/release -R '^(system|scenarios|simulation)\.'
	@sed -n '/^[0-9]* stories of .* days,/,/granted by hand$$/p' build/release/Testing/Temporary/LastTest.log

# Seeds that no run before has had, told by the clock.
soak: setup-test
	$(call configured,release)
	$(call build,release,simulate)
	@build/release/tests/simulate --first $$(date +%s)0000 --seconds $(SOAK_SECONDS) --jobs $(JOBS)

install: release
	install -D -m 0755 build/release/umbrad $(DESTDIR)/usr/bin/umbrad
	install -D -m 0755 build/release/umbra $(DESTDIR)/usr/bin/umbra
	@mkdir -p build/share
	build/release/umbra --generate umbra.1 >build/share/umbra.1
	build/release/umbra --generate umbra.conf.5 >build/share/umbra.conf.5
	build/release/umbra --generate bash >build/share/umbra
	build/release/umbrad --generate-manual >build/share/umbrad.8
	install -D -m 0644 build/share/umbra.1 $(DESTDIR)/usr/share/man/man1/umbra.1
	install -D -m 0644 build/share/umbra.conf.5 $(DESTDIR)/usr/share/man/man5/umbra.conf.5
	install -D -m 0644 build/share/umbrad.8 $(DESTDIR)/usr/share/man/man8/umbrad.8
	install -D -m 0644 build/share/umbra $(DESTDIR)/usr/share/bash-completion/completions/umbra
	install -D -m 0644 packaging/umbrad.service $(DESTDIR)/usr/lib/systemd/system/umbrad.service

# setup-test: micromdm's server, to compare with.
BENCHES := enrolments growth storm crl agent rehearsal
bench-programs: setup-test
	$(call configured,release)
	$(call build,release,umbrad $(BENCHES))

bench: bench-programs
	@{ for one in $(BENCHES); do \
	    case $$one in rehearsal) build/release/bench/$$one;; *) build/release/bench/$$one --umbrad build/release/umbrad;; esac || exit 1; \
	  done; } | tee build/bench.txt

bench-growth: bench-programs
	@build/release/bench/growth --umbrad build/release/umbrad --rows 0 --rows 1000000 --rows 10000000 | tee build/bench-growth.txt

format: setup-develop
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

# Of each file by itself, which a build of several at once does not tell.
tidy: setup-develop
	@test -f build/tidy/build.ninja || cmake --preset release -B build/tidy -DCMAKE_UNITY_BUILD=OFF >/dev/null
	@git ls-files 'src/*.cc' 'apps/*.cc' | xargs -P$(JOBS) -n4 clang-tidy -p build/tidy --quiet

fuzz: setup-test
	$(call configured,fuzz)
	$(call build,fuzz,fuzzers)
	@fuzz/run build/fuzz $(FUZZ_SECONDS)

# kill -9 at KILLS random instants more than `make test` has; a part of `make soak`.
KILLS ?= 5000
.PHONY: kills
soak: kills
kills: setup-test
	$(call configured,release)
	$(call build,release,umbrad umbra fleet)
	@UMBRA_BUILD=build/release UMBRA_KILLS=$(KILLS) python3 -B tests/system/kill_test.py
# A part of `make soak` too.
.PHONY: attacks
soak: attacks
attacks: setup-test
	$(call configured,release)
	$(call build,release,umbrad attack cost)
	@UMBRA_BUILD=build/release UMBRA_ATTACK_SECONDS=$(ATTACK_SECONDS) python3 -B tests/system/attack_test.py
	@python3 -B tests/system/attack_cost.py build/release

clean:
	rm -rf build

# make help

CARGO ?= cargo
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
DESTDIR ?=
# Which Kamailio: KAMAILIO names the binary, MODULES_DIR the folder of its modules (without it: the
# one beside the binary), KAMAILIO_SRC its source tree where no Debian package has it.
modules_dir = $(or $(MODULES_DIR),$(shell kamailio-headers/find.sh modules))
MODULE := $(TARGET)/release/secsipid.so
# Where the C library and the tool go.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
LIBRARY := crates/libsecsipid
PC := sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' $(LIBRARY)/secsipid-1.pc.in
TOOL := $(TARGET)/release/secsipidx

# Debian packages. To build: a compiler, libclang (bindgen), what unpacks Kamailio's source package,
# and a Kamailio only where there is none yet.
BUILD_PACKAGES := gcc libc6-dev libclang-dev patch xz-utils ca-certificates \
	$(shell kamailio-headers/find.sh binary >/dev/null 2>&1 || echo kamailio)
# The lab makes its certificates with openssl; setpriv (util-linux) ends what the demo starts.
DEMO_PACKAGES := openssl util-linux procps
TEST_PACKAGES := $(DEMO_PACKAGES) kamailio kamailio-extra-modules kamailio-lua-modules kamailio-python3-modules \
	kamailio-secsipid-modules libsecsipid-dev secsipidx \
	g++ binutils pkgconf dpkg-dev \
	sip-tester mmdebstrap valgrind python3-venv redis-server nghttp2-server gzip libfaketime prometheus \
	chromium chromium-driver tcpdump wrk

.PHONY: help
help:
	@echo 'make demo              install what is needed, build, sign and check a real call'
	@echo 'make test              all tests, the live ones too'
	@echo 'make build             target/release: secsipid.so for the Kamailio that is installed, secsipidx, libsecsipid'
	@echo 'make install           put it into Kamailio'\''s module folder (DESTDIR)'
	@echo 'make install-lib       the C library with headers and secsipid-1.pc (DESTDIR, PREFIX, LIBDIR)'
	@echo 'make install-tools     put secsipidx, its man pages and completions there (DESTDIR, PREFIX)'
	@echo 'make deb               Debian packages for this Debian and its Kamailio, in $(TARGET)/deb'
	@echo 'make deb-12 deb-13     the same for Debian 12 or 13, built in a folder with it'
	@echo 'make test-deb-12, -13  those packages tried in a clean Debian'
	@echo 'make dist              a source tarball with all crates, in $(TARGET)/dist'
	@echo 'make nightly           what takes long: packages in clean Debians, the tarball'
	@echo 'make bench             side by side with the stock module and service; memory by certificates'
	@echo 'make fuzz              the fuzz targets, FUZZ_SECONDS each'
	@echo 'make lint              rustfmt, clippy, rustdoc, licences, advisories'
	@echo 'make deps              install the Debian packages that the tests need'
	@echo 'make test-kamailio-6.0 the live tests in a Debian 13 (6.1: in a Debian sid)'
	@echo 'make test-asterisk     calls to and from the Asterisk of Debian sid'
	@echo 'make clean             remove what was built'
	@echo
	@echo 'KAMAILIO               the kamailio binary to build for (default: the one in PATH)'
	@echo 'MODULES_DIR            the folder of its modules (default: beside the binary)'
	@echo 'KAMAILIO_SRC           its source tree, where it is not a Debian package'

.PHONY: deps
deps:
	@tests/deps.sh 'make test' $(BUILD_PACKAGES) $(TEST_PACKAGES)

.PHONY: deps-build
deps-build:
	@tests/deps.sh 'make build' $(BUILD_PACKAGES)

.PHONY: build
build: deps-build compile

.PHONY: compile
compile:
	$(CARGO) build --release --workspace --locked
	@cp -f $(TARGET)/release/libkamailio_secsipid.so $(MODULE)
	@cp -f $(LIBRARY)/include/*.h $(TARGET)/release/
	@$(PC) >$(TARGET)/release/secsipid-1.pc
	@echo 'built: $(MODULE); secsipidx, libsecsipid.so and libsecsipid.a beside it'

.PHONY: install
install:
	@test -f $(MODULE) || { echo '$(MODULE) is not there: run make build' >&2; exit 1; }
	@test -n '$(modules_dir)' || exit 1
	install -D -m 644 $(MODULE) $(DESTDIR)$(modules_dir)/secsipid.so

.PHONY: install-lib
install-lib:
	@test -f $(TARGET)/release/libsecsipid.so || { echo '$(TARGET)/release/libsecsipid.so is not there: run make build' >&2; exit 1; }
	install -D -m 644 $(TARGET)/release/libsecsipid.so $(DESTDIR)$(LIBDIR)/libsecsipid.so.1
	ln -sf libsecsipid.so.1 $(DESTDIR)$(LIBDIR)/libsecsipid.so
	install -m 644 $(TARGET)/release/libsecsipid.a $(DESTDIR)$(LIBDIR)/
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include $(LIBRARY)/include/*.h
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	$(PC) >$(DESTDIR)$(LIBDIR)/pkgconfig/secsipid-1.pc

.PHONY: install-tools
install-tools:
	@test -x $(TOOL) || { echo '$(TOOL) is not there: run make build' >&2; exit 1; }
	install -D -m 755 $(TOOL) $(DESTDIR)$(PREFIX)/bin/secsipidx
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(TOOL) man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(TOOL) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/secsipidx
	install -d $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	$(TOOL) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_secsipidx
	install -d $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(TOOL) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/secsipidx.fish
	install -D -m 644 crates/secsipidx/dist/secsipidx.toml $(DESTDIR)$(PREFIX)/share/doc/secsipidx/secsipidx.toml
	install -m 644 crates/secsipidx/dist/sti.toml $(DESTDIR)$(PREFIX)/share/doc/secsipidx/sti.toml
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in $(notdir $(wildcard crates/secsipidx/dist/*.service crates/secsipidx/dist/*.timer)); do \
		sed 's|/usr/bin/|$(PREFIX)/bin/|' crates/secsipidx/dist/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit; \
	done

# What packages are made of: the files that git has, in a tree of their own, since dpkg writes beside it.
DEB := $(abspath $(TARGET))/deb
DEB_PACKAGES := debhelper dpkg-dev lintian

.PHONY: deb
deb:
	@tests/deps.sh 'make deb' $(BUILD_PACKAGES) $(DEB_PACKAGES)
	packaging/deb.sh $(DEB)

# The same for another Debian, in a folder with it, and the packages tried in a clean one (as root).
.PHONY: deb-12 deb-13
deb-12 deb-13: deb-%:
	@tests/deps.sh 'make $@' mmdebstrap
	packaging/deb-in.sh $*

.PHONY: test-deb-12 test-deb-13
test-deb-12 test-deb-13: test-deb-%: deb-% deps
	packaging/test.sh $* target/deb-$*

# A tarball that builds without a network and without git.
.PHONY: dist
dist:
	packaging/dist.sh $(TARGET)/dist

# What takes long and rarely breaks, beside .ci/run.
.PHONY: nightly
nightly: test-deb-12 test-deb-13 dist

.PHONY: demo
demo:
	@echo 'make demo: builds the module and the tools, 5 to 10 minutes the first time; then a call, some seconds'
	@tests/deps.sh 'make demo' $(BUILD_PACKAGES) $(DEMO_PACKAGES)
	@$(MAKE) --no-print-directory build
	$(CARGO) run --release --quiet --example demo

.PHONY: test
test: deps build
	$(CARGO) test --workspace --no-fail-fast

.PHONY: test-kamailio-6.0 test-kamailio-6.1
test-kamailio-6.0 test-kamailio-6.1: test-kamailio-%: deps
	tests/series.sh $*

.PHONY: test-asterisk
test-asterisk: deps
	tests/asterisk.sh

.PHONY: bench
bench: deps build
	$(CARGO) bench --package stir --bench es256
	$(CARGO) bench --package stir --bench policy
	$(CARGO) bench --package secsipid --bench kamailio
	$(CARGO) bench --package secsipid --bench flood
	$(CARGO) bench --package secsipid --bench memory
	$(CARGO) bench --package secsipidx --bench service

# Seconds for each target: long enough to find what a change broke.
FUZZ_SECONDS ?= 600

.PHONY: fuzz
fuzz: deps
	CARGO='$(CARGO)' fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: lint
lint: deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked --quiet cargo-deny
	$(CARGO) deny --workspace check licenses bans sources
	@if $(CARGO) deny --workspace fetch db 2>/dev/null; then $(CARGO) deny --workspace check --disable-fetch advisories; \
	else echo 'lint: the database of advisories cannot be had here: advisories were not checked'; fi
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps --quiet
	# Not part of the workspace, so nothing else tells that they still compile.
	$(CARGO) check --locked --quiet --manifest-path fuzz/Cargo.toml

.PHONY: clean
clean:
	$(CARGO) clean
	rm -rf kamailio-headers/tree-* .series fuzz/target fuzz/corpus fuzz/artifacts

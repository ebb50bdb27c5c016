# Thin: each target is a rule or one script.
#
#   make                 all daemons, release build
#   make BUILD=asan      the same with ASan and UBSan (debug, tsan likewise), beside the release build
#   make unit            builds and runs the unit tests of BUILD
#   make fuzz-build BUILD=fuzz CC=clang    the fuzzers; scripts/fuzz runs them
#   make lint            everything that is checked without running
#   make gen             what the contracts in proto/ generate
#   make mongo-stand-in  the server that unit tests and scripts/up take where there is no MongoDB
#   make docs            the reference pages of docs/ that come from the contracts
MAKEFLAGS += --no-builtin-rules
BUILD ?= release
CC     = gcc
PYTHON ?= python3

out := build/$(BUILD)-$(CC)
gen := build/gen

packages := libevent_core libevent_pthreads libpq hiredis jansson libsodium libutf8proc \
            libidn2 libcurl libcrypto libcrypt libzip libmongoc-1.0
warnings := -Wall -Wextra -Werror -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wno-missing-field-initializers -Wno-format-nonliteral
hardening := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection
flags_release := -O2 -g $(hardening) -ffunction-sections -fdata-sections
# CM_FAULTS: tests may ask a daemon to die at a certain place; a release has no such thing.
flags_debug   := -O0 -g3 -DCM_FAULTS
flags_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DCM_ASAN -DCM_FAULTS
flags_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer -DCM_TSAN -DCM_FAULTS
flags_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DCM_ASAN -DCM_FAULTS
# Of the shapes of all services each daemon keeps its own.
link_release  := -pie -Wl,-z,relro,-z,now,-z,pack-relative-relocs,--gc-sections

CPPFLAGS += -D_GNU_SOURCE -Ilibcommon -I$(gen) -MMD -MP $(patsubst -I%libmongoc-1.0,-isystem %libmongoc-1.0,$(patsubst -I%libbson-1.0,-isystem %libbson-1.0,$(shell pkg-config --cflags $(packages))))
CFLAGS   += -std=gnu17 $(warnings) $(flags_$(BUILD))
# What is not used is not linked: MongoDB's driver is chat's alone. Libraries find what
# is exported here before their own: store/pg_conn.c's answer to GnuTLS, and codec/openssl_texts.c.
exported := _gnutls_global_init_skip ERR_reason_error_string ERR_error_string_n ERR_error_string
LDFLAGS  += $(flags_$(BUILD)) $(link_$(BUILD)) -Wl,--as-needed $(exported:%=-Wl,--export-dynamic-symbol=%)
LDLIBS   += $(shell pkg-config --libs $(packages)) -lwslay -lstemmer -lm -lpthread

ccache := $(shell command -v ccache)
compile = $(ccache) $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

layers   := base sys codec store bus http service
services := auth main-health chat memory scheduler
# Services whose daemon is yet to come: their parts are compiled and tested like the others'.
coming   :=

lib_src  := $(filter-out %_test.c,$(wildcard $(layers:%=libcommon/%/*.c)))
lib_obj  := $(lib_src:%.c=$(out)/%.o)
daemons  := $(foreach s,$(services),$(if $(wildcard services/$(s)/main.c),$(out)/bin/salus-$(s)))
tests    := $(patsubst %.c,$(out)/%,$(wildcard $(layers:%=libcommon/%/*_test.c) services/*/*_test.c services/*/*/*_test.c))

.PHONY: all gen docs mongo-stand-in unit unit-libcommon lint print-cppflags fuzz-build clean
.SECONDEXPANSION:
.SECONDARY:

all: $(daemons)

# ---- generated from the contracts
gen: $(gen)/.stamp
$(gen)/.stamp: services/chat/data/help.tsv $(shell find proto services/*/migrations libcommon -name '*.yaml' -o -name '*.py' -o -name '*.sql' 2>/dev/null)
	@mkdir -p $(gen)
	$(if $(wildcard proto/generate/generate.py),$(PYTHON) proto/generate/generate.py --proto proto --out $(gen))
	@touch $@

# Made before all else, after which make starts anew: it must not judge objects by the headers of before.
-include $(gen)/.stamp

gen_common   := schemas events rpc keys errors settings chat_tools
gen_src_of    = $(gen)/$(1)_api.c $(gen)/$(1)_rpc.c $(gen)/$(1)_migrations.c
gen_common_obj := $(gen_common:%=$(out)/gen/%.o)

$(out)/gen/%.o: $(gen)/%.c
	@mkdir -p $(@D)
	$(compile)

$(out)/%.o: %.c | $(gen)/.stamp
	@mkdir -p $(@D)
	$(compile)

# ---- the library: one archive per layer, so that a unit test links its own layer and lower ones only
define layer_rules
$(out)/libsalus-$(1).a: $(filter $(out)/libcommon/$(1)/%,$(lib_obj))
	@mkdir -p $$(@D) && rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach l,$(layers),$(eval $(call layer_rules,$(l))))
archives_base    := $(out)/libsalus-base.a
archives_sys     := $(out)/libsalus-sys.a $(archives_base)
archives_codec   := $(out)/libsalus-codec.a $(archives_sys)
archives_store   := $(out)/libsalus-store.a $(archives_codec)
archives_bus     := $(out)/libsalus-bus.a $(archives_store)
archives_http    := $(out)/libsalus-http.a $(archives_bus)
archives_service := $(out)/libsalus-service.a $(archives_http)

# ---- daemons
service_name = $(subst -,_,$(1))
service_obj  = $(patsubst %.c,$(out)/%.o,$(filter-out %_test.c,$(wildcard services/$(1)/*.c services/$(1)/*/*.c)))
service_gen  = $(if $(wildcard proto/http/$(1).yaml),$(out)/gen/$(call service_name,$(1))_api.o $(out)/gen/$(call service_name,$(1))_rpc.o $(out)/gen/$(call service_name,$(1))_migrations.o)
# A service sees its own rooms and none of another's.
$(foreach s,$(services) $(coming),$(eval $(out)/services/$(s)/%.o: CPPFLAGS += -Iservices/$(s)))
# What data.c takes in as it is.
$(foreach s,$(services) $(coming),$(eval $(out)/services/$(s)/data.o: $(wildcard services/$(s)/data/*)))
$(out)/bin/salus-%: $$(call service_obj,$$*) $$(call service_gen,$$*) $(gen_common_obj) $(archives_service)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ---- unit tests: x_test.c beside x.c
define test_rules
$(out)/libcommon/$(1)/%_test: $(out)/libcommon/$(1)/%_test.o $$(if $(filter bus http service,$(1)),$(gen_common_obj)) $(archives_$(1))
	$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka -lhttp_parser $$(LDLIBS)
endef
$(foreach l,$(layers),$(eval $(call test_rules,$(l))))

# A service's tests link its objects without main.c through an archive: only what the test needs is pulled in.
define service_test_rules
$(out)/services/$(1)/.objects.a: $(filter-out %/main.o,$(call service_obj,$(1))) $(call service_gen,$(1))
	@rm -f $$@
	@ar rcs $$@ $$^
$(out)/services/$(1)/%_test: $(out)/services/$(1)/%_test.o $(out)/services/$(1)/.objects.a $(gen_common_obj) $(archives_service)
	$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka -lhttp_parser $$(LDLIBS)
endef
$(foreach s,$(services) $(coming),$(eval $(call service_test_rules,$(s))))

unit: $(tests)
	@scripts/run-unit-tests $(tests)
unit-libcommon: $(filter $(out)/libcommon/%,$(tests))
	@scripts/run-unit-tests $^

# ---- the stand-in for MongoDB, for machines without one (scripts/lib/mongo.sh); built once
stand_in := build/mongo-stand-in/mongo-stand-in-1.jar
mongo-stand-in: $(stand_in)
$(stand_in): deploy/mongo-stand-in/pom.xml $(shell find deploy/mongo-stand-in/src -name '*.java')
	mvn -q -B -f deploy/mongo-stand-in/pom.xml package
	@touch $@

# ---- fuzzers: tests/fuzz/x.c has LLVMFuzzerTestOneInput and may use all of libcommon and of the services
fuzzers  := $(patsubst %.c,$(out)/%,$(wildcard tests/fuzz/*.c))
complete := $(patsubst $(out)/bin/salus-%,%,$(daemons)) $(coming)
fuzz-build: $(fuzzers)
$(out)/tests/fuzz/%.o: CPPFLAGS += $(services:%=-Iservices/%)
$(out)/tests/fuzz/%: $(out)/tests/fuzz/%.o $$(foreach s,$$(complete),$$(call service_gen,$$(s)) $(out)/services/$$(s)/.objects.a) $(gen_common_obj) $(archives_service)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ -lhttp_parser $(LDLIBS)

# ---- programs of libcommon alone, for tests/integration and the bench: one only makes and follows streams, one sends a mail
$(out)/tests/support/%: $(out)/tests/support/%.o $(gen_common_obj) $(archives_http)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

docs:
	$(PYTHON) proto/generate/generate.py --proto proto --docs docs
	$(PYTHON) tests/asvs/page.py --docs docs

lint:
	@scripts/lint

# For tools that compile in their own way: one set for the files of all services.
print-cppflags:
	@echo $(filter-out -MMD -MP,$(CPPFLAGS)) $(services:%=-Iservices/%)

clean:
	rm -rf build

-include $(shell find $(out) -name '*.d' 2>/dev/null)

#include <string.h>

#include "base/assert.h"
#include "http/tus_internal.h"

/* The headers of uploads: metadata, numbers, checksums. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void use_metadata(struct cm_str text)
{
        struct cm_str rest = text, pair, key, value;
        struct cm_arena arena;

        if (!cm_tus_metadata_is_valid(text))
                return;
        cm_arena_init(&arena, 4096);
        while (cm_str_split(&rest, ',', &pair)) {
                pair = cm_str_trim(pair);
                (void)cm_str_split(&pair, ' ', &key);
                CM_ASSERT(key.len);
                value = cm_tus_metadata_find(text, key, &arena);
                CM_ASSERT(!value.data || cm_utf8_is_valid(value));
                CM_ASSERT(value.len <= text.len);
        }
        cm_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct cm_str text = { (const char *)bytes, size };
        struct cm_tus_checksum checksum;
        int64_t number;

        use_metadata(text);
        if (cm_tus_parse_number(text, &number))
                CM_ASSERT(number >= 0 && number <= INT64_C(1) << 53);
        if (cm_tus_parse_checksum(text, &checksum))
                CM_ASSERT(checksum.size == 20 || checksum.size == 32);
        return 0;
}

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "bus/event.h"

/*
 * The envelope: texts that a NUL ends are names and values in turn. What was taken and written out
 * must be taken again and be the same event.
 */
#define MAX_TEXTS 64
#define MAX_DATA  65536

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t split(const char *bytes, size_t size, struct cm_str *texts)
{
        size_t count = 0, start = 0;

        for (size_t i = 0; i < size && count < MAX_TEXTS; i++) {
                if (bytes[i])
                        continue;
                texts[count++] = (struct cm_str){ bytes + start, i - start };
                start = i + 1;
        }
        return count;
}

static void same(const struct cm_event *a, const struct cm_event *b)
{
        CM_ASSERT(cm_uuid_equal(&a->id, &b->id) && cm_uuid_equal(&a->subject, &b->subject));
        CM_ASSERT(cm_uuid_equal(&a->tenant, &b->tenant) && a->time == b->time);
        CM_ASSERT(cm_str_equal(a->source, b->source) && cm_str_equal(a->type, b->type));
        CM_ASSERT(cm_str_equal(a->data, b->data) && a->position == b->position);
        CM_ASSERT(!a->traceparent.data == !b->traceparent.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct cm_str texts[MAX_TEXTS], *fields;
        struct cm_event event, again;
        struct cm_arena arena;
        const char *what;
        size_t count = split((const char *)bytes, size, texts);

        if (cm_event_parse(texts, count, MAX_DATA, &event, &what)) {
                CM_ASSERT(what && *what);
                return 0;
        }
        cm_arena_init(&arena, 4096);
        count = cm_event_fields(&event, &arena, &fields);
        CM_ASSERT(cm_event_parse(fields, count, MAX_DATA, &again, &what) == 0);
        same(&event, &again);
        cm_arena_deinit(&arena);
        return 0;
}

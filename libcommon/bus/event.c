#include "bus/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/attr.h"

#define SPEC_VERSION    "1.0"
#define MEDIA_TYPE      "application/json"
#define MAX_NAME        256 /* bytes of a type or source */
#define TRACEPARENT_LEN 55

/* ---- writing */

struct fields {
        struct cm_str *items;
        size_t count;
};

static void add(struct fields *fields, struct cm_str name, struct cm_str value)
{
        if (!value.data)
                return;
        fields->items[fields->count++] = name;
        fields->items[fields->count++] = value;
}

static void add_uuid(struct fields *fields, struct cm_arena *arena, struct cm_str name,
                     const struct cm_uuid *uuid)
{
        char *text;

        if (cm_uuid_is_nil(uuid))
                return;
        text = cm_arena_alloc(arena, CM_UUID_TEXT_SIZE);
        add(fields, name, cm_str_from(cm_uuid_format(uuid, text)));
}

size_t cm_event_fields(const struct cm_event *event, struct cm_arena *arena,
                       struct cm_str **fields_r)
{
        struct fields fields = {
                cm_arena_array(arena, 2 * CM_EVENT_ATTRIBUTES, sizeof(struct cm_str)), 0
        };
        char *time = cm_arena_alloc(arena, CM_TIME_TEXT_SIZE);

        add(&fields, CM_STR("ce_specversion"), CM_STR(SPEC_VERSION));
        add_uuid(&fields, arena, CM_STR("ce_id"), &event->id);
        add(&fields, CM_STR("ce_source"), event->source);
        add(&fields, CM_STR("ce_type"), event->type);
        add(&fields, CM_STR("ce_time"), cm_str_from(cm_time_format(event->time, time)));
        add_uuid(&fields, arena, CM_STR("ce_subject"), &event->subject);
        add_uuid(&fields, arena, CM_STR("ce_tenantid"), &event->tenant);
        add(&fields, CM_STR("ce_traceparent"), event->traceparent);
        if (event->position)
                add(&fields, CM_STR("ce_sequence"), cm_arena_int(arena, event->position));
        add(&fields, CM_STR("ce_datacontenttype"), CM_STR(MEDIA_TYPE));
        add(&fields, CM_STR("data"), event->data);
        CM_ASSERT(fields.count <= 2 * CM_EVENT_ATTRIBUTES);
        *fields_r = fields.items;
        return fields.count;
}

/* ---- reading */

static bool read_id(struct cm_event *event, struct cm_str value)
{
        return cm_uuid_parse(value, &event->id) && !cm_uuid_is_nil(&event->id);
}

static bool is_name(struct cm_str value)
{
        if (!value.len || value.len > MAX_NAME)
                return false;
        for (size_t i = 0; i < value.len; i++)
                if (value.data[i] <= ' ' || value.data[i] > '~')
                        return false;
        return true;
}

static bool read_source(struct cm_event *event, struct cm_str value)
{
        event->source = value;
        return is_name(value);
}

static bool read_type(struct cm_event *event, struct cm_str value)
{
        event->type = value;
        return is_name(value);
}

static bool read_time(struct cm_event *event, struct cm_str value)
{
        return cm_time_parse(value, &event->time, NULL);
}

static bool read_subject(struct cm_event *event, struct cm_str value)
{
        return cm_uuid_parse(value, &event->subject);
}

static bool read_tenant(struct cm_event *event, struct cm_str value)
{
        return cm_uuid_parse(value, &event->tenant);
}

/* What cannot be a trace is no reason to lose a fact. */
static bool read_traceparent(struct cm_event *event, struct cm_str value)
{
        if (value.len == TRACEPARENT_LEN && is_name(value))
                event->traceparent = value;
        return true;
}

static bool read_sequence(struct cm_event *event, struct cm_str value)
{
        return cm_str_to_int(value, &event->position) && event->position > 0;
}

static bool read_content_type(struct cm_event *event CM_UNUSED, struct cm_str value)
{
        return cm_str_equal(value, CM_STR(MEDIA_TYPE));
}

static bool read_data(struct cm_event *event, struct cm_str value)
{
        event->data = value;
        return true;
}

static const struct attribute {
        const char *name;
        bool required;
        bool (*read)(struct cm_event *event, struct cm_str value);
} attributes[] = {
        { "ce_id", true, read_id },
        { "ce_source", true, read_source },
        { "ce_type", true, read_type },
        { "ce_time", true, read_time },
        { "ce_subject", false, read_subject },
        { "ce_tenantid", false, read_tenant },
        { "ce_traceparent", false, read_traceparent },
        { "ce_sequence", false, read_sequence },
        { "ce_datacontenttype", true, read_content_type },
        { "data", true, read_data },
};

/* The first value of a name; a second one of the same name is not looked at. */
static struct cm_str find(const struct cm_str *fields, size_t count, const char *name)
{
        for (size_t i = 0; i + 1 < count; i += 2)
                if (cm_str_equal(fields[i], cm_str_from(name)))
                        return fields[i + 1];
        return CM_STR_NONE;
}

int cm_event_parse(const struct cm_str *fields, size_t count, size_t max_data,
                   struct cm_event *event_r, const char **what_r)
{
        struct cm_str version = find(fields, count, "ce_specversion");

        *event_r = (struct cm_event){ 0 };
        *what_r = "ce_specversion";
        if (!version.data)
                return CM_EVENT_MISSING_ATTRIBUTE;
        if (!cm_str_equal(version, CM_STR(SPEC_VERSION)))
                return CM_EVENT_WRONG_VERSION;
        for (size_t i = 0; i < CM_COUNT(attributes); i++) {
                struct cm_str value = find(fields, count, attributes[i].name);

                *what_r = attributes[i].name;
                if (!value.data && attributes[i].required)
                        return CM_EVENT_MISSING_ATTRIBUTE;
                if (value.data && !attributes[i].read(event_r, value))
                        return CM_EVENT_BAD_ATTRIBUTE;
        }
        if (event_r->data.len > max_data)
                return CM_EVENT_TOO_LARGE;
        *what_r = NULL;
        return 0;
}

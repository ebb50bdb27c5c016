#include "http/form.h"

#include <string.h>

#include "codec/json_tree.h"
#include "http/target.h"

static const struct cm_member *find_member(const struct cm_schema *schema, struct cm_str name)
{
        for (size_t i = 0; i < schema->member_count; i++)
                if (cm_str_equal(cm_str_from(schema->members[i].name), name))
                        return &schema->members[i];
        return NULL;
}

static bool is_text(struct cm_str text)
{
        return text.data && cm_utf8_is_valid(text) && !memchr(text.data, '\0', text.len);
}

static int no_form(struct cm_faults *faults, struct cm_arena *arena)
{
        cm_fault_add(faults, arena, CM_STR(""), "is not a well-formed form");
        return CM_DECODE_NOT_JSON;
}

static bool stands_already(const struct cm_json_node *form, struct cm_str name)
{
        for (const struct cm_json_node *node = form->first; node; node = node->next)
                if (cm_str_equal(node->name, name))
                        return true;
        return false;
}

static void add(struct cm_json_node *form, struct cm_arena *arena, struct cm_str name,
                struct cm_str value)
{
        struct cm_json_node *node = cm_arena_alloc(arena, sizeof(*node));

        *node = (struct cm_json_node){
                .next = form->first, .name = name, .type = CM_JSON_TEXT, .text = value
        };
        form->first = node;
        form->count++;
}

int cm_form_decode(const struct cm_schema *schema, struct cm_str text, struct cm_arena *arena,
                   void *out, struct cm_faults *faults)
{
        struct cm_json_node form = { .type = CM_JSON_OBJECT };
        const struct cm_member *member;
        struct cm_str name, value;

        while (cm_query_next(&text, &name, &value)) {
                if (!value.len)
                        continue;
                name = cm_percent_decode(arena, name, true);
                value = cm_percent_decode(arena, value, true);
                if (!is_text(name) || !is_text(value))
                        return no_form(faults, arena);
                member = find_member(schema, name);
                if (!member)
                        continue;
                if (stands_already(&form, name)) {
                        cm_fault_add(faults, arena, cm_arena_printf(arena, "/%s", member->name),
                                     "must not appear twice");
                        return CM_DECODE_FAULTS;
                }
                add(&form, arena, name, value);
        }
        return cm_schema_decode_tree(schema, &form, arena, out, faults);
}

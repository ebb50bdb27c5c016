#include "import_tree.h"

#include <string.h>

const struct cm_json_node *import_member(const struct cm_json_node *object, const char *name)
{
        const struct cm_json_node *each =
                object && object->type == CM_JSON_OBJECT ? object->first : NULL;
        struct cm_str wanted = cm_str_from(name);

        while (each && !cm_str_equal(each->name, wanted))
                each = each->next;
        return each && each->type != CM_JSON_NULL ? each : NULL;
}

static struct cm_str text_of(const struct cm_json_node *node)
{
        return node && node->type == CM_JSON_TEXT ? node->text : CM_STR_NONE;
}

struct cm_str import_text(const struct cm_json_node *object, const char *name)
{
        return text_of(import_member(object, name));
}

struct cm_str import_first(const struct cm_json_node *object, const char *name)
{
        const struct cm_json_node *list = import_member(object, name);

        return list && list->type == CM_JSON_ARRAY ? text_of(list->first) : text_of(list);
}

int64_t import_integer(const struct cm_json_node *object, const char *name)
{
        const struct cm_json_node *node = import_member(object, name);
        int64_t value = 0;

        if (node && node->type == CM_JSON_INTEGER)
                return node->integer;
        return text_of(node).data && cm_str_to_int(node->text, &value) ? value : 0;
}

bool import_is_true(const struct cm_json_node *object, const char *name)
{
        const struct cm_json_node *node = import_member(object, name);

        if (node && node->type == CM_JSON_BOOL)
                return node->boolean;
        return cm_str_equal(text_of(node), CM_STR("true")) ||
               cm_str_equal(text_of(node), CM_STR("t"));
}

cm_time import_time(const struct cm_json_node *object, const char *name)
{
        struct cm_str text = import_text(object, name);
        char copy[48];
        size_t len = text.len;
        cm_time time;

        if (len < 19 || len + sizeof(":00") > sizeof(copy))
                return 0;
        memcpy(copy, text.data, len);
        if (copy[10] == ' ')
                copy[10] = 'T';
        if (copy[len - 3] == '+' || copy[len - 3] == '-') { /* hours alone */
                memcpy(copy + len, ":00", sizeof(":00"));
                len += 3;
        }
        if (!cm_time_parse((struct cm_str){ copy, len }, &time, NULL)) {
                copy[len] = 'Z'; /* without a zone: it was UTC */
                if (len + 1 > sizeof(copy) ||
                    !cm_time_parse((struct cm_str){ copy, len + 1 }, &time, NULL))
                        return 0;
        }
        return time;
}

const struct cm_json_node *import_object(struct cm_arena *arena, const struct cm_json_node *node)
{
        struct cm_json_error error;

        if (node && node->type == CM_JSON_TEXT)
                node = cm_json_parse(node->text, arena, &error);
        return node && node->type == CM_JSON_OBJECT ? node : NULL;
}

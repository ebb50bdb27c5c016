#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/schema.h"

/*
 * Filters and updates of documents, by the members of their structs: keys come from the schema, and
 * the compiler compares the types of values.
 *
 *     CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
 *     CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
 *
 *     CM_FILTER_IS(&filter, message_page, id, &page_id);
 *     CM_FILTER_IS(&filter, message_page, count, &count);
 *     CM_UPDATE_PUSH(&update, message_page, messages, &message, 1);
 *     CM_UPDATE_INC(&update, message_page, count, 1);
 */
struct cm_doc_field {
        const struct cm_schema *schema;
        size_t offset;
        size_t size;
        int64_t index;      /* of an item of an array; CM_EACH_ITEM: in filters, any of them */
        bool has_item;      /* the field is an item, or of one */
        size_t item_offset; /* of a member of the item; item_size 0: the item itself */
        size_t item_size;
};
#define CM_EACH_ITEM (-1)

#define CM_SIZE_OF(type, member) sizeof(((struct type *)0)->member)
/* conversation.user_id */
#define CM_FIELD(type, member)                                                                     \
        ((struct cm_doc_field){ .schema = &type##_schema,                                          \
                                .offset = offsetof(struct type, member),                           \
                                .size = CM_SIZE_OF(type, member) })
/* message_page.messages[number] */
#define CM_ITEM(type, member, number)                                                              \
        ((struct cm_doc_field){ .schema = &type##_schema,                                          \
                                .offset = offsetof(struct type, member),                           \
                                .size = CM_SIZE_OF(type, member),                                  \
                                .index = (number),                                                 \
                                .has_item = true })
/* message_page.messages[number].text; the item's struct is named too */
#define CM_ITEM_FIELD(type, member, number, item_type, item_member)                                \
        ((struct cm_doc_field){ .schema = &type##_schema,                                          \
                                .offset = offsetof(struct type, member),                           \
                                .size = CM_SIZE_OF(type, member),                                  \
                                .index = (number),                                                 \
                                .has_item = true,                                                  \
                                .item_offset = offsetof(struct item_type, item_member),            \
                                .item_size = CM_SIZE_OF(item_type, item_member) })
/* `pointer`, when it points to what the member is. */
#define CM_LIKE(type, member, pointer)                                                             \
        (0 ? (__typeof__(&((struct type *)0)->member))NULL : (pointer))
#define CM_LIKE_ITEM(type, member, pointer)                                                        \
        (0 ? (__typeof__(((struct type *)0)->member.items))NULL : (pointer))

/* ---- filters: all conditions hold. Zero-initialise. */
struct cm_filter {
        void *equal; /* the builder's own */
        void *further;
        size_t count;
};
enum cm_comparison {
        CM_COMPARE_IS,
        CM_COMPARE_IS_NOT,
        CM_COMPARE_LESS,
        CM_COMPARE_LESS_OR_IS,
        CM_COMPARE_MORE,
        CM_COMPARE_MORE_OR_IS,
};
void cm_filter_deinit(struct cm_filter *filter); /* for CM_CLEANUP */
void cm_filter_compare(struct cm_filter *filter, struct cm_doc_field field,
                       enum cm_comparison comparison, const void *value);
void cm_filter_exists(struct cm_filter *filter, struct cm_doc_field field, bool exists);
/* It is one of `count` values, an array of the member's C type. */
void cm_filter_in(struct cm_filter *filter, struct cm_doc_field field, const void *values,
                  size_t count);

#define CM_FILTER_COMPARE(filter, type, member, comparison, pointer)                               \
        cm_filter_compare(filter, CM_FIELD(type, member), comparison,                              \
                          CM_LIKE(type, member, pointer))
#define CM_FILTER_IS(filter, type, member, pointer)                                                \
        CM_FILTER_COMPARE(filter, type, member, CM_COMPARE_IS, pointer)
#define CM_FILTER_IN(filter, type, member, pointer, count)                                         \
        cm_filter_in(filter, CM_FIELD(type, member), CM_LIKE(type, member, pointer), count)

/* ---- updates. Zero-initialise. No field twice, nor one inside another. */
enum cm_update_operator {
        CM_OPERATOR_SET,
        CM_OPERATOR_UNSET,
        CM_OPERATOR_INC,
        CM_OPERATOR_PUSH,
        CM_OPERATOR_PULL,
        CM_OPERATOR_SET_ON_INSERT,
        CM_OPERATOR_MAX,
        CM_OPERATORS
};
struct cm_update {
        void *parts[CM_OPERATORS]; /* the builder's own */
};
void cm_update_deinit(struct cm_update *update); /* for CM_CLEANUP */
/* SET, SET_ON_INSERT, MAX */
void cm_update_value(struct cm_update *update, enum cm_update_operator operator,
                     struct cm_doc_field field, const void *value);
void cm_update_unset(struct cm_update *update, struct cm_doc_field field);
void cm_update_inc(struct cm_update *update, struct cm_doc_field field,
                   int64_t by); /* an integer */
/* Behind the items of an array. */
void cm_update_push(struct cm_update *update, struct cm_doc_field array, const void *items,
                    size_t count);
/* Takes out the items whose member (CM_ITEM_FIELD, CM_EACH_ITEM) is one of these values. */
void cm_update_pull(struct cm_update *update, struct cm_doc_field item_field, const void *values,
                    size_t count);
/* All members of a document, for an upsert: SET_ON_INSERT, and nothing when it is there. */
void cm_update_insert(struct cm_update *update, const struct cm_schema *schema, const void *value);

#define CM_UPDATE_SET(update, type, member, pointer)                                               \
        cm_update_value(update, CM_OPERATOR_SET, CM_FIELD(type, member),                           \
                        CM_LIKE(type, member, pointer))
#define CM_UPDATE_UNSET(update, type, member)   cm_update_unset(update, CM_FIELD(type, member))
#define CM_UPDATE_INC(update, type, member, by) cm_update_inc(update, CM_FIELD(type, member), by)
#define CM_UPDATE_PUSH(update, type, member, pointer, count)                                       \
        cm_update_push(update, CM_FIELD(type, member), CM_LIKE_ITEM(type, member, pointer), count)
#define CM_UPDATE_SET_ON_INSERT(update, type, member, pointer)                                     \
        cm_update_value(update, CM_OPERATOR_SET_ON_INSERT, CM_FIELD(type, member),                 \
                        CM_LIKE(type, member, pointer))

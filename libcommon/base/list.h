#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

/* Intrusive doubly linked list with a sentinel head. A node is in at most one list. */
struct cm_list {
        struct cm_list *prev;
        struct cm_list *next;
};

static inline void cm_list_init(struct cm_list *list)
{
        list->prev = list->next = list;
}

static inline bool cm_list_is_empty(const struct cm_list *list)
{
        return list->next == list;
}

static inline void cm_list_append(struct cm_list *list, struct cm_list *node)
{
        node->prev = list->prev;
        node->next = list;
        list->prev->next = node;
        list->prev = node;
}

/* Leaves the node pointing at itself, so that removing twice is harmless. */
static inline void cm_list_remove(struct cm_list *node)
{
        node->prev->next = node->next;
        node->next->prev = node->prev;
        cm_list_init(node);
}

static inline struct cm_list *cm_list_pop(struct cm_list *list)
{
        struct cm_list *node = list->next;

        if (node == list)
                return NULL;
        cm_list_remove(node);
        return node;
}

#define CM_LIST_EACH(node, list)                                                                   \
        for (struct cm_list *node = (list)->next; node != (list); node = node->next)
#define CM_LIST_EACH_SAFE(node, list)                                                              \
        for (struct cm_list *node = (list)->next, *node##_next = node->next; node != (list);       \
             node = node##_next, node##_next = node->next)

#pragma once
#include "chat.h"

/*
 * Fibers of one worker that write to one conversation do so one after the other, in the order they
 * came, so that nobody loses the race for its page again and again. Between workers and replicas
 * the store decides who was first. Lives on the fiber's stack.
 */
struct turn {
        struct cm_list node;
        struct chat *chat;
        struct cm_uuid conversation_id;
        struct cm_cond come;
};

/* 0, or why the wait ended early (then it is not to be passed on). Suspends; *waited_r: others
 * wrote meanwhile. */
int turn_take(struct turn *turn, struct chat *chat, const struct cm_uuid *conversation_id,
              bool *waited_r) CM_MUST_CHECK;
void turn_pass(struct turn *turn);

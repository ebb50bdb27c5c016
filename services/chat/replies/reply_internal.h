#pragma once
#include "context.h"
#include "reply.h"

/* A reply in the making: reply.c has its life, reply_make.c what is said in it. */

/* A page of replies that have all of this, and of the messages between, is a document that MongoDB
 * takes. */
#define REPLY_MAX_TOOLS      64
#define REPLY_MAX_TOOL_BYTES (256 * 1024) /* arguments and results that are kept */
#define REPLY_MAX_RESULT     (64 * 1024)  /* of one; a longer one is not kept */

enum stage { PREPARED, BEGUN, DROPPED };

struct reply {
        struct cm_list node;
        struct chat *chat;
        struct cm_arena arena;
        enum stage stage;
        struct cm_cond decided;   /* it has begun, or was dropped */
        struct cm_event_log *log; /* NULL: it has not begun */
        struct conversation_document conversation;
        struct cm_uuid conversation_id;
        struct message_document message; /* what is answered */
        struct cm_items before;          /* what was said before, as far as it is known */
        struct analysis analysis;        /* of it */
        struct reply_context context;
        int64_t started_us;
        int result;            /* of the work */
        int touched;           /* whether the conversation knows */
        int placed;            /* whether it is found by its id; 0: yes */
        struct cm_fiber *work; /* while it runs */
        int64_t stopped_us;    /* monotonic; 0: nobody asked */
        bool is_cut;           /* the worker ends */
        bool has_started;      /* that was said when the log was claimed */

        /* What comes of it. */
        struct message_document out;
        struct cm_buf said;
        struct tool_call_document tools[REPLY_MAX_TOOLS];
        size_t tool_bytes;
        bool is_full; /* its text is as long as it may be */
        int64_t prompt_tokens;
};

/* Says one event, to whoever follows the reply. 0 or an error. */
int reply_say(struct reply *reply, const struct cm_event_type *type,
              const void *value) CM_MUST_CHECK;
/* Says all of it: help, or what the planner says and does. Suspends, and may be cancelled. */
int reply_make(struct reply *reply) CM_MUST_CHECK;

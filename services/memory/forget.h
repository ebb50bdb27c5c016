#pragma once
#include "bus/consumer.h"
#include "memory_service.h"

/* Forgetting, for HTTP and RPC alike. When these return, what was forgotten is in no answer of any
 * worker or replica. 0, MEMORY_STORED_BEFORE, MEMORY_KEY_REUSED (memory_store.h) or an error;
 * without a key (all of it absent) 0 or an error. Suspend. */
struct forget_call {
        struct cm_uuid user;
        cm_time now;
        struct forget_key key;
};
int memory_forget_ids(struct memory_service *service, struct cm_arena *arena,
                      const struct forget_call *call, const struct forgotten_ids *ids,
                      struct forgotten_ids *gone_r) CM_MUST_CHECK;
int memory_forget_everything(struct memory_service *service, struct cm_arena *arena,
                             const struct cm_uuid *user, cm_time now,
                             int64_t *count_r) CM_MUST_CHECK;
/* What a question clearly finds, with its restatements. */
int memory_forget_query(struct memory_service *service, struct cm_arena *arena,
                        const struct forget_call *call, const struct forget_input *in,
                        struct forgotten_ids *gone_r) CM_MUST_CHECK;

/* memory.forgotten: the short-term list goes, also when Redis was away when it should have gone. */
int memory_on_forgotten(struct cm_delivery *delivery, const void *fact);
/* user.erased: all memories go, in the inbox transaction; the short-term list with memory.forgotten
 * that follows. A fact is a struct user_erased. */
int memory_on_erased(struct cm_delivery *delivery, const void *fact);

#pragma once
#include "memory_store.h"

/* Shared by the files that know the tables. */

/* The columns of a struct memory, in the order that memory_row_read() expects. */
#define MEMORY_COLUMNS                                                                             \
        "m.user_id, m.id, m.version, m.content, m.processed_content, m.anonymized_version,"        \
        " m.language, m.memory_type, m.storage_type, m.significance_level,"                        \
        " m.significance_category, m.relevance_score, m.stability_score, m.explicitness_score,"    \
        " m.user_consent, m.pii_detected, m.extraction_metadata, m.tags, m.conversation_id,"       \
        " m.message_id, m.source_start, m.source_end, m.slot, m.valid_from, m.valid_until,"        \
        " m.superseded_by, m.is_active, m.is_archived, m.created_at, m.updated_at,"                \
        " m.last_accessed_at"
enum { MEMORY_COLUMN_COUNT = 31 };

int memory_row_read(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                    struct memory *memory_r) CM_MUST_CHECK;
int memory_rows_read(const struct cm_pg_result *result, struct cm_arena *arena,
                     struct memory_list *list_r) CM_MUST_CHECK;

/* Keys are kept as digests; absent stays absent. The digest lives as long as *space. */
struct key_digest {
        uint8_t whole[32];
};
struct cm_str memory_key_digest(struct cm_str text, struct key_digest *space);

/* As uuid[]. */
void memory_put_ids(struct cm_pg_params *params, const struct forgotten_ids *ids);

/* Takes the person's next generation, and the lock under which it is used. */
extern const struct cm_pg_statement memory_next_generation;

#include "embedding.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "embedding_hash.h"
#include "sys/log.h"

int embedder_new(const char *name, struct embedder **embedder_r)
{
        if (strcmp(name, "hash") == 0) {
                *embedder_r = embedding_hash_new();
                return 0;
        }
        cm_log(CM_LOG_ERROR, "EMBEDDING names what this release does not have; it has: hash",
               CM_F_TEXT("embedding", name));
        return -CM_E_CONFIG;
}

void embedder_free(struct embedder **embedder)
{
        if (!*embedder)
                return;
        (*embedder)->free(*embedder);
        *embedder = NULL;
}

void embedding_finish(struct embedding *embedding)
{
        int32_t sum = 0;

        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++)
                sum += embedding->values[i] * embedding->values[i];
        embedding->norm = sqrtf((float)sum);
}

double embedding_cosine(const struct embedding *a, const struct embedding *b)
{
        int32_t dot = 0;

        if (a->norm == 0 || b->norm == 0)
                return 0;
        for (int i = 0; i < EMBEDDING_DIMENSIONS; i++)
                dot += a->values[i] * b->values[i];
        return dot / ((double)a->norm * b->norm);
}

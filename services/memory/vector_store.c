#include "vector_store.h"

#include <string.h>

#include "base/error.h"
#include "sys/log.h"

int vector_store_find(const char *name, const struct vector_store_kind **kind_r)
{
        if (strcmp(name, vector_store_embedded.name) == 0) {
                *kind_r = &vector_store_embedded;
                return 0;
        }
        cm_log(CM_LOG_ERROR,
               "VECTOR_DB_TYPE names what this release does not have; it has: embedded",
               CM_F_TEXT("vector_db_type", name));
        return -CM_E_CONFIG;
}

void vector_store_free(struct vector_store **store)
{
        if (!*store)
                return;
        (*store)->kind->free(*store);
        *store = NULL;
}

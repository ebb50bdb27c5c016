#include "bus/consumer.h"
#include "bus/relay.h"
#include "service/documents.h"
#include "service/user_refs_internal.h"

const struct cm_document_store cm_document_store = {
        .inbox = &cm_inbox_documents,
        .outbox = &cm_outbox_documents,
        .open = documents_open,
        .close = cm_mongo_free,
        .is_ready = cm_mongo_is_ready,
        .check = documents_check,
        .begin = documents_begin,
        .migrate_command = documents_migrate_command,
        .status_command = documents_status_command,
        .find_user = user_ref_document_find,
        .put_users = user_ref_documents_put,
};

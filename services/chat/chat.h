#pragma once
#include "analysis/crisis.h"
#include "analysis/help.h"
#include "analysis/sentiment.h"
#include "bus/event_log.h"
#include "http/client.h"
#include "planners/planner.h"
#include "service/service.h"
#include "sys/fiber.h"
#include "sys/zones.h"

/* What one worker of chat works with. */
struct chat {
        struct cm_worker *worker;
        const struct chat_settings *settings;
        struct cm_mongo *mongo;
        struct cm_event_logs *logs;
        struct cm_zones *zones;
        struct crisis_detector *crisis;
        struct help *help;
        struct sentiment *sentiment;
        struct planner *planner;  /* by SALUS_PLANNER */
        struct planner *rules;    /* the same, or who answers while a model is gone */
        struct cm_client *client; /* of a model; NULL without */
        struct provider *provider;
        struct cm_list replies; /* being made: struct reply */
        size_t reply_count;
        struct cm_list turns; /* who writes to a conversation, or waits for it: struct turn */
        bool is_ending;
        struct cm_cond ended; /* a reply has ended */
};

int chat_worker_start(struct cm_worker *worker);
void chat_worker_stop(struct cm_worker *worker);

/* Collections, and what the database must have. */
extern const struct cm_collection conversation_collection, page_collection, reply_collection,
        user_context_collection;
extern const struct cm_documents chat_documents;

/* A handler's answer for the codes of proto/errors.yaml. */
int chat_problem(struct cm_request *request, const char *code, const char *detail);

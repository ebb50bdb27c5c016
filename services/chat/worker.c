#include "base/error.h"
#include "base/mem.h"
#include "chat.h"
#include "data.h"
#include "errors.h"
#include "reply.h"
#include "rules_planner.h"
#include "sys/log.h"

/* What a worker of chat starts with, and how it ends: replies that are being made come first. */

static int complain(const char *table, const char *error)
{
        cm_log(CM_LOG_ERROR, "a table of chat cannot be used", CM_F_TEXT("table", table),
               CM_F_TEXT("why", error));
        return -CM_E_CONFIG;
}

static int start_planner(struct chat *chat)
{
        const struct rules_tables tables = { chat_table(CHAT_TABLE_INTENTS),
                                             chat_table(CHAT_TABLE_EXERCISES) };
        const char *error;

        if (!cm_str_equal(cm_str_from(chat->settings->planner), CM_STR("rules")))
                return complain("SALUS_PLANNER", "must be rules");
        chat->planner = rules_planner_new(&tables, &error);
        return chat->planner ? 0 : complain("intents, exercises", error);
}

static int read_tables(struct chat *chat)
{
        const char *error;

        chat->crisis = crisis_detector_new(chat_table(CHAT_TABLE_CRISIS), &error);
        if (!chat->crisis)
                return complain("crisis", error);
        chat->help = help_new(chat_table(CHAT_TABLE_HELP), chat_table(CHAT_TABLE_HELP_COUNTRIES),
                              &error);
        if (!chat->help)
                return complain("help", error);
        chat->sentiment = sentiment_new(chat_table(CHAT_TABLE_SENTIMENT), &error);
        return chat->sentiment ? start_planner(chat) : complain("sentiment", error);
}

int chat_worker_start(struct cm_worker *worker)
{
        struct chat *chat = CM_NEW(struct chat);
        const struct cm_event_logs_config logs = {
                .redis = worker->bus,
                .redis_url = ((const struct cm_service_settings *)worker->settings)->redis_url,
                .service = "chat",
        };
        int r;

        worker->object = chat;
        chat->worker = worker;
        chat->settings = worker->settings;
        chat->mongo = worker->mongo;
        chat->zones = cm_zones_new(NULL);
        cm_list_init(&chat->replies);
        cm_cond_init(&chat->ended);
        r = read_tables(chat);
        return r ? r : cm_event_logs_new(worker->loop, &logs, &chat->logs);
}

void chat_worker_stop(struct cm_worker *worker)
{
        struct chat *chat = worker->object;

        if (!chat)
                return;
        replies_end(chat);
        if (chat->logs) {
                (void)!cm_event_logs_flush(chat->logs);
                cm_event_logs_free(&chat->logs);
        }
        if (chat->planner)
                rules_planner_free(&chat->planner);
        if (chat->sentiment)
                sentiment_free(&chat->sentiment);
        if (chat->help)
                help_free(&chat->help);
        if (chat->crisis)
                crisis_detector_free(&chat->crisis);
        cm_zones_free(&chat->zones);
        cm_free(chat);
        worker->object = NULL;
}

int chat_problem(struct cm_request *request, const char *code, const char *detail)
{
        const struct cm_error_code *known = cm_error_code_find(code);
        const struct cm_problem problem = { .status = known->status,
                                            .code = code,
                                            .title = known->title,
                                            .detail = cm_str_from(detail) };

        return cm_reply_problem(request, &problem);
}

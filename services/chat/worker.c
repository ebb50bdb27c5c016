#include "base/error.h"
#include "base/mem.h"
#include "chat.h"
#include "data.h"
#include "errors.h"
#include "planners/openai_planner.h"
#include "planners/rules_planner.h"
#include "replies/reply.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* What a worker of chat starts with, and how it ends: replies that are being made come first. */

static int complain(const char *table, const char *error)
{
        cm_log(CM_LOG_ERROR, "a table of chat cannot be used", CM_F_TEXT("table", table),
               CM_F_TEXT("why", error));
        return -CM_E_CONFIG;
}

static int start_model(struct chat *chat)
{
        const struct chat_settings *settings = chat->settings;
        const struct cm_client_config client = { .loop = chat->worker->loop,
                                                 .max_connections = (size_t)settings->max_replies };
        const struct provider_config provider = { .base_url = settings->model_url,
                                                  .api_key = settings->model_key,
                                                  .attempts = (int)settings->model_attempts,
                                                  .stall_us = settings->model_stall_us };
        const struct openai_planner_config planner = {
                .options = { .model = settings->model,
                             .max_tokens = (int)settings->model_max_tokens,
                             .temperature = -1,
                             .asks_usage = true }
        };
        int r;

        if (!settings->model_url || !settings->model)
                return complain("SALUS_MODEL_URL, SALUS_MODEL", "openai needs both");
        r = cm_client_new(&client, &chat->client);
        if (r)
                return r;
        chat->provider = provider_new(chat->client, &provider);
        chat->planner = openai_planner_new(chat->provider, &planner);
        return 0;
}

static int start_planner(struct chat *chat)
{
        const struct rules_tables tables = { chat_table(CHAT_TABLE_INTENTS),
                                             chat_table(CHAT_TABLE_EXERCISES) };
        const char *error;

        chat->rules = chat->planner = rules_planner_new(&tables, &error);
        if (!chat->rules)
                return complain("intents, exercises", error);
        if (cm_str_equal(cm_str_from(chat->settings->planner), CM_STR("rules")))
                return 0;
        if (cm_str_equal(cm_str_from(chat->settings->planner), CM_STR("openai")))
                return start_model(chat);
        return complain("SALUS_PLANNER", "must be rules or openai");
}

static void tell_age_of_help(const struct help *help)
{
        static struct cm_metric oldest = CM_GAUGE(
                "salus_chat_help_oldest_check_seconds",
                "Unix time at which a help line was compared with its source the longest ago; 0: "
                "one never was");
        static struct cm_metric unchecked =
                CM_GAUGE("salus_chat_help_unchecked",
                         "Help lines that were never compared with their source");
        size_t never;

        cm_gauge_set(&oldest, help_oldest_check(help, &never) / CM_SECOND);
        cm_gauge_set(&unchecked, (int64_t)never);
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
        tell_age_of_help(chat->help);
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
        cm_list_init(&chat->turns);
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
        if (chat->planner && chat->planner != chat->rules)
                openai_planner_free(&chat->planner);
        if (chat->provider)
                provider_free(&chat->provider);
        if (chat->client)
                cm_client_free(&chat->client);
        if (chat->rules)
                rules_planner_free(&chat->rules);
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

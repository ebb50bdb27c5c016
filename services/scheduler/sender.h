#pragma once
#include "delivery_store.h"
#include "http/mail.h"

/* Sends one message, from claimed to settled. */
enum { SENDER_MAX_RETRIES = 16 };
#define SENDER_STORE_TIME_US (10 * CM_SECOND) /* for each step at the database */

struct sender {
        struct scheduler *scheduler;
        struct cm_mailer *mailer;
        struct cm_str domain; /* of Message-IDs: where our own address is */
        int64_t retry_us[SENDER_MAX_RETRIES];
        int retries;
};

/* From the settings; -CM_E_CONFIG (logged) when they cannot work. */
int sender_init(struct sender *sender, struct scheduler *scheduler) CM_MUST_CHECK;
void sender_deinit(struct sender *sender);

/* How long a claimed message stays its sender's. */
int64_t sender_lease_us(const struct sender *sender);
/* In a fiber of its own. What goes wrong is recorded or logged. Suspends. */
void sender_run(struct sender *sender, const struct delivery_ticket *ticket);

#pragma once
#include "mail_store.h"
#include "sender.h"

/* Sends one mail about an account, from claimed to settled. In a fiber of its own; what goes wrong
 * is recorded or logged. Suspends. */
void mail_sender_run(struct sender *sender, const struct mail_job *job);

#pragma once
#include "mail_store.h"
#include "mail_text.h"

/*
 * What a mail about an account says, in the person's language (Hebrew or else English). Only words
 * of our own, a code and a link of auth's, a time and an address of the network: nothing that a
 * stranger chose, such as a name or a user agent, so that nobody has us deliver their words. Pure.
 */
void notice_text_write(const struct mail_job *job, const struct cm_zone *zone,
                       const struct mail_contents *contents, struct cm_arena *arena,
                       struct mail_text *text_r);

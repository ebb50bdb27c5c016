#pragma once
#include "sessions/session_store.h"
#include "sessions/token_reply.h"

/* The beginning of a session, shared by registration and login. */
struct sign_in {
        struct session_start start;
        struct chain_link link;
};

/* Prepares a session of `user` on the device that sent the request. */
void sign_in_prepare(struct cm_request *request, const struct user *user,
                     struct cm_str password_hash, struct cm_str device_name,
                     struct sign_in *sign_in_r);
/* Replies with tokens and account once the session is durable. */
int sign_in_reply(struct cm_request *request, int status, const struct sign_in *sign_in,
                  const struct user *user);

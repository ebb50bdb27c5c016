#pragma once
#include "openai_request.h"
#include "provider.h"

/*
 * The planner that asks a model. The model sees pseudonyms instead of personal data that has a
 * form; what it says and the arguments of its calls get the values back, while streaming. Calls
 * that are not valid are answered to the model without anybody running them; the same call again in
 * one reply is answered with the result it had; rounds are limited, and in the last one there are
 * no tools.
 *
 * next() says -CM_E_UNAVAILABLE when the server is gone, stalled or cut, -CM_E_PROTOCOL when it
 * refuses us; a service then lets `rules` answer when nothing was said yet, and says that it does.
 */
struct openai_planner_config {
        struct openai_options options;
        int max_rounds; /* of tools. 0: 6 */
};

/* One for a worker; the provider must outlive it. */
struct planner *openai_planner_new(struct provider *provider,
                                   const struct openai_planner_config *config);
void openai_planner_free(struct planner **planner);
/* Why the last next() of the run failed; for the log. */
const char *openai_planner_why(const struct planner_run *run);

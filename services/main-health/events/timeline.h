#pragma once
#include "http/request.h"
#include "main_health_api.h"

/* The timeline for both paths that show it. */
int timeline_reply(struct cm_request *request, const struct health_event_list_params *params);

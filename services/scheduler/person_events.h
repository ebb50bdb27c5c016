#pragma once
#include "bus/consumer.h"

/* What auth says of people: who they are, where they are, and how they are reached. */
extern const struct cm_subscription scheduler_subscriptions[];

#pragma once
#include "bus/consumer.h"

/* What main-health hears from auth: who people are, and in which zone from when on. */
extern const struct cm_subscription person_subscriptions[];

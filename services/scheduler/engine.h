#pragma once
#include "scheduler.h"

/*
 * The heart: works through what is due, sends messages, and sleeps until exactly the next time, or
 * until the database says that something changed. Any number of replicas run one each, none leads.
 */
struct engine;

/* Starts its fiber. -CM_E_CONFIG when the settings of mail cannot work. */
int engine_start(struct scheduler *scheduler, struct engine **engine_r) CM_MUST_CHECK;
/* Something may be due sooner than was known. Any fiber of the loop. */
void engine_wake(struct engine *engine);
/* Finishes what is in hand, or leaves it to others when the fiber's deadline comes first. Suspends.
 */
void engine_stop(struct engine **engine);

#pragma once
#include "bus/consumer.h"

/* user.erased: all conversations go as if the person had deleted them, and how the person wants to
 * be talked to. A fact is a struct user_erased. Again has no effect. */
int chat_on_erased(struct cm_delivery *delivery, const void *fact);

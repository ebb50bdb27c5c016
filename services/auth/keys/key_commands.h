#pragma once
#include "service/service.h"

/* What an operator does with signing keys; main.c has the words. They return the exit status. */
int key_list_command(struct cm_worker *worker, const char *argument);
int key_rotate_command(struct cm_worker *worker, const char *argument);
int key_withdraw_command(struct cm_worker *worker, const char *kid);

#pragma once
#include "sys/loop.h"

/* Where the fibers of a loop hang: for sys/fiber.c only. */
void **cm_loop_fibers(struct cm_loop *loop);

#pragma once
#include <stddef.h>
/* Compiler attributes under names that say what they are for. */

#define CM_MUST_CHECK          __attribute__((warn_unused_result))
#define CM_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define CM_UNUSED              __attribute__((unused))
#define CM_NORETURN            __attribute__((noreturn))

/* Runs `fn(&variable)` when the variable leaves its scope; `fn` accepts NULL contents. */
#define CM_CLEANUP(fn) __attribute__((cleanup(fn)))

#define CM_COUNT(array)                 (sizeof(array) / sizeof((array)[0]))
#define CM_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

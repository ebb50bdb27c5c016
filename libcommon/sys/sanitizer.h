#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * What the sanitizers must be told when the stack changes under them. In a usual build all of this
 * is nothing. ASan keeps a shadow of each stack and a fake stack for returned frames; TSan thinks
 * in fibers of its own; Valgrind wants stacks registered.
 */
#if defined(CM_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(CM_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define CM_VALGRIND 1
#endif

#if defined(CM_ASAN) || defined(CM_TSAN)
#define CM_SANITIZER_STACK_FACTOR 8 /* frames carry red zones */
#else
#define CM_SANITIZER_STACK_FACTOR 1
#endif

struct cm_sanitizer_thread {
        const void *bottom; /* of the thread's own stack, learned on arriving in a fiber */
        size_t size;
        void *fake;
        void *tsan;
};

struct cm_sanitizer_stack {
        void *bottom;
        size_t size;
        void *fake;
        void *tsan;
        void *resumer; /* TSan: who entered */
        const void *outer_bottom;
        size_t outer_size;
        void *outer_fake;
        unsigned valgrind_id;
};

static inline void cm_sanitizer_thread_init(struct cm_sanitizer_thread *thread)
{
        *thread = (struct cm_sanitizer_thread){ 0 };
}

static inline void cm_sanitizer_stack_init(struct cm_sanitizer_stack *stack, void *bottom,
                                           size_t size)
{
        *stack = (struct cm_sanitizer_stack){ .bottom = bottom, .size = size };
#ifdef CM_TSAN
        stack->tsan = __tsan_create_fiber(0);
#endif
#ifdef CM_VALGRIND
        stack->valgrind_id = VALGRIND_STACK_REGISTER(bottom, (char *)bottom + size);
#endif
}

static inline void cm_sanitizer_stack_deinit(struct cm_sanitizer_stack *stack)
{
#ifdef CM_TSAN
        __tsan_destroy_fiber(stack->tsan);
#endif
#ifdef CM_ASAN
        /* What the fiber's frames left poisoned must not haunt the next mapping at this address. */
        __asan_unpoison_memory_region(stack->bottom, stack->size);
#endif
#ifdef CM_VALGRIND
        VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
        (void)stack;
}

/* On the resumer's stack, just before the switch into the fiber. */
static inline void cm_sanitizer_enter(struct cm_sanitizer_thread *thread,
                                      struct cm_sanitizer_stack *stack)
{
        (void)thread;
        (void)stack;
#ifdef CM_ASAN
        __sanitizer_start_switch_fiber(&stack->outer_fake, stack->bottom, stack->size);
#endif
#ifdef CM_TSAN
        stack->resumer = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(stack->tsan, 0);
#endif
}

/* On the fiber's stack, just after. */
static inline void cm_sanitizer_arrived_inside(struct cm_sanitizer_thread *thread,
                                               struct cm_sanitizer_stack *stack)
{
        (void)thread;
        (void)stack;
#ifdef CM_ASAN
        __sanitizer_finish_switch_fiber(stack->fake, &stack->outer_bottom, &stack->outer_size);
#endif
}

/* On the fiber's stack, just before going back to the resumer. */
static inline void cm_sanitizer_leave(struct cm_sanitizer_thread *thread,
                                      struct cm_sanitizer_stack *stack)
{
        (void)thread;
        (void)stack;
#ifdef CM_ASAN
        __sanitizer_start_switch_fiber(&stack->fake, stack->outer_bottom, stack->outer_size);
#endif
#ifdef CM_TSAN
        __tsan_switch_to_fiber(stack->resumer, 0);
#endif
}

/* On the resumer's stack, just after. */
static inline void cm_sanitizer_arrived_outside(struct cm_sanitizer_thread *thread,
                                                struct cm_sanitizer_stack *stack)
{
        (void)thread;
        (void)stack;
#ifdef CM_ASAN
        __sanitizer_finish_switch_fiber(stack->outer_fake, NULL, NULL);
#endif
}

/* Whether a whole stack may be read word by word. */
static inline bool cm_sanitizer_may_scan(void)
{
#if defined(CM_ASAN) || defined(CM_TSAN)
        return false;
#else
        return true;
#endif
}

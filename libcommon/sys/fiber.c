/* longjmp between stacks looks like an uninitialised frame to the fortified version. */
#undef _FORTIFY_SOURCE

#include "sys/fiber.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/loop_internal.h"
#include "sys/sanitizer.h"

/*
 * How a fiber gets and leaves the processor. A stack is entered for the first time through
 * makecontext(), which is portable but slow (it saves the signal mask by a system call); every
 * switch after that is sigsetjmp/siglongjmp without the mask, and without a system call. QEMU does
 * the same and for the same reasons; hand-written assembly would cost a file per processor.
 *
 * A stack outlives its fiber: when fn returns, the stack's main loop switches away and waits for
 * the next fiber, so that a pooled stack is never entered by makecontext() twice.
 *
 * Who runs: the loop's thread is "outside" until a fiber is entered; a fiber switches back to
 * whoever entered it. A fiber that is woken runs from a deferred call of the loop, never from
 * inside the callback that woke it, so a callback never sees a handler's effects half way.
 */

struct stack {
        struct cm_list link; /* in the pool's idle list */
        char *memory;        /* guard page first */
        sigjmp_buf inside;   /* where the fiber goes on */
        sigjmp_buf outside;  /* where its resumer goes on */
        struct cm_fiber *fiber;
        struct pool *pool;
        struct cm_sanitizer_stack sanitizer;
};

struct cm_fiber {
        struct stack *stack;
        struct pool *pool;
        const char *name;
        cm_fiber_fn *fn;
        void *arg;
        int64_t deadline_us;
        struct cm_timer *timer;
        struct cm_wait *waiting; /* what it is suspended in */
        bool cancelled;
        bool shielded;
        bool ended;
        struct cm_context context;
        struct cm_group *group;
        struct cm_list sibling;
        struct cm_list idle;
};

struct pool {
        struct cm_loop *loop;
        struct cm_fiber_pool_config config;
        struct cm_list idle_stacks;
        size_t idle_count;
        struct cm_list idle_fibers;
        struct cm_fiber_stats stats;
        unsigned ended; /* fibers, for sampling of the high-water mark */
        struct cm_sanitizer_thread sanitizer;
};

static _Thread_local struct cm_fiber *self;

static struct pool *pool_of(struct cm_loop *loop)
{
        return *cm_loop_fibers(loop);
}

int cm_fiber_pool_init(struct cm_loop *loop, const struct cm_fiber_pool_config *config)
{
        struct pool *pool = CM_NEW(struct pool);

        CM_ASSERT(!pool_of(loop));
        pool->loop = loop;
        pool->config = *config;
        pool->config.stack_size *= CM_SANITIZER_STACK_FACTOR;
        pool->stats.stack_size = pool->config.stack_size;
        cm_list_init(&pool->idle_stacks);
        cm_list_init(&pool->idle_fibers);
        cm_sanitizer_thread_init(&pool->sanitizer);
        *cm_loop_fibers(loop) = pool;
        return 0;
}

static void stack_free(struct stack *stack)
{
        cm_sanitizer_stack_deinit(&stack->sanitizer);
        munmap(stack->memory, stack->pool->config.stack_size + (size_t)getpagesize());
        cm_free(stack);
}

void cm_fiber_pool_deinit(struct cm_loop *loop)
{
        struct pool *pool = pool_of(loop);
        struct cm_list *node;

        if (!pool)
                return;
        CM_ASSERT(pool->stats.running == 0);
        while ((node = cm_list_pop(&pool->idle_stacks)))
                stack_free(CM_CONTAINER(node, struct stack, link));
        while ((node = cm_list_pop(&pool->idle_fibers))) {
                struct cm_fiber *fiber = CM_CONTAINER(node, struct cm_fiber, idle);

                cm_timer_free(&fiber->timer);
                cm_free(fiber);
        }
        cm_free(pool);
        *cm_loop_fibers(loop) = NULL;
}

void cm_fiber_stats(struct cm_loop *loop, struct cm_fiber_stats *stats_r)
{
        *stats_r = pool_of(loop)->stats;
}

/* ---- switching */

/* Called on the fiber's stack: gives the processor back to whoever resumed it. */
static void switch_out(struct stack *stack)
{
        if (sigsetjmp(stack->inside, 0) == 0) {
                cm_sanitizer_leave(&stack->pool->sanitizer, &stack->sanitizer);
                siglongjmp(stack->outside, 1);
        }
        cm_sanitizer_arrived_inside(&stack->pool->sanitizer, &stack->sanitizer);
}

static void stack_main(unsigned high, unsigned low)
{
        struct stack *stack = (struct stack *)((uintptr_t)high << 32 | low);

        cm_sanitizer_arrived_inside(&stack->pool->sanitizer, &stack->sanitizer);
        switch_out(stack); /* the stack is prepared: back to stack_new() */
        for (;;) {
                stack->fiber->fn(stack->fiber->arg);
                stack->fiber->ended = true;
                switch_out(stack);
        }
}

static void enter_first_time(struct stack *stack)
{
        ucontext_t inside, outside;
        uintptr_t address = (uintptr_t)stack;
        size_t page = (size_t)getpagesize();

        getcontext(&inside);
        inside.uc_link = NULL;
        inside.uc_stack.ss_sp = stack->memory + page;
        inside.uc_stack.ss_size = stack->pool->config.stack_size;
        makecontext(&inside, (void (*)(void))stack_main, 2, (unsigned)(address >> 32),
                    (unsigned)address);
        if (sigsetjmp(stack->outside, 0) == 0) {
                cm_sanitizer_enter(&stack->pool->sanitizer, &stack->sanitizer);
                swapcontext(&outside, &inside);
        }
        cm_sanitizer_arrived_outside(&stack->pool->sanitizer, &stack->sanitizer);
}

static struct stack *stack_new(struct pool *pool)
{
        size_t page = (size_t)getpagesize();
        size_t size = pool->config.stack_size;
        struct stack *stack;
        char *memory = mmap(NULL, page + size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
                return NULL;
        CM_ASSERT(mprotect(memory, page, PROT_NONE) == 0);
        stack = CM_NEW(struct stack);
        stack->memory = memory;
        stack->pool = pool;
        cm_list_init(&stack->link);
        cm_sanitizer_stack_init(&stack->sanitizer, memory + page, size);
        enter_first_time(stack);
        return stack;
}

static struct stack *stack_take(struct pool *pool)
{
        struct cm_list *node = cm_list_pop(&pool->idle_stacks);

        if (!node)
                return stack_new(pool);
        pool->idle_count--;
        return CM_CONTAINER(node, struct stack, link);
}

/* How deep the stack was ever used: fresh pages are zero, and nothing zeroes them again. */
static void sample_high_water(struct pool *pool, const struct stack *stack)
{
        const char *bottom = stack->memory + getpagesize();
        size_t size = pool->config.stack_size, free_bytes = 0;
        const uint64_t *words = (const uint64_t *)(const void *)bottom;

        if (!cm_sanitizer_may_scan() || pool->ended++ % 1024 != 0)
                return;
        while (free_bytes < size && words[free_bytes / 8] == 0)
                free_bytes += 8;
        if (size - free_bytes > pool->stats.stack_high_water)
                pool->stats.stack_high_water = size - free_bytes;
}

static void stack_give_back(struct pool *pool, struct stack *stack)
{
        stack->fiber = NULL;
        if (pool->idle_count >= pool->config.keep_stacks) {
                stack_free(stack);
                return;
        }
        /* Last used, first taken: its pages are warm. */
        cm_list_append(pool->idle_stacks.next, &stack->link);
        pool->idle_count++;
}

static void group_child_ended(struct cm_group *group, struct cm_fiber *fiber);

static void fiber_end(struct cm_fiber *fiber)
{
        struct pool *pool = fiber->pool;

        sample_high_water(pool, fiber->stack);
        stack_give_back(pool, fiber->stack);
        fiber->stack = NULL;
        cm_timer_stop(fiber->timer);
        pool->stats.running--;
        if (fiber->group)
                group_child_ended(fiber->group, fiber);
        cm_list_append(pool->idle_fibers.next, &fiber->idle);
}

static void resume(struct cm_fiber *fiber)
{
        struct cm_fiber *outer = self;
        struct stack *stack = fiber->stack;

        self = fiber;
        if (sigsetjmp(stack->outside, 0) == 0) {
                cm_sanitizer_enter(&stack->pool->sanitizer, &stack->sanitizer);
                siglongjmp(stack->inside, 1);
        }
        cm_sanitizer_arrived_outside(&stack->pool->sanitizer, &stack->sanitizer);
        self = outer;
        if (fiber->ended)
                fiber_end(fiber);
}

static void resume_deferred(void *arg)
{
        resume(arg);
}

/* ---- starting */

static void on_deadline(void *arg);

static struct cm_fiber *fiber_take(struct pool *pool)
{
        struct cm_list *node = cm_list_pop(&pool->idle_fibers);
        struct cm_fiber *fiber;
        struct cm_timer *timer;

        if (!node) {
                fiber = CM_NEW(struct cm_fiber);
                fiber->timer = cm_timer_new(pool->loop, on_deadline, fiber);
                return fiber;
        }
        fiber = CM_CONTAINER(node, struct cm_fiber, idle);
        timer = fiber->timer;
        *fiber = (struct cm_fiber){ .timer = timer };
        return fiber;
}

static int prepare(const char *name, cm_fiber_fn *fn, void *arg, int64_t deadline_us,
                   struct cm_fiber **fiber_r)
{
        struct cm_loop *loop = cm_loop_current();
        struct pool *pool = loop ? pool_of(loop) : NULL;
        struct cm_fiber *fiber;
        struct stack *stack;

        CM_ASSERT(pool);
        if (pool->stats.running >= pool->config.max_fibers)
                return -CM_E_OVERLOAD;
        stack = stack_take(pool);
        if (!stack)
                return -CM_E_OVERLOAD;
        fiber = fiber_take(pool);
        fiber->pool = pool;
        fiber->stack = stack;
        fiber->name = name;
        fiber->fn = fn;
        fiber->arg = arg;
        fiber->deadline_us = deadline_us;
        cm_list_init(&fiber->sibling);
        cm_list_init(&fiber->idle);
        if (self) {
                fiber->context = self->context;
                if (self->deadline_us < deadline_us)
                        fiber->deadline_us = self->deadline_us;
        }
        stack->fiber = fiber;
        if (++pool->stats.running > pool->stats.most_running)
                pool->stats.most_running = pool->stats.running;
        *fiber_r = fiber;
        return 0;
}

int cm_fiber_start(const char *name, cm_fiber_fn *fn, void *arg, int64_t deadline_us)
{
        struct cm_fiber *fiber;
        int r = prepare(name, fn, arg, deadline_us, &fiber);

        if (r < 0)
                return r;
        cm_loop_defer(fiber->pool->loop, resume_deferred, fiber);
        return 0;
}

int cm_fiber_enter(const char *name, cm_fiber_fn *fn, void *arg, int64_t deadline_us)
{
        struct cm_fiber *fiber;
        int r = prepare(name, fn, arg, deadline_us, &fiber);

        if (r < 0)
                return r;
        resume(fiber);
        return 0;
}

struct cm_fiber *cm_fiber_self(void)
{
        return self;
}

int64_t cm_fiber_deadline_us(void)
{
        return self ? self->deadline_us : CM_NEVER;
}

int64_t cm_fiber_set_deadline(int64_t deadline_us)
{
        int64_t before = cm_fiber_deadline_us();

        if (self)
                self->deadline_us = deadline_us;
        return before;
}

struct cm_context *cm_fiber_context(void)
{
        static _Thread_local struct cm_context none;

        return self ? &self->context : &none;
}

void cm_fiber_shield(void)
{
        if (self)
                self->shielded = true;
}

/* ---- waiting */

void cm_wait_init(struct cm_wait *wait)
{
        CM_ASSERT(self);
        *wait = (struct cm_wait){ .fiber = self };
}

static void end_wait(struct cm_wait *wait, int result)
{
        wait->done = true;
        wait->result = result;
        if (!wait->waiting)
                return;
        wait->waiting = false;
        wait->fiber->waiting = NULL;
        cm_loop_defer(wait->fiber->pool->loop, resume_deferred, wait->fiber);
}

void cm_wait_done(struct cm_wait *wait, int result)
{
        /* After a deadline or a cancel nobody listens any more, but the adapter may have been on
         * its way in the same turn: the first result stands. */
        if (wait->done)
                return;
        wait->answered = true;
        end_wait(wait, result);
}

static void on_deadline(void *arg)
{
        struct cm_fiber *fiber = arg;

        if (!fiber->waiting)
                return;
        if (cm_monotonic_us() < fiber->deadline_us)
                cm_timer_start(fiber->timer, fiber->deadline_us - cm_monotonic_us());
        else
                end_wait(fiber->waiting, -CM_E_DEADLINE);
}

int cm_wait_for(struct cm_wait *wait)
{
        struct cm_fiber *fiber = wait->fiber;

        CM_ASSERT(fiber == self);
        if (wait->done)
                return wait->result;
        if (fiber->cancelled && !fiber->shielded) {
                wait->done = true;
                return wait->result = -CM_E_CANCELLED;
        }
        wait->waiting = true;
        fiber->waiting = wait;
        if (fiber->deadline_us != CM_NEVER)
                cm_timer_start(fiber->timer, fiber->deadline_us - cm_monotonic_us());
        switch_out(fiber->stack);
        if (fiber->deadline_us != CM_NEVER)
                cm_timer_stop(fiber->timer);
        return wait->result;
}

int cm_wait_for_shielded(struct cm_wait *wait)
{
        bool shielded = self->shielded;
        int64_t before = cm_fiber_set_deadline(CM_NEVER);
        int r;

        self->shielded = true;
        r = cm_wait_for(wait);
        cm_fiber_set_deadline(before);
        self->shielded = shielded;
        return r;
}

void cm_fiber_cancel(struct cm_fiber *fiber)
{
        fiber->cancelled = true;
        if (fiber->waiting && !fiber->shielded)
                end_wait(fiber->waiting, -CM_E_CANCELLED);
}

int cm_fiber_sleep(int64_t duration_us)
{
        int64_t until = cm_monotonic_us() + (duration_us > 0 ? duration_us : 0);
        int64_t before = cm_fiber_deadline_us();
        struct cm_wait wait;
        int r;

        cm_wait_init(&wait);
        cm_fiber_set_deadline(until < before ? until : before);
        r = cm_wait_for(&wait);
        cm_fiber_set_deadline(before);
        return r == -CM_E_DEADLINE && until < before ? 0 : r;
}

static void wake_deferred(void *arg)
{
        cm_wait_done(arg, 0);
}

int cm_fiber_yield(void)
{
        struct cm_wait wait;

        cm_wait_init(&wait);
        cm_loop_post(self->pool->loop, wake_deferred, &wait);
        /* The posted call holds the address of this wait, so nothing may end it early. */
        cm_wait_for_shielded(&wait);
        if (self->cancelled && !self->shielded)
                return -CM_E_CANCELLED;
        return cm_monotonic_us() < self->deadline_us ? 0 : -CM_E_DEADLINE;
}

/* ---- groups */

void cm_group_init(struct cm_group *group)
{
        *group = (struct cm_group){ 0 };
        cm_list_init(&group->children);
}

int cm_group_start(struct cm_group *group, const char *name, cm_fiber_fn *fn, void *arg)
{
        struct cm_fiber *fiber;
        int r = prepare(name, fn, arg, cm_fiber_deadline_us(), &fiber);

        if (r < 0)
                return r;
        fiber->group = group;
        cm_list_append(&group->children, &fiber->sibling);
        group->running++;
        cm_loop_defer(fiber->pool->loop, resume_deferred, fiber);
        return 0;
}

static void group_child_ended(struct cm_group *group, struct cm_fiber *fiber)
{
        cm_list_remove(&fiber->sibling);
        if (--group->running == 0 && group->joiner)
                cm_wait_done(group->joiner, 0);
}

int cm_group_join(struct cm_group *group)
{
        struct cm_wait wait;
        int r;

        if (!group->running)
                return 0;
        cm_wait_init(&wait);
        group->joiner = &wait;
        r = cm_wait_for(&wait);
        group->joiner = NULL;
        if (r == 0)
                return 0;
        CM_LIST_EACH (node, &group->children)
                cm_fiber_cancel(CM_CONTAINER(node, struct cm_fiber, sibling));
        while (group->running) {
                cm_wait_init(&wait);
                group->joiner = &wait;
                cm_wait_for_shielded(&wait);
        }
        group->joiner = NULL;
        return r;
}

/* ---- conditions */

struct cond_waiter {
        struct cm_list link;
        struct cm_wait wait;
};

void cm_cond_init(struct cm_cond *cond)
{
        cm_list_init(&cond->waiters);
}

int cm_cond_wait(struct cm_cond *cond)
{
        struct cond_waiter waiter;
        int r;

        cm_wait_init(&waiter.wait);
        cm_list_append(&cond->waiters, &waiter.link);
        r = cm_wait_for(&waiter.wait);
        cm_list_remove(&waiter.link);
        return r;
}

void cm_cond_signal(struct cm_cond *cond)
{
        struct cm_list *node = cm_list_pop(&cond->waiters);

        if (node)
                cm_wait_done(&CM_CONTAINER(node, struct cond_waiter, link)->wait, 0);
}

void cm_cond_broadcast(struct cm_cond *cond)
{
        while (!cm_list_is_empty(&cond->waiters))
                cm_cond_signal(cond);
}

#include "sys/work.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "sys/fiber.h"

struct cm_work_lane {
        const char *name;
        size_t max_queued;
        size_t queued;
        int nice;
        bool ending;
        pthread_mutex_t lock;
        pthread_cond_t something;
        struct cm_list queue;
        pthread_t *threads;
        size_t thread_count;
};

/* Lives on the waiting fiber's stack; the thread's last touch is the post. One that may be left
 * alone lives on the heap, and is freed by the thread when it was left. */
struct job {
        struct cm_list link;
        cm_work_fn *fn;
        void *arg;
        void (*release)(void *arg);
        int result;
        bool taken;
        bool posted;
        bool left;
        bool finished;
        struct cm_loop *loop;
        struct cm_wait *wait;
};

static void job_finished(void *arg)
{
        struct job *job = arg;

        job->finished = true;
        cm_wait_done(job->wait, 0);
}

static struct job *take(struct cm_work_lane *lane)
{
        struct cm_list *node;
        struct job *job = NULL;

        pthread_mutex_lock(&lane->lock);
        while (cm_list_is_empty(&lane->queue) && !lane->ending)
                pthread_cond_wait(&lane->something, &lane->lock);
        node = cm_list_pop(&lane->queue);
        if (node) {
                job = CM_CONTAINER(node, struct job, link);
                job->taken = true;
                lane->queued--;
        }
        pthread_mutex_unlock(&lane->lock);
        return job;
}

static void finish(struct cm_work_lane *lane, struct job *job, int result)
{
        bool left;

        pthread_mutex_lock(&lane->lock);
        left = job->left;
        job->result = result;
        job->posted = true;
        if (!left)
                cm_loop_post(job->loop, job_finished, job);
        pthread_mutex_unlock(&lane->lock);
        if (left) {
                job->release(job->arg);
                cm_free(job);
        }
}

static void *lane_main(void *arg)
{
        struct cm_work_lane *lane = arg;
        struct job *job;

        /* Of this thread alone. A system that refuses leaves it as eager as the others. */
        if (lane->nice)
                (void)setpriority(PRIO_PROCESS, (id_t)gettid(),
                                  getpriority(PRIO_PROCESS, 0) + lane->nice);
        while ((job = take(lane)))
                finish(lane, job, job->fn(job->arg));
        return NULL;
}

int cm_work_lane_new(const char *name, size_t threads, size_t max_queued,
                     struct cm_work_lane **lane_r)
{
        return cm_work_lane_new_nice(name, threads, max_queued, 0, lane_r);
}

int cm_work_lane_new_nice(const char *name, size_t threads, size_t max_queued, int nice,
                          struct cm_work_lane **lane_r)
{
        struct cm_work_lane *lane = CM_NEW(struct cm_work_lane);

        CM_ASSERT(threads > 0);
        lane->name = name;
        lane->max_queued = max_queued;
        lane->nice = nice;
        pthread_mutex_init(&lane->lock, NULL);
        pthread_cond_init(&lane->something, NULL);
        cm_list_init(&lane->queue);
        lane->threads = cm_alloc_array(threads, sizeof(pthread_t));
        for (; lane->thread_count < threads; lane->thread_count++) {
                if (pthread_create(&lane->threads[lane->thread_count], NULL, lane_main, lane)) {
                        cm_work_lane_free(&lane);
                        return -CM_E_INTERNAL;
                }
                pthread_setname_np(lane->threads[lane->thread_count], name);
        }
        *lane_r = lane;
        return 0;
}

void cm_work_lane_free(struct cm_work_lane **lane)
{
        struct cm_work_lane *it = *lane;

        if (!it)
                return;
        pthread_mutex_lock(&it->lock);
        it->ending = true;
        pthread_cond_broadcast(&it->something);
        pthread_mutex_unlock(&it->lock);
        for (size_t i = 0; i < it->thread_count; i++)
                pthread_join(it->threads[i], NULL);
        pthread_cond_destroy(&it->something);
        pthread_mutex_destroy(&it->lock);
        cm_free(it->threads);
        cm_free(it);
        *lane = NULL;
}

static bool enqueue(struct cm_work_lane *lane, struct job *job)
{
        bool room;

        pthread_mutex_lock(&lane->lock);
        room = lane->queued < lane->max_queued && !lane->ending;
        if (room) {
                cm_list_append(&lane->queue, &job->link);
                lane->queued++;
                pthread_cond_signal(&lane->something);
        }
        pthread_mutex_unlock(&lane->lock);
        return room;
}

/* True when no thread had begun it. */
static bool take_back(struct cm_work_lane *lane, struct job *job)
{
        bool mine;

        pthread_mutex_lock(&lane->lock);
        mine = !job->taken;
        if (mine) {
                cm_list_remove(&job->link);
                lane->queued--;
        }
        pthread_mutex_unlock(&lane->lock);
        return mine;
}

/* Waits for a job whose end is certain or near: the thread works with memory of ours. */
static void await_end(struct job *job, struct cm_wait *wait)
{
        while (!job->finished) {
                cm_wait_init(wait);
                cm_wait_for_shielded(wait);
        }
}

int cm_work_run(struct cm_work_lane *lane, cm_work_fn *fn, void *arg)
{
        struct cm_wait wait;
        struct job job = { .fn = fn, .arg = arg, .loop = cm_loop_current(), .wait = &wait };
        int r;

        cm_wait_init(&wait);
        if (!enqueue(lane, &job))
                return -CM_E_OVERLOAD;
        r = cm_wait_for(&wait);
        if (!job.finished && take_back(lane, &job))
                return r;
        await_end(&job, &wait); /* whatever the deadline */
        return job.result;
}

/* True when a thread runs it, and will go on alone; false when its end is on the way to us. */
static bool leave(struct cm_work_lane *lane, struct job *job)
{
        bool left;

        pthread_mutex_lock(&lane->lock);
        left = job->left = !job->posted;
        pthread_mutex_unlock(&lane->lock);
        return left;
}

int cm_work_run_or_leave(struct cm_work_lane *lane, cm_work_fn *fn, void *arg,
                         void (*release)(void *arg), bool *left_r)
{
        struct cm_wait wait;
        struct job *job = CM_NEW(struct job);
        int r, result;

        *left_r = false;
        cm_wait_init(&wait);
        *job = (struct job){
                .fn = fn, .arg = arg, .release = release, .loop = cm_loop_current(), .wait = &wait
        };
        if (!enqueue(lane, job)) {
                cm_free(job);
                return -CM_E_OVERLOAD;
        }
        r = cm_wait_for(&wait);
        if (!job->finished && take_back(lane, job)) {
                cm_free(job);
                return r;
        }
        if (!job->finished && leave(lane, job)) {
                *left_r = true;
                return r;
        }
        await_end(job, &wait);
        result = job->result;
        cm_free(job);
        return result;
}

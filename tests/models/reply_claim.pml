/*
 * Taking up a reply that nobody has begun (libcommon/bus/event_log.h, cm_event_log_claim) as a model for spin:
 * who took the message and opens its log, may be slow, and may die before or after any step; two replicas
 * that find the message and claim the log, of which one may die. Each script of Redis is one step; a lease ends
 * at any moment. What is checked:
 *   - all entries of the log are one producer's (assertion in WRITE);
 *   - nobody goes on who has lost it, and at most one claims it (ltl one);
 *   - it is begun, whoever dies, as long as one replica lives (ltl begun, under weak fairness).
 *
 * Checked by tests/lint/test_models.py. -DBROKEN_CLAIM looks first and writes then, in two steps; -DBROKEN_FENCE
 * lets the opener write without a look at whose the log is: then spin must find a fault.
 */
#define NOBODY 0
#define OPENER 1
#define LAST   3

byte holder = NOBODY;    /* of the lease */
byte by = NOBODY;        /* whose entries the log has; NOBODY: it is empty */
byte entries;
byte claims;
byte expired;            /* leases that ended early; each time somebody was slow or dead */
bool opener_lost, opener_over;

#define WRITE(me) assert(by == NOBODY || by == me); by = me; entries++

active proctype opener()
{
        bool has_lease = false;

        do
        :: atomic { !has_lease && !opener_lost ->        /* the first piece may have no entries yet */
                if
#ifndef BROKEN_FENCE
                :: (holder != NOBODY && holder != OPENER) || (by != NOBODY && by != OPENER) -> opener_lost = true
#endif
                :: else -> holder = OPENER; has_lease = true
                fi }
        :: atomic { !opener_lost && entries < LAST ->
                if
#ifndef BROKEN_FENCE
                :: (holder != NOBODY && holder != OPENER) || (by != NOBODY && by != OPENER) -> opener_lost = true
#endif
                :: else -> holder = OPENER; has_lease = true; WRITE(OPENER)
                fi }
        :: opener_lost || entries == LAST -> break
        :: break                                         /* kill -9 */
        od;
        opener_over = true
}

active proctype time()
{
        do
        :: atomic { holder != NOBODY && entries < LAST && (expired < 2 || opener_over) -> holder = NOBODY; expired++ }
        :: entries > 0 && expired >= 2 -> break
        od
}

proctype replica(byte me; bool may_die)
{
        bool mine = false;

        do
        :: !mine && by != NOBODY -> break                /* begun by somebody */
#ifdef BROKEN_CLAIM
        :: !mine && holder == NOBODY && by == NOBODY ->
                atomic { holder = me; WRITE(me); claims++; mine = true }
#else
        :: atomic { !mine && holder == NOBODY && by == NOBODY -> holder = me; WRITE(me); claims++; mine = true }
#endif
        :: atomic { mine && entries < LAST && (holder == me || holder == NOBODY) && by == me -> holder = me; WRITE(me) }
        :: mine && entries == LAST -> break
        :: may_die -> break
        od
}

init
{
        atomic { run replica(2, true); run replica(3, false) }
}

ltl one { [] (claims <= 1 && (claims == 0 || by != OPENER)) }
ltl begun { <> (by != NOBODY) }

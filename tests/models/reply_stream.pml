/*
 * Reply streams (libcommon/bus/event_log.h, http/event_follow.h) as a model for spin, which looks at
 * every interleaving of: a producer that may stall, outlive its lease or die for good; the copy of its
 * log behind it; a reader at the producer's own worker; two readers at another replica, whose clients
 * are cut off and resume (a client is no more than the id that it has seen, so being cut changes nothing
 * here and may happen between any two steps); somebody who asks to stop.
 *
 * An event is its number. IDs 1..LAST are the producer's, INTERRUPTED is the end that a follower writes
 * when the lease is over. What is checked:
 *   - no reader is given an event twice, out of order, or past a gap (assertions in TAKE);
 *   - exactly one end in the copy, and nothing behind it (assertions in the copy);
 *   - all readers at the other replica see the same end, and the local one never sees another end than
 *     the copy has (assertion at the end);
 *   - every reader comes to an end, with stop, death or without (ltl ends, under weak fairness).
 *
 * Checked by tests/lint/test_models.py. -DBROKEN_FENCE takes the fence away, -DBROKEN_HOLD lets the
 * producer's own reader see an end before Redis has it: then spin must find a fault.
 */
#ifndef LAST
#define LAST        3
#endif
#define INTERRUPTED 9
#define READERS     2

byte made;                /* events in the producer's memory; LAST: it has said the end */
bool made_end;
byte visible;             /* of them, what its own reader may see */
byte copied;              /* what the producer knows to be in the copy */
byte copy_last;           /* the newest event in the copy, 0: none */
bool copy_end;            /* the copy has an end */
byte ends;                /* how many */
bool lease = true;        /* the producer's lease holds */
bool dead;                /* the producer died */
bool lost;                /* the producer knows that another has ended it */
bool stop_asked, stopped;
byte seen[READERS];       /* the newest event that a client has */
byte end_of[READERS];     /* the end that it has seen */
bool over[READERS];
byte here_seen, here_end;
bool here_over;

/* A client is given event n: it must be the next one, or the end of a dead producer's log. */
#define TAKE(have, n) assert(n == have + 1 || n == INTERRUPTED); have = n

active proctype producer()
{
        do
        :: dead || lost -> break
        :: !dead && !lost && stop_asked && !stopped -> stopped = true
        :: !dead && !lost && !made_end && made < LAST - 1 && !stopped ->
                atomic { made++; visible = made }
        :: !dead && !lost && !made_end && (made == LAST - 1 || stopped) ->  /* the end; earlier when stopped */
                atomic {
                        made++;
                        made_end = true;
#ifdef BROKEN_HOLD
                        visible = made
#endif
                }
        :: !dead && !lost && (copied < made || !lease) -> /* one piece of the copy: one script */
                atomic {
                        if
#ifndef BROKEN_FENCE
                        :: copy_last == INTERRUPTED ->
                                lost = true;
                                if
                                :: visible < made || !made_end -> visible = INTERRUPTED
                                :: else
                                fi
#endif
                        :: else ->
                                lease = true;
                                if
                                :: copy_last < made || copy_last == INTERRUPTED ->
                                        assert(!copy_end);
                                        copy_last++;
                                        if
                                        :: copy_last == made && made_end -> copy_end = true; ends++
                                        :: else
                                        fi
                                :: else
                                fi;
                                copied = copy_last;
                                if
                                :: copied == made -> visible = made
                                :: else
                                fi
                        fi
                }
        :: made_end && copied == made && visible == made -> break
        :: !dead && !copy_end -> dead = true              /* kill -9, once and for good */
        od
}

/* Time: a lease ends when it is not renewed, that is, at any moment: the process may have been stopped. */
active proctype time()
{
        byte stalls;

        do
        :: atomic { lease && !copy_end && (dead || stalls < 2) -> lease = false; stalls = (dead -> stalls : stalls + 1) }
        :: copy_end || (dead && !lease) -> break
        od
}

proctype reader(byte me)
{
        byte n;

        do
        :: over[me] -> break
        :: !over[me] && copy_last > seen[me] ->           /* XRANGE behind what it has */
                atomic {
                        if
                        :: copy_last == INTERRUPTED && seen[me] < copied -> n = seen[me] + 1
                        :: copy_last == INTERRUPTED && seen[me] >= copied -> n = INTERRUPTED
                        :: else -> n = seen[me] + 1
                        fi;
                        TAKE(seen[me], n);
                        if
                        :: n == copy_last && copy_end -> end_of[me] = n; over[me] = true
                        :: else
                        fi
                }
        :: !over[me] && !lease && copy_last > 0 && !copy_end -> /* takes over: one script */
                atomic {
                        if
                        :: !lease && !copy_end ->
                                copied = copy_last;
                                copy_last = INTERRUPTED;
                                copy_end = true;
                                ends++
                        :: else
                        fi
                }
        :: !over[me] && copy_last == 0 && dead && !lease -> over[me] = true /* no such log: 404 */
        od
}

/* The client of the producer's own worker. It dies with it: then its client goes to another replica. */
active proctype here()
{
        do
        :: here_over -> break
        :: !here_over && !dead && visible == INTERRUPTED -> here_end = INTERRUPTED; here_over = true
        :: !here_over && !dead && visible != INTERRUPTED && here_seen < visible ->
                atomic {
                        TAKE(here_seen, here_seen + 1);
                        if
                        :: here_seen == made && made_end -> here_end = here_seen; here_over = true
                        :: else
                        fi
                }
        :: dead -> here_over = true
        od
}

active proctype stopper()
{
        if
        :: stop_asked = true
        :: skip
        fi
}

init
{
        atomic { run reader(0); run reader(1) }
}

#define all_over (over[0] && over[1] && here_over)
ltl safe { [] (ends <= 1 && (copy_end -> ends == 1)) }
ltl same { [] (all_over -> (end_of[0] == end_of[1] && (here_end == 0 || end_of[0] == 0 || here_end == end_of[0]))) }
ltl ends_come { <> all_over }

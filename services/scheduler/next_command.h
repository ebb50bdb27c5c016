#pragma once

/*
 * `salus-scheduler --next [FOLDER]`: what expressions mean, without a daemon. Reads rows
 * "expression<TAB>zone<TAB>start<TAB>count" from standard input; for each it prints the next
 * `count` runs after `start` in UTC (RFC 3339, separated by blanks), fewer when there are no more,
 * or "error: " and the reason. FOLDER holds the compiled time zones; without it the machine's.
 * `argument` may be NULL. Returns the exit status.
 */
int next_command(const char *argument);

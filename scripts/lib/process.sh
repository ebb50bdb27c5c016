# shellcheck shell=bash
# Processes of ours: started detached, remembered in SALUS_DATA/run/NAME.pid as "pid start-time". The
# start time tells our process from a later one that got the same number.

process_start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  awk '$1 == "Z" { exit 1 } { print $20 }' <<<"$stat"
}

# The pid of the running process NAME, or nothing and false.
process_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
  [[ $(process_start_time "$pid") == "$started" ]] || return 1
  echo "$pid"
}

process_is_running() { process_pid "$1" >/dev/null; }

# start_process NAME COMMAND…: runs as the servers' user, output to logs/NAME.log.
start_process() {
  local name=$1 pid
  shift
  own_file "$LOGS/$name.log"
  (
    cd "$DATA" || exit
    exec </dev/null >>"$LOGS/$name.log" 2>&1 9>&-
    if ((EUID == 0)); then
      exec setsid setpriv --reuid "$RUN_USER" --regid "$(id -g "$RUN_USER")" --init-groups -- "$@"
    else
      exec setsid "$@"
    fi
  ) &
  pid=$!
  disown "$pid"
  own_file "$RUN/$name.pid"
  printf '%s %s\n' "$pid" "$(process_start_time "$pid" || echo 0)" >"$RUN/$name.pid"
}

# stop_process NAME [SIGNAL [SECONDS]]: asks, waits, and insists when nothing happens.
stop_process() {
  local name=$1 signal=${2:-TERM} limit=${3:-30} pid
  pid=$(process_pid "$name") || {
    rm -f "$RUN/$name.pid"
    return 0
  }
  kill -s "$signal" "$pid" 2>/dev/null || die "no right to stop $name (process $pid)" "use the account that started it"
  if ! wait_until "$limit" "stopping $name" process_has_ended "$name"; then
    warn "$name did not end by SIG$signal: killed"
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 "killing $name" process_has_ended "$name" || true
  fi
  rm -f "$RUN/$name.pid"
}

process_has_ended() { ! process_is_running "$1"; }

# Names who listens on a port of this machine; nothing when it is free.
port_holder() {
  local line
  line=$(ss -Hltnp "sport = :$1" 2>/dev/null | head -n 1)
  [[ -n $line ]] || return 0
  if [[ $line =~ \(\(\"([^\"]+)\",pid=([0-9]+) ]]; then
    echo "${BASH_REMATCH[1]} (process ${BASH_REMATCH[2]})"
  else
    echo "a process of another user"
  fi
}

# require_port NAME PORT: NAME is not running, so nobody may be on its port.
require_port() {
  local holder
  holder=$(port_holder "$2")
  [[ -z $holder ]] || die "port $2, which $1 needs, is taken by $holder, which this copy did not start" \
    "stop that, or move this copy: SALUS_PORT_BASE=17100 SALUS_DATA=/some/folder scripts/up"
}

# await_process NAME SECONDS COMMAND…: until the command succeeds; gives up at once when NAME ends.
await_process() {
  local name=$1 limit=$2 deadline
  shift 2
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    process_is_running "$name" || process_failed "$name" "ended while starting"
    ((SECONDS <= deadline)) || process_failed "$name" "is not ready after $limit seconds"
    sleep 0.05
  done
}

process_failed() {
  tail -n 15 "$LOGS/$1.log" >&2 || true
  die "$1 $2; above are the last lines of $LOGS/$1.log"
}

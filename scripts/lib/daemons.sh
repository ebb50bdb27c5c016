# shellcheck shell=bash
# Our daemons: installed from build/ into SALUS_DATA/bin, migrated, started with exactly the settings
# below, and waited for until /readyz says yes. The demo uses start_daemon, stop_daemon and kill_daemon.

# Of Debian's john-data and cracklib-runtime. A longer list may be named instead.
COMMON_PASSWORDS=${SALUS_COMMON_PASSWORDS:-/usr/share/john/password.lst,/usr/share/dict/cracklib-small}

# Fills the array `daemon_env` for a service. Secrets are passed as files, so they are in no
# environment and on no command line.
daemon_settings() {
  local service=$1 key
  daemon_env=(
    "PATH=$PATH" "LANG=C.UTF-8" "TZ=UTC"
    "SALUS_LISTEN=127.0.0.1:$(service_port "$service")"
    "SALUS_TOKEN_ISSUER=salus" "SALUS_TOKEN_AUDIENCE=salus"
    "SALUS_TRUSTED_PROXIES=127.0.0.1"
    "SALUS_CURSOR_KEY_FILE=$SECRETS/cursor_key"
    "REDIS_URL_FILE=$SECRETS/$service/redis_url"
    "REDIS_CACHE_URL_FILE=$SECRETS/$service/redis_cache_url"
  )
  if [[ $(service_store_kind "$service") == mongo ]]; then
    daemon_env+=("MONGO_URI_FILE=$SECRETS/$service/mongo_uri")
  else
    daemon_env+=("DATABASE_URL_FILE=$SECRETS/$service/database_url")
  fi
  case $service in
  auth)
    daemon_env+=("ADMIN_PASSWORD_FILE=$SECRETS/auth/admin_password" "SALUS_PASSWORD_PEPPER_FILE=$SECRETS/auth/password_pepper" "SALUS_SEAL_KEYS_FILE=$SECRETS/auth/seal_keys"
      "SALUS_CONTACT_KEYS_FILE=$SECRETS/contact_keys")
    # Whoever tries things out is signed in at once, and finds the mail in the sink.
    daemon_env+=("SALUS_EMAIL_VERIFICATION=${SALUS_EMAIL_VERIFICATION:-optional}")
    for key in SALUS_REGISTRATION SALUS_APP_URL; do
      [[ -z ${!key:-} ]] || daemon_env+=("$key=${!key}")
    done
    daemon_env+=("SALUS_COMMON_PASSWORDS=$COMMON_PASSWORDS")
    ;;
  main-health)
    as_run_user mkdir -p "$DATA/scratch/main-health"
    daemon_env+=("SALUS_SCRATCH=$DATA/scratch/main-health")
    ;;
  scheduler)
    daemon_env+=("SALUS_SEAL_KEYS_FILE=$SECRETS/scheduler/seal_keys" "SALUS_CONTACT_KEYS_FILE=$SECRETS/contact_keys"
      "SALUS_SMTP_URL=${SALUS_SMTP_URL:-smtp://127.0.0.1:$PORT_MAIL}" "SALUS_MAIL_FROM=${SALUS_MAIL_FROM:-salus@salus.test}")
    for key in SALUS_SMTP_USER SALUS_SMTP_PASSWORD SALUS_SMTP_CA_FILE SALUS_EMAIL_SPACING; do
      [[ -z ${!key:-} ]] || daemon_env+=("$key=${!key}")
    done
    # The sink is on this machine and speaks no TLS; a real mail server has to.
    daemon_env+=("SALUS_SMTP_TLS=${SALUS_SMTP_TLS:-$([[ -n ${SALUS_SMTP_URL:-} ]] && echo required || echo none)}")
    ;;
  esac
  # What an operator exported for a daemon goes to it; SALUS_PORT_BASE and the like are the scripts'.
  for key in SALUS_WORKERS SALUS_LOG_LEVEL SALUS_REQUEST_TIMEOUT SALUS_DRAIN_TIMEOUT; do
    [[ -z ${!key:-} ]] || daemon_env+=("$key=${!key}")
  done
}

is_installed_current() { cmp -s "$ROOT/build/$BUILD-gcc/bin/salus-$1" "$DATA/bin/salus-$1"; }

# A copy, so that a later build does not pull the file from under a running daemon.
install_daemon() {
  local built=$ROOT/build/$BUILD-gcc/bin/salus-$1
  [[ -x $built ]] || die "$built was not built"
  install -m 755 "$built" "$DATA/bin/.salus-$1.new"
  mv "$DATA/bin/.salus-$1.new" "$DATA/bin/salus-$1"
}

migrate_daemon() {
  local owner=()
  [[ $(service_store_kind "$1") == mongo ]] || owner=("MIGRATE_DATABASE_URL_FILE=$SECRETS/$1/migrate_database_url")
  own_file "$LOGS/$1-migrate.log"
  as_run_user env -i "${daemon_env[@]}" "${owner[@]}" \
    "$DATA/bin/salus-$1" --migrate >>"$LOGS/$1-migrate.log" 2>&1 || {
    tail -n 10 "$LOGS/$1-migrate.log" >&2
    die "the schema of $1 could not be brought up to date; above are the last lines of $LOGS/$1-migrate.log"
  }
}

is_ready() { curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$1/readyz"; }

# start_daemon SERVICE: all replicas of it; does nothing where one runs and is the one that was built last.
start_daemon() {
  local service=$1 daemon_env number
  daemon_settings "$service"
  if ! is_installed_current "$service"; then
    stop_daemon "$service" "salus-$service was built anew: restarting it"
    install_daemon "$service"
  fi
  for ((number = REPLICAS + 1; number <= MOST_REPLICAS; number++)); do
    stop_process "$(replica_name "$service" "$number")" # of a start that had more
  done
  for ((number = 1; number <= REPLICAS; number++)); do start_replica "$service" "$number"; done
}

# Needs daemon_env.
start_replica() {
  local service=$1 name port
  name=$(replica_name "$1" "$2") port=$(replica_port "$1" "$2")
  if ! process_is_running "$name"; then
    require_port "salus-$name" "$port"
    (($2 > 1)) || migrate_daemon "$service"
    start_process "$name" env -i "${daemon_env[@]}" "SALUS_LISTEN=127.0.0.1:$port" "$DATA/bin/salus-$service"
  fi
  await_process "$name" 30 is_ready "$port"
  step "$(printf '%-12s 127.0.0.1:%s' "$name" "$port")"
}

# each_replica SERVICE COMMAND…: the command with the name of each process of the service that runs.
each_replica() {
  local service=$1 number name
  shift
  for ((number = 1; number <= MOST_REPLICAS; number++)); do
    name=$(replica_name "$service" "$number")
    ! process_is_running "$name" || "$@" "$name"
  done
}

# stop_daemon SERVICE [WHY]: asks all its replicas to end, and waits.
stop_daemon() {
  [[ -z ${2:-} ]] || each_replica "$1" step "$2:"
  each_replica "$1" stop_process
}

# daemon_command SERVICE [KEY=VALUE…] -- ARGUMENT…: a command of the daemon's own, with the settings of the one that runs, or others.
daemon_command() {
  local service=$1 daemon_env
  shift
  [[ -x $DATA/bin/salus-$service ]] || die "$service is not installed in $DATA: scripts/up"
  daemon_settings "$service"
  while [[ $1 != -- ]]; do daemon_env+=("$1") && shift; done
  shift
  as_run_user env -i "${daemon_env[@]}" "$DATA/bin/salus-$service" "$@"
}

# kill_daemon SERVICE: kill -9, as a power cut would; for demonstrations and tests.
kill_daemon() {
  [[ -n $(each_replica "$1" echo) ]] || die "$1 is not running"
  each_replica "$1" kill_process
}

kill_process() {
  kill -KILL "$(process_pid "$1")"
  wait_until 10 "killing $1" process_has_ended "$1"
  rm -f "$RUN/$1.pid"
}

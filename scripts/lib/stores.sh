# shellcheck shell=bash
# PostgreSQL, MongoDB and the two Redis of this copy, on ports of its own, with data in SALUS_DATA.

# The folder of the newest PostgreSQL server; looked for after the packages are there.
find_postgres() {
  POSTGRES_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $POSTGRES_BIN/postgres ]] || die "no PostgreSQL server in /usr/lib/postgresql" "apt-get install postgresql-15"
}

# ---- PostgreSQL
start_postgres() {
  find_postgres
  if ! process_is_running postgres; then
    require_port PostgreSQL "$PORT_POSTGRES"
    [[ -s $DATA/postgres/PG_VERSION ]] || create_cluster
    start_process postgres "$POSTGRES_BIN/postgres" -D "$DATA/postgres" -p "$PORT_POSTGRES" \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories="$(postgres_socket_folder)"
    await_process postgres 60 "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT_POSTGRES"
  fi
  create_databases
  step "PostgreSQL   127.0.0.1:$PORT_POSTGRES"
}

create_cluster() {
  step "creating a PostgreSQL cluster in $DATA/postgres"
  own_file "$LOGS/initdb.log"
  as_run_user "$POSTGRES_BIN/initdb" -D "$DATA/postgres" -U postgres -A scram-sha-256 \
    --pwfile="$SECRETS/postgres" -E UTF8 --locale=C.UTF-8 --data-checksums >"$LOGS/initdb.log" 2>&1 ||
    die "initdb failed: $(tail -n 3 "$LOGS/initdb.log")"
  as_run_user tee -a "$DATA/postgres/postgresql.conf" >/dev/null <<'CONF'

# Salus
timezone = 'UTC'
log_timezone = 'UTC'
max_connections = 200
shared_buffers = 128MB
wal_compression = on
max_wal_size = 2GB
log_min_duration_statement = 1s
idle_in_transaction_session_timeout = 60s
CONF
}

# A socket's path may have 107 bytes; without a socket there is still 127.0.0.1.
postgres_socket_folder() { ((${#RUN} > 80)) || echo "$RUN"; }

psql_as_admin() {
  PGPASSWORD=$(secret postgres) "$POSTGRES_BIN/psql" -X -q -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$PORT_POSTGRES" -U postgres "$@"
}

# Per service: a database, the role that owns its tables, and the role that the daemon connects as.
create_databases() {
  local service store
  for service in "${ALL_SERVICES[@]}"; do
    [[ $(service_store_kind "$service") == postgres ]] || continue
    store=salus_$(service_store "$service")
    OWNER_PASSWORD=$(secret "postgres-${store}_owner") APP_PASSWORD=$(secret "postgres-$store") \
      psql_as_admin -d postgres -v store="$store" -f "$ROOT/scripts/lib/databases.sql" ||
      die "the database $store could not be prepared" "see $LOGS/postgres.log"
  done
}

# ---- MongoDB, or what stands in for it
start_mongo() {
  [[ $(mongo_choice) != stand-in ]] || process_is_running mongo || install_mongo_stand_in
  run_mongo
}

# Starts what is installed.
run_mongo() {
  local choice words mongo_command_line
  choice=$(mongo_choice)
  words=$(mongo_choice_in_words "$choice")
  if [[ $choice == uri ]]; then
    step "documents    $words"
    return 0
  fi
  if ! process_is_running mongo; then
    require_port MongoDB "$PORT_MONGO"
    as_run_user mkdir -p "$DATA/mongo"
    mongo_command "$choice" 127.0.0.1 "$PORT_MONGO" "$DATA/mongo" "$DATA/bin/mongo-stand-in"
    start_process mongo "${mongo_command_line[@]}"
    await_process mongo 60 mongo_answers 127.0.0.1 "$PORT_MONGO"
  fi
  step "documents    127.0.0.1:$PORT_MONGO, $words"
}

# A copy, as of a daemon: where the servers' user can read it, whatever is built later.
install_mongo_stand_in() {
  ensure_packages mongo-stand-in
  make_as_builder mongo-stand-in
  rm -rf "$DATA/bin/mongo-stand-in"
  mkdir -p "$DATA/bin/mongo-stand-in"
  cp -r "$MONGO_STAND_IN"/{mongo-stand-in-1.jar,dependency} "$DATA/bin/mongo-stand-in/"
  chmod -R a+rX "$DATA/bin/mongo-stand-in"
}

# The address of a service's documents.
mongo_uri() {
  if [[ -n ${MONGO_URI:-} ]]; then
    echo "$MONGO_URI"
  else
    echo "mongodb://127.0.0.1:$PORT_MONGO/$1"
  fi
}

# ---- Redis
# The bus keeps what it was given; the cache may forget. Both know the same users.
start_redis() {
  local name=$1 port
  [[ $name == redis-bus ]] && port=$PORT_BUS || port=$PORT_CACHE
  as_run_user mkdir -p "$DATA/$name"
  write_redis_acl "$name" "$port"
  if ! process_is_running "$name"; then
    require_port "$name" "$port"
    write_redis_conf "$name" "$port"
    start_process "$name" redis-server "$DATA/$name/redis.conf"
    await_process "$name" 60 redis_answers "$port"
  fi
  step "Redis ${name#redis-}$([[ $name == redis-bus ]] && echo '    ' || echo '  ')127.0.0.1:$port"
}

redis_cli() {
  local port=$1
  shift
  REDISCLI_AUTH=$(secret redis/salus-operator) redis-cli -e --user salus-operator --no-auth-warning -p "$port" "$@"
}

redis_answers() { [[ $(redis_cli "$1" PING) == PONG ]]; }

write_redis_conf() {
  local name=$1 port=$2
  as_run_user tee "$DATA/$name/redis.conf" >/dev/null <<CONF
# Written by scripts/up at each start.
port $port
bind 127.0.0.1
protected-mode yes
dir $DATA/$name
aclfile $DATA/$name/users.acl
save ""
tcp-backlog 511
$([[ $name == redis-bus ]] && printf 'appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nmaxmemory 1gb' ||
    printf 'appendonly no\nmaxmemory-policy allkeys-lru\nmaxmemory 128mb')
CONF
}

# The build makes the users' rights from proto/keys.yaml; here each gets its password, as a digest.
# The template has ">@USER@" where a password belongs.
write_redis_acl() {
  local template=$ROOT/build/gen/redis.acl acl user digest
  [[ -f $template ]] || die "$template was not built" "run: make gen"
  # Only users of services that are here: another one would keep the template's word for a password.
  acl=$(grep -E "^user (default|salus-operator|salus-($(IFS='|' && echo "${ALL_SERVICES[*]}"))) " "$template")
  for user in salus-operator "${ALL_SERVICES[@]/#/salus-}"; do
    digest=$(tr -d '\n' <"$SECRETS/redis/$user" | sha256sum | cut -d ' ' -f 1)
    acl=${acl//">@$user@"/"#$digest"}
  done
  (umask 077 && printf '%s\n' "$acl" >"$DATA/$1/users.acl.new")
  ((EUID != 0)) || chown "$RUN_USER:" "$DATA/$1/users.acl.new"
  ! cmp -s "$DATA/$1/users.acl.new" "$DATA/$1/users.acl" || return 0
  mv "$DATA/$1/users.acl.new" "$DATA/$1/users.acl"
  # Redis closes the connections of its users when it reads them again: only when something changed.
  ! process_is_running "$1" || redis_cli "$2" ACL LOAD >/dev/null || die "$1 refused its users" "see $DATA/$1/users.acl"
}

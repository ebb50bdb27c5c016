# shellcheck shell=bash
# The gateway: nginx with deploy/gateway's files, ports filled in, as the servers' user.

# write_gateway FOLDER [PORT AUTH_PORT MAIN_HEALTH_PORT MEMORY_PORT SCHEDULER_PORT CHAT_PORT]: nginx.conf, one file per service, the start page.
write_gateway() {
  local to=$1 port=${2:-$PORT_GATEWAY} auth=${3:-$(service_port auth)} health=${4:-$(service_port main-health)} file
  local memory=${5:-$(service_port memory)} scheduler=${6:-$(service_port scheduler)} chat=${7:-$(service_port chat)}
  mkdir -p "$to/conf" "$to/temp"
  rm -rf "$to/www" "$to"/conf/*
  cp -r "$ROOT/deploy/gateway/www" "$to/www"
  for file in "$ROOT"/deploy/gateway/*.conf; do
    sed -e "s|@GATEWAY_LISTEN@|127.0.0.1|g" -e "s|@AUTH_HOST@|127.0.0.1|g" -e "s|@MAIN_HEALTH_HOST@|127.0.0.1|g" \
      -e "s|@GATEWAY_PORT@|$port|g" -e "s|@AUTH_PORT@|$auth|g" -e "s|@MAIN_HEALTH_PORT@|$health|g" \
      -e "s|@CHAT_HOST@|127.0.0.1|g" -e "s|@CHAT_PORT@|$chat|g" \
      -e "s|@MEMORY_HOST@|127.0.0.1|g" -e "s|@MEMORY_PORT@|$memory|g" \
      -e "s|@SCHEDULER_HOST@|127.0.0.1|g" -e "s|@SCHEDULER_PORT@|$scheduler|g" \
      -e "s|@FOLDER@|$to|g" "$file" | add_replicas >"$to/conf/$(basename "$file")"
  done
}

# Filters a configuration: behind the server of a service stand its other replicas.
add_replicas() {
  awk -v replicas="$REPLICAS" '{ print } /^ +server 127\.0\.0\.1:/ {
    match($0, /:[0-9]+/)
    port = substr($0, RSTART + 1, RLENGTH - 1)
    for (more = 1; more < replicas; more++) print substr($0, 1, RSTART) port + 10 * more substr($0, RSTART + RLENGTH)
  }'
}

nginx_here() { as_run_user "$(nginx_path)" -e "$LOGS/gateway.log" -p "$DATA/gateway/" -c conf/nginx.conf "$@"; }
nginx_path() { command -v nginx || echo /usr/sbin/nginx; }

start_gateway() {
  local before
  before=$(gateway_digest)
  write_gateway "$DATA/gateway"
  ((EUID != 0)) || chown -R "$RUN_USER:" "$DATA/gateway"
  nginx_here -t -q || die "nginx refuses the gateway's configuration"
  if ! process_is_running gateway; then
    require_port "the gateway" "$PORT_GATEWAY"
    start_process gateway "$(nginx_path)" -e "$LOGS/gateway.log" -p "$DATA/gateway/" -c conf/nginx.conf -g 'daemon off;'
  elif [[ $(gateway_digest) != "$before" ]]; then
    reload_gateway
  fi
  await_process gateway 30 curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$PORT_GATEWAY/"
  step "gateway      127.0.0.1:$PORT_GATEWAY"
}

gateway_digest() { (cat "$DATA"/gateway/conf/* 2>/dev/null || true) | sha256sum; }

# New workers take over; requests that run end with the old ones.
reload_gateway() {
  local master newest
  master=$(process_pid gateway)
  newest=$(pgrep -P "$master" -n)
  kill -HUP "$master"
  wait_until 10 "new gateway workers" gateway_worker_after "$master" "$newest"
}

gateway_worker_after() { [[ $(pgrep -P "$1" -n) != "$2" ]]; }

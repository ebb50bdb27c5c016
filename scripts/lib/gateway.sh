# shellcheck shell=bash
# The gateway: nginx with deploy/gateway's files, ports filled in, as the servers' user.

# write_gateway FOLDER: nginx.conf, one file per service, and the start page.
write_gateway() {
  local to=$1 file
  mkdir -p "$to/conf" "$to/temp"
  rm -rf "$to/www" "$to"/conf/*
  cp -r "$ROOT/deploy/gateway/www" "$to/www"
  for file in "$ROOT"/deploy/gateway/*.conf; do
    sed -e "s|@GATEWAY_PORT@|$PORT_GATEWAY|g" -e "s|@AUTH_PORT@|$(service_port auth)|g" \
      -e "s|@MAIN_HEALTH_PORT@|$(service_port main-health)|g" \
      -e "s|@FOLDER@|$to|g" "$file" >"$to/conf/$(basename "$file")"
  done
}

nginx_here() { as_run_user "$(nginx_path)" -e "$LOGS/gateway.log" -p "$DATA/gateway/" -c conf/nginx.conf "$@"; }
nginx_path() { command -v nginx || echo /usr/sbin/nginx; }

start_gateway() {
  write_gateway "$DATA/gateway"
  ((EUID != 0)) || chown -R "$RUN_USER:" "$DATA/gateway"
  nginx_here -t -q || die "nginx refuses the gateway's configuration"
  if process_is_running gateway; then
    kill -HUP "$(process_pid gateway)"
  else
    require_port "the gateway" "$PORT_GATEWAY"
    start_process gateway "$(nginx_path)" -e "$LOGS/gateway.log" -p "$DATA/gateway/" -c conf/nginx.conf -g 'daemon off;'
  fi
  await_process gateway 30 curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$PORT_GATEWAY/"
  step "gateway      127.0.0.1:$PORT_GATEWAY"
}

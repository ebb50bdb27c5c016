# shellcheck shell=bash
# A mail server for this machine alone, which delivers nothing: what the scheduler sends becomes files in
# SALUS_DATA/mail. An operator who names a real one in SALUS_SMTP_URL has none of it.

wants_mail_sink() { [[ -z ${SALUS_SMTP_URL:-} ]]; }

start_mail_sink() {
  wants_mail_sink || return 0
  if ! process_is_running mail; then
    require_port "the mail sink" "$PORT_MAIL"
    mkdir -p "$DATA/mail"
    ((EUID != 0)) || chown "$RUN_USER:" "$DATA/mail"
    chmod 700 "$DATA/mail"
    cp "$ROOT/scripts/lib/mail_sink.py" "$DATA/bin/mail_sink.py"
    # Debian's own: another one of PATH may be out of reach for the servers' user.
    start_process mail "$(PATH=/usr/bin:/bin command -v python3 || command -v python3)" "$DATA/bin/mail_sink.py" "$PORT_MAIL" "$DATA/mail"
  fi
  await_process mail 30 mail_sink_answers
  step "mail sink    127.0.0.1:$PORT_MAIL"
}

mail_sink_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT_MAIL") 2>/dev/null; }

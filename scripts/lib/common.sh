# shellcheck shell=bash disable=SC2034 # used by those who source it
# Shared by all scripts: where things are, who they run as, how to speak. Source it first.
#
# Two settings move a whole copy: SALUS_PORT_BASE (default 7100) and SALUS_DATA. Everything that is
# created while running lives in SALUS_DATA; the checkout gets nothing but build/. SALUS_REPLICAS (default 1) daemons run
# of each service.
set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
PORT_BASE=${SALUS_PORT_BASE:-7100}
BUILD=${SALUS_BUILD:-release}
ALL_SERVICES=(auth main-health chat memory scheduler)
REPLICAS=${SALUS_REPLICAS:-1}
MOST_REPLICAS=8

say() { printf '%s\n' "$@"; } # one line an argument
step() { printf '· %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

if ! [[ $PORT_BASE =~ ^[0-9]{4,5}$ ]] || ((PORT_BASE < 1024 || PORT_BASE > 64000)); then
  die "SALUS_PORT_BASE is '$PORT_BASE': wanted is a number from 1024 to 64000"
fi

if ! [[ $REPLICAS =~ ^[0-9]$ ]] || ((REPLICAS < 1 || REPLICAS > MOST_REPLICAS)); then
  die "SALUS_REPLICAS is '$REPLICAS': wanted is a number from 1 to $MOST_REPLICAS"
fi

PORT_GATEWAY=$PORT_BASE
PORT_POSTGRES=$((PORT_BASE + 901))
PORT_MONGO=$((PORT_BASE + 902))
PORT_BUS=$((PORT_BASE + 903))
PORT_CACHE=$((PORT_BASE + 904))
PORT_MAIL=$((PORT_BASE + 925))

service_port() {
  case $1 in
  auth) echo $((PORT_BASE + 1)) ;;
  main-health) echo $((PORT_BASE + 2)) ;;
  chat) echo $((PORT_BASE + 3)) ;;
  memory) echo $((PORT_BASE + 4)) ;;
  scheduler) echo $((PORT_BASE + 5)) ;;
  *) die "no service is called '$1'; there are: ${ALL_SERVICES[*]}" ;;
  esac
}

# Replica 1 of a service is a process of the service's name; others have their number behind it, and ports ten apart.
replica_name() { (($2 == 1)) && echo "$1" || echo "$1-$2"; }
replica_port() { echo $(($(service_port "$1") + ($2 - 1) * 10)); }

# The store of a service has a short name of its own: database salus_<store>.
service_store() {
  case $1 in
  main-health) echo health ;;
  *) echo "$1" ;;
  esac
}

# Where it keeps its data: postgres or mongo.
service_store_kind() {
  case $1 in
  chat) echo mongo ;;
  *) echo postgres ;;
  esac
}

# Services never run as root. Under sudo they run as who called it; started by root itself, as the
# system user `salus`, which is created for that.
if ((EUID == 0)); then
  RUN_USER=${SUDO_USER:-salus}
  [[ $RUN_USER != root ]] || RUN_USER=salus
else
  RUN_USER=$(id -un)
fi

as_run_user() {
  if ((EUID == 0)); then
    setpriv --reuid "$RUN_USER" --regid "$(id -g "$RUN_USER")" --init-groups --reset-env -- "$@"
  else
    "$@"
  fi
}

ensure_run_user() {
  ((EUID == 0)) || return 0
  id "$RUN_USER" >/dev/null 2>&1 && return 0
  step "creating the system user '$RUN_USER' that the servers run as"
  useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$RUN_USER"
}

# True when every folder above $1 lets other users pass.
is_reachable_by_others() {
  local folder
  folder=$(realpath -m "$1")
  while folder=$(dirname "$folder") && [[ $folder != / ]]; do
    [[ -d $folder ]] || continue
    [[ $(stat -c %A "$folder") == *[xt] ]] || return 1
  done
}

default_data() {
  if ((EUID == 0)) && [[ $RUN_USER == salus ]] && ! is_reachable_by_others "$ROOT/salus-data"; then
    echo "/var/lib/salus/$PORT_BASE" # a checkout in /root: the servers' user could not get in
  else
    echo "$ROOT/salus-data"
  fi
}
DATA=$(realpath -m "${SALUS_DATA:-$(default_data)}")
LOGS=$DATA/logs
RUN=$DATA/run
SECRETS=$DATA/secrets

ensure_data() {
  if [[ ! -d $DATA ]]; then
    step "creating $DATA for all data"
    mkdir -p "$DATA"
  fi
  [[ -w $DATA ]] || die "$DATA belongs to $(stat -c %U "$DATA")" \
    "run this as that account or with sudo, or set SALUS_DATA to a folder of your own"
  mkdir -p "$LOGS" "$RUN" "$SECRETS" "$DATA/bin" "$DATA/scratch"
  own_file "$DATA/.salus-data"
  chmod 711 "$DATA"
  chmod 700 "$LOGS" "$RUN" "$SECRETS" "$DATA/scratch"
  if ((EUID == 0)); then
    chown "$RUN_USER:" "$DATA" "$LOGS" "$RUN" "$SECRETS" "$DATA/bin" "$DATA/scratch"
    as_run_user test -x "$DATA" ||
      die "the user '$RUN_USER' cannot reach $DATA" "set SALUS_DATA to a folder that other users can pass"
  fi
}

# Makes a file that root and the servers' user may both write, so that a copy started with sudo can be stopped without.
own_file() {
  [[ -e $1 ]] || : >"$1"
  ((EUID != 0)) || chown "$RUN_USER:" "$1"
}

# One scripts/up or scripts/down at a time per data folder. Processes that are started do not keep it.
take_lock() {
  own_file "$RUN/lock"
  exec 9>"$RUN/lock"
  flock -w 600 9 || die "another scripts/up or scripts/down has been at work on $DATA for ten minutes"
}

# Repeats a command until it succeeds: wait_until SECONDS WHAT COMMAND…
wait_until() {
  local limit=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS <= deadline)) || {
      warn "$what: not after $limit seconds"
      return 1
    }
    sleep 0.05
  done
}

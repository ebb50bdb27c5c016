# shellcheck shell=bash
# Debian packages from deploy/packages.txt: install what is missing, and leave the machine's own
# servers as they are. What an installation brings along is neither started nor enabled at boot.

# Names of the packages in the given groups.
packages_of() {
  local groups=" $* "
  awk -v groups="$groups" '
    /^\[/ { wanted = index(groups, " " substr($1, 2, length($1) - 2) " "); next }
    /^[ \t]*(#|$)/ { next }
    wanted { print $1 }' "$ROOT/deploy/packages.txt"
}

# Not installed, and no command of that name from elsewhere either (such as npm from another source).
packages_missing() {
  local name
  for name in "$@"; do
    ! command -v "$name" >/dev/null || continue
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
  done
}

# sudo, when it is needed and there.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    command -v sudo >/dev/null || die "this needs root: $*" "run it as root, or install sudo"
    sudo "$@"
  fi
}

# Governments change their clocks several times a year, and reminders go by what the files say: what is older
# than this release knows is brought up to date, if a package source has it.
LEAST_ZONES=2026c
freshen_zones() {
  local version
  version=$(sed -n '1s/^# version //p' /usr/share/zoneinfo/tzdata.zi 2>/dev/null) || true
  [[ $version < $LEAST_ZONES ]] || return 0
  [[ $(apt-cache policy tzdata 2>/dev/null | awk '/Candidate:/ { print $2 }') > $LEAST_ZONES ]] || {
    warn "the time zones of this machine are of ${version:-an unknown version}, and newer rules are in force: update tzdata"
    return 0
  }
  step "updating tzdata ${version:-} for the clocks that changed since"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --only-upgrade -o DPkg::Lock::Timeout=300 tzdata \
    >/dev/null 2>&1 || warn "tzdata could not be updated"
}

# Installs the groups given (build, run, test).
ensure_packages() {
  local wanted missing
  command -v dpkg-query >/dev/null || {
    warn "no dpkg here: install by hand what deploy/packages.txt names (groups: $*)"
    return 0
  }
  mapfile -t wanted < <(packages_of "$@")
  [[ " $* " != *" run "* ]] || freshen_zones
  mapfile -t missing < <(packages_missing "${wanted[@]}")
  ((${#missing[@]})) || return 0
  step "installing ${#missing[@]} packages: ${missing[*]}"
  install_packages "${missing[@]}"
}

install_packages() {
  local log name
  log=$(mktemp)
  # shellcheck disable=SC2064 # the name is known now
  trap "rm -f '$log'; allow_service_starts" EXIT
  as_root apt-get update -q >"$log" 2>&1 || warn "apt-get update failed: $(tail -n 1 "$log")"
  forbid_service_starts
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    for name in $(packages_missing "$@"); do
      apt-cache show "$name" >/dev/null 2>&1 || warn "no package source here offers '$name'"
    done
    die "apt-get could not install: $(packages_missing "$@" | tr '\n' ' ')" \
      "check the network and /etc/apt/sources.list*, then run this again;" \
      "or install them by hand: apt-get install $*"
  fi
  for name in "$@"; do disable_at_boot "$name"; done
  allow_service_starts
  rm -f "$log"
  trap - EXIT
}

# While packages are unpacked nothing may start: Debian asks this file. One that exists is kept.
POLICY=/usr/sbin/policy-rc.d
forbid_service_starts() {
  [[ ! -e $POLICY ]] || return 0
  printf '#!/bin/sh\n# made by salus for one installation\nexit 101\n' | as_root tee "$POLICY" >/dev/null
  as_root chmod 755 "$POLICY"
}

allow_service_starts() {
  ! grep -qs 'made by salus' "$POLICY" || as_root rm -f "$POLICY"
}

# Only for packages that this run installed: servers that were here before are not touched.
disable_at_boot() {
  local unit
  case $1 in
  postgresql-*) unit=postgresql ;;
  redis-server | nginx | prometheus) unit=$1 ;;
  *) return 0 ;;
  esac
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
  else
    as_root update-rc.d "$unit" disable >/dev/null 2>&1 || true
  fi
}

# A Python that has PyYAML, for the build: the first of PATH may be one without packages.
find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" /usr/bin/python3; do
    if "$candidate" -c 'import yaml' 2>/dev/null; then
      echo "$candidate"
      return 0
    fi
  done
  die "no python3 with PyYAML was found" "apt-get install python3 python3-yaml"
}

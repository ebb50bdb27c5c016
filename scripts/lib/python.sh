# shellcheck shell=bash
# build/venv: the Python of tests and lint, made of tests/requirements.txt and renewed when that changes.

VENV=$ROOT/build/venv

ensure_venv() {
  local python=${PYTHON:-python3} wanted
  wanted=$("$python" -V 2>&1 && cat "$ROOT/tests/requirements.txt")
  [[ -f $VENV/.made-of && $(cat "$VENV/.made-of") == "$wanted" ]] && return 0
  step "making build/venv of tests/requirements.txt"
  rm -rf "$VENV"
  mkdir -p "$ROOT/build"
  "$python" -m venv "$VENV" || die "python3 cannot make a virtual environment" "apt-get install python3-venv"
  "$VENV/bin/pip" install -q --disable-pip-version-check -r "$ROOT/tests/requirements.txt" ||
    die "pip could not install tests/requirements.txt" "check the network, or pip's index settings"
  printf '%s\n' "$wanted" >"$VENV/.made-of"
}

#!/usr/bin/env bash
# Checks the contracts: each bundled OpenAPI document and the AsyncAPI document with tools that are not ours, that
# the pages of docs/ say what the contracts say, and that nothing breaks what was built on the newest release. PYTHON is an interpreter with tests/requirements.txt.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-build/venv/bin/python}
out=build/validate

"$python" proto/generate/generate.py --proto proto --out "$out/gen" --docs docs --check
"$python" proto/generate/validate_openapi.py "$out/gen"
"$python" proto/generate/compatible.py

# The parser lives in the build folder, made of the lock file and renewed when that changes.
mkdir -p "$out/npm"
if ! cmp -s proto/generate/package-lock.json "$out/npm/installed"; then
  cp proto/generate/package.json proto/generate/package-lock.json "$out/npm/"
  (cd "$out/npm" && npm ci --silent --no-audit --no-fund --ignore-scripts)
  cp proto/generate/package-lock.json "$out/npm/installed"
fi
NODE_PATH=$out/npm/node_modules node proto/generate/validate_events.cjs proto/events.yaml
NODE_PATH=$out/npm/node_modules node proto/generate/validate_events.cjs proto/rpc.yaml

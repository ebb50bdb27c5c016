#!/usr/bin/env python3
"""Checks the OpenAPI documents of a folder (*_openapi.json) with openapi-spec-validator."""
import json
import pathlib
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator


def main():
    faults = 0
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*_openapi.json"))
    for path in paths:
        for error in OpenAPIV31SpecValidator(json.loads(path.read_text(encoding="utf-8"))).iter_errors():
            where = "/".join(str(part) for part in error.absolute_path)
            print(f"{path.name}#/{where}: {error.message.splitlines()[0]}")
            faults += 1
    if not paths:
        print(f"{sys.argv[1]}: there is no document")
    return 1 if faults or not paths else 0


if __name__ == "__main__":
    sys.exit(main())

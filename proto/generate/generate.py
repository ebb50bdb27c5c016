#!/usr/bin/env python3
"""Makes C, the OpenAPI documents, Redis rights and reference pages from the contracts in proto/.

  generate.py --proto proto --out build/gen            what the build needs
  generate.py --proto proto --docs docs [--check]      reference pages; --check says which are stale

contract.py reads, schemas.py and routes.py are the model, the rest writes. A file whose content has
not changed keeps its time, so that make does not build what depends on it again.
"""
import argparse
import json
import pathlib
import sys

import access
import c_routes
import c_schemas
import events
import help_lines
import keys
import openapi
import rpc
import tables
import tools
from contract import ContractError, Contracts, c_text, check_origins, check_shown, snake
from pages import pages
from routes import load_event_lists, load_operations
from schemas import Library

NOTICE = "/* Generated from proto/ by proto/generate/generate.py. */"


class Model:
    """Everything that the contracts say."""

    def __init__(self, folder):
        self.contracts = Contracts(folder)
        self.root = self.contracts.folder.resolve().parent
        for name in self.contracts.files("schemas"):
            check_origins(self.contracts.root(name))
        check_shown(self.contracts)
        self.library = Library(self.contracts)
        self.library.load_all()
        self.streams, self.events = events.load_events(self.contracts, self.library)
        self.tools = tools.load_tools(self.contracts, self.library)
        self.prefix, self.redis_users, self.keys = keys.load_keys(self.contracts)
        self.methods = rpc.load_rpc(self.contracts, self.library, self.redis_users)
        self.schemas = list(self.library.ordered)
        self.errors = tables.load_errors(self.contracts)
        self.help_lines = help_lines.load(self.root)
        self.settings = tables.load_settings(self.contracts)
        self.services = [name.split("/")[1].removesuffix(".yaml") for name in self.contracts.files("http")]
        self.callers = access.load_callers(self.contracts)
        self.operations, self.param_schemas, self.event_lists = {}, {}, {}
        for service in self.services:
            known = len(self.library.ordered)
            self.event_lists[service] = lists = load_event_lists(self.contracts, self.library, service)
            self.operations[service] = load_operations(self.contracts, self.library, service, lists, self.callers)
            self.param_schemas[service] = self.library.ordered[known:]

    def methods_of(self, service):
        return [method for method in self.methods if method.service == service]

    def migrations(self, service):
        return tables.load_migrations(self.root / "services" / service / "migrations", self.root)

    def openapi(self, service):
        return json.dumps(openapi.bundle(self.contracts, service), ensure_ascii=False, separators=(",", ":"))


def schemas_header(model):
    lines = ["#pragma once", "#include <stdbool.h>", "#include <stdint.h>", "", '#include "base/str.h"',
             '#include "base/time.h"', '#include "base/uuid.h"', '#include "codec/schema.h"', ""]
    for schema in model.schemas:
        lines += c_schemas.header_of(schema)
    return lines + ["/* All that have a name, in the order of proto/; ends with NULL. */",
                    "extern const struct cm_schema *const all_schemas[];"]


def schemas_source(model):
    lines = ['#include "schemas.h"', "", "#include <stddef.h>", ""]
    for schema in model.schemas:
        lines += c_schemas.source_of(schema)
    public = [schema for schema in model.schemas if schema.public]
    lines.append("const struct cm_schema *const all_schemas[] = {")
    return lines + [f"\t&{schema.c_name}_schema," for schema in public] + ["\tNULL,", "};"]


def openapi_source(model, service):
    """The document as bytes: compilers limit the length of a literal, not of an array."""
    text = model.openapi(service)
    pieces = [text[start:start + 400] for start in range(0, len(text), 400)]
    return ["", f"const char {snake(service)}_openapi_json[] =", *[f"\t{c_text(piece)}" for piece in pieces], "\t;"]


def build_files(model):
    """name -> lines of C or text"""
    files = {
        "schemas.h": schemas_header(model), "schemas.c": schemas_source(model),
        "events.h": events.header(model.streams, model.events), "events.c": events.source(model.streams, model.events),
        "keys.h": keys.header(model.prefix, model.keys), "keys.c": keys.source(model.prefix, model.keys),
        "scopes.h": access.header(model.callers),
        "errors.h": tables.errors_header(model.errors), "errors.c": tables.errors_source(model.errors),
        "settings.h": tables.settings_header(model.settings), "settings.c": tables.settings_source(model.settings),
        "chat_tools.h": tools.header(model.tools), "chat_tools.c": tools.source(model.tools),
        "rpc.h": rpc.stubs_header(model.methods), "rpc.c": rpc.stubs_source(model.methods),
        "redis.acl": keys.access_list(model.prefix, model.redis_users, model.keys, rpc.callees(model.methods),
                                      rpc.callers(model.methods)),
    }
    for service in model.services:
        stem = snake(service)
        operations, schemas = model.operations[service], model.param_schemas[service]
        lists = list(model.event_lists[service].values())
        files[f"{stem}_api.h"] = c_routes.header(stem, operations, schemas, lists)
        files[f"{stem}_api.c"] = c_routes.source(stem, operations, schemas, lists) + openapi_source(model, service)
        files[f"{stem}_migrations.h"] = tables.migrations_header(stem)
        files[f"{stem}_migrations.c"] = tables.migrations_source(service, stem, model.migrations(service))
        files[f"{stem}_openapi.json"] = [model.openapi(service)]
        files[f"{stem}_rpc.h"] = rpc.table_header(stem, model.methods_of(service))
        files[f"{stem}_rpc.c"] = rpc.table_source(stem, service, model.methods_of(service))
    return files


def write(folder, files):
    texts = {}
    for name, lines in files.items():
        notice = [NOTICE] if name.endswith((".c", ".h")) else []
        texts[name] = "\n".join(notice + lines) + "\n"
    write_texts(folder, texts)


def write_texts(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def check(folder, texts):
    stale = [name for name, text in texts.items()
             if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text]
    for name in stale:
        print(f"{folder / name} does not say what proto/ says; run: make docs")
    return 1 if stale else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proto", default="proto")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--docs", type=pathlib.Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page of --docs is stale")
    arguments = parser.parse_args()
    try:
        model = Model(arguments.proto)
        if arguments.out:
            write(arguments.out, build_files(model))
        if arguments.docs and arguments.check:
            return check(arguments.docs, pages(model))
        if arguments.docs:
            write_texts(arguments.docs, pages(model))
    except ContractError as error:
        sys.exit(f"generate.py: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

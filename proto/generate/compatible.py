#!/usr/bin/env python3
"""Refuses changes of the contracts that a client, consumer or release from before would not survive.

  compatible.py [--proto proto]                   against the newest release (git tag v*)
  compatible.py --against FOLDER | --tag v1.2.0   against that one

What comes in may only become wider: no member gone, none newly required, no limit tighter. What goes out may only
become richer: no member gone or newly optional, no type changed. Enumerations grow at their end only, because their
numbers are stored. A change that is refused gets a new route, event or key beside the old one.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

from contract import ContractError
from generate import Model

IN, OUT = "in", "out"
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "x-max-bytes")


class Comparison:
    def __init__(self):
        self.faults = []
        self._seen = set()

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")

    # ---- schemas

    def schema(self, old, new, direction, where):
        key = (id(old), id(new), direction)
        if key in self._seen:
            return
        self._seen.add(key)
        if (old.kind, old.constant and old.values) != (new.kind, new.constant and new.values):
            self.fault(where, f"was {kind_of(old)}, is {kind_of(new)}")
            return
        self._nullable(old, new, direction, where)
        if old.kind == "enum" and new.values[:len(old.values)] != old.values:
            self.fault(where, f"the values {', '.join(old.values)} do not come first and in this order any more")
        if old.format != new.format and (direction == OUT or new.format):
            self.fault(where, f"the format was {old.format}, is {new.format}")
        if direction == IN:
            self._limits(old, new, where)
        if old.items:
            self.schema(old.items, new.items, direction, where + "/items")
        self._members(old, new, direction, where)
        self._variants(old, new, direction, where)

    def _nullable(self, old, new, direction, where):
        if direction == IN and old.nullable and not new.nullable:
            self.fault(where, "null is not taken any more")
        if direction == OUT and new.nullable and not old.nullable:
            self.fault(where, "may be null now")

    def _limits(self, old, new, where):
        for keyword in LOWER + UPPER:
            before, now = old.limits.get(keyword), new.limits.get(keyword)
            if now is None or before == now:
                continue
            if before is None or (now > before if keyword in LOWER else now < before):
                self.fault(where, f"{keyword} was {'none' if before is None else before}, is {now}")
        if new.unique and not old.unique:
            self.fault(where, "uniqueItems is new")

    def _members(self, old, new, direction, where):
        for member in old.members:
            now = new.member(member.name)
            here = f"{where}/{member.name}"
            if not now:
                self.fault(here, "is gone")
                continue
            if direction == IN and now.required and not member.required:
                self.fault(here, "is required now")
            if direction == IN and now.read_only and not member.read_only:
                self.fault(here, "is not taken any more")
            if direction == OUT and member.required and not now.required:
                self.fault(here, "may be absent now")
            self.schema(member.schema, now.schema, direction, here)
        for member in new.members:
            if direction == IN and member.required and not old.member(member.name):
                self.fault(f"{where}/{member.name}", "is new and required")

    def _variants(self, old, new, direction, where):
        now = {variant.value: variant.schema for variant in new.variants}
        if list(now)[:len(old.variants)] != [variant.value for variant in old.variants]:
            self.fault(where, "its variants do not come first and in their order any more")
        for variant in old.variants:
            if variant.value in now:
                self.schema(variant.schema, now[variant.value], direction, f"{where}/{variant.value}")

    # ---- routes

    def routes(self, old, new):
        for service in old.services:
            now = {address(o): o for o in new.operations.get(service, [])}
            for operation in old.operations[service]:
                where = f"{service} {operation.method} {operation.path}"
                same = now.get(address(operation))
                if same:
                    self._route(old, new, operation, same, where)
                else:
                    self.fault(where, "is gone")

    def _route(self, old_model, new_model, old, new, where):
        if new.scope != old.scope and new.scope:
            self.fault(where, f"the scope was {old.scope or 'open'}, is {new.scope}")
        if new.media != old.media and old.media:
            self.fault(where, f"the body was {old.media}, is {new.media}")
        if new.max_body and (not old.max_body or new.max_body < old.max_body):
            self.fault(where, f"x-max-body was {old.max_body or 'that of the server'}, is {new.max_body}")
        if old.idempotent and not new.idempotent:
            self.fault(where, "does not honour Idempotency-Key any more")
        if new.body_required and not old.body_required:
            self.fault(where, "the body is required now")
        self._params(old, new, where)
        before, now = body_of(old_model, old), body_of(new_model, new)
        if before and now:
            self.schema(before, now, IN, f"{where} body")
        self._responses(old_model, new_model, old, new, where)

    def _params(self, old, new, where):
        now = dict(named_params(new))
        for name, param in named_params(old):
            same = now.pop(name, None)
            here = f"{where} {param.where} {param.name}"
            if not same:
                self.fault(here, "is gone")
                continue
            if same.required and not param.required:
                self.fault(here, "is required now")
            self.schema(param.schema, same.schema, IN, here)
        for param in now.values():
            if param.required:
                self.fault(f"{where} {param.where} {param.name}", "is new and required")

    def _responses(self, old_model, new_model, old, new, where):
        now = dict(new.responses)
        for status, response in old.responses:
            if status[0] != "2":
                continue
            if status not in now:
                self.fault(f"{where} {status}", "is gone")
                continue
            after = schemas_of(new_model, now[status])
            for media, schema in schemas_of(old_model, response).items():
                if media not in after:
                    self.fault(f"{where} {status} {media}", "is gone")
                elif schema and after[media]:
                    self.schema(schema, after[media], OUT, f"{where} {status}")

    # ---- the rest

    def events(self, old, new):
        now = {event.type: event for event in new.events}
        for event in old.events:
            if event.type not in now:
                self.fault(f"event {event.type}", "is gone")
            elif now[event.type].service != event.service:
                self.fault(f"event {event.type}", f"was on the stream of {event.service}, is on {now[event.type].service}")
            else:
                self.schema(event.payload, now[event.type].payload, OUT, f"event {event.type}")

    def methods(self, old, new):
        """A request is read by the new service, a reply by the old caller."""
        now = {method.type: method for method in new.methods}
        for method in old.methods:
            where, same = f"call {method.type}", now.get(method.type)
            if not same:
                self.fault(where, "is gone")
                continue
            if same.service != method.service:
                self.fault(where, f"was answered by {method.service}, is by {same.service}")
            if same.idempotent and not method.idempotent:
                self.fault(where, "needs an idempotency key now")
            if set(method.callers) - set(same.callers):
                self.fault(where, f"may not be called by {', '.join(sorted(set(method.callers) - set(same.callers)))} any more")
            self.schema(method.request, same.request, IN, f"{where} request")
            self.schema(method.reply, same.reply, OUT, f"{where} reply")

    def errors(self, old, new):
        now = {code: status for code, status, _, _ in new.errors}
        for code, status, _, _ in old.errors:
            if now.get(code) != status:
                self.fault(f"error {code}", f"was {status}, is {now.get(code, 'gone')}")

    def keys(self, old, new):
        """Two releases run side by side on one Redis, unless the prefix says otherwise."""
        now = {key.name: key for key in new.keys}
        for key in old.keys if old.prefix == new.prefix else []:
            same = now.get(key.name)
            if same and (same.template, same.type) != (key.template, key.type):
                self.fault(f"key {key.name}", f"was {key.template} ({key.type}), is {same.template} ({same.type})")


def kind_of(schema):
    return f"{schema.kind} {', '.join(schema.values)}".rstrip()


def address(operation):
    """What a client calls; the names of the parts of a path are ours."""
    return operation.method, re.sub(r"\{[^}]*\}", "{}", operation.path)


def named_params(operation):
    """((where, name), param); parts of the path go by their place in it."""
    in_path = re.findall(r"\{([^}]*)\}", operation.path)
    return [((p.where, in_path.index(p.name) if p.where == "path" else p.name.lower()), p) for p in operation.params]


def body_of(model, operation):
    if operation.body or "requestBody" not in operation.place:
        return operation.body
    found = schemas_of(model, model.contracts.resolve(operation.place.at("requestBody")))
    return found.get(operation.media)


def schemas_of(model, place):
    """media type -> schema, None when it is described in place"""
    found = {}
    for media_type, media in place.at("content").children() if "content" in place else []:
        named = "schema" in media and "$ref" in media.at("schema")
        found[media_type] = model.library.reference(media.at("schema")) if named else None
    return found


def compare(old, new):
    """What breaks, a line each."""
    comparison = Comparison()
    for part in (comparison.routes, comparison.events, comparison.methods, comparison.errors, comparison.keys):
        part(old, new)
    return comparison.faults


# ---- the release to compare with

def newest_release():
    result = subprocess.run(["git", "describe", "--tags", "--abbrev=0", "--match", "v*"],
                            capture_output=True, text=True, check=False)
    return result.stdout.strip()


def checkout(tag, folder):
    """proto/ as it was."""
    archive = pathlib.Path(folder) / "release.tar"
    subprocess.run(["git", "archive", "-o", str(archive), tag, "proto"], check=True)
    # Debian 12's Python knows no filters; the archive is git's own.
    filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        tar.extractall(folder, **filters)
    return pathlib.Path(folder) / "proto"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proto", default="proto")
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--tag")
    arguments = parser.parse_args()
    tag = None if arguments.against else arguments.tag or newest_release()
    if not arguments.against and not tag:
        print("compatible: there is no release yet to compare with")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            faults = compare(Model(arguments.against or checkout(tag, folder)), Model(arguments.proto))
        except ContractError as error:
            sys.exit(f"compatible: {error}")
    for fault in faults:
        print(fault)
    print(f"compatible: {len(faults)} changes would break what was built on {arguments.against or tag}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

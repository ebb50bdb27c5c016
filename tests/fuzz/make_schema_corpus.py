#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/schema: for each schema one document with every member, as schema.c reads it.

Run it after contracts have changed; the number of a schema is its place among all.
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "proto" / "generate"))

from generate import Model  # noqa: E402  the generator is a folder of scripts

TEXTS = {"email": "dana@example.org", "uri": "https://example.org/a", "x-time-zone": "Asia/Jerusalem",
         "x-language": "pt-BR", "x-clock-time": "08:30"}
SCALARS = {"time": "2026-11-20T20:15:12.5Z", "date": "2026-11-20", "uuid": "0193f2a0-0123-7abc-8def-00112233445f",
           "boolean": True, "any": {"a": [1, 2.5, None]}}


def example(schema):
    if schema.kind == "object":
        return {m.name: example(m.schema) for m in schema.members if not m.read_only}
    if schema.kind == "one_of":
        return example(schema.variants[0].schema)
    if schema.kind == "array":
        return [example(schema.items)] * max(1, schema.limits.get("minItems", 1))
    if schema.kind == "enum":
        return schema.values[0]
    if schema.kind in ("integer", "number"):
        return number(schema)
    if schema.kind == "string":
        return TEXTS.get(schema.format) or "a" * max(1, schema.limits.get("minLength", 1))
    return SCALARS[schema.kind]


def number(schema):
    low = schema.limits.get("minimum", schema.limits.get("exclusiveMinimum", -1) + 1)
    high = schema.limits.get("maximum", schema.limits.get("exclusiveMaximum", low + 2) - 1)
    middle = low + min(high - low, 2)
    return int(middle) if schema.kind == "integer" else middle


def main():
    folder = ROOT / "tests" / "fuzz" / "corpus" / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    public = [schema for schema in Model(ROOT / "proto").schemas if schema.public]
    for index, schema in enumerate(public):
        variants = [v.schema for v in schema.variants] or [schema]
        for variant in variants:
            text = json.dumps(example(variant), ensure_ascii=False, separators=(",", ":"))
            name = schema.name if variant is schema else f"{schema.name}.{variant.name}"
            (folder / name).write_bytes(bytes([index]) + text.encode())


if __name__ == "__main__":
    main()

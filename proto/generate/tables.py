"""Error codes, migrations and settings: small tables of C."""
import re

from contract import ContractError, c_text, notation, shout, snake

# ---- error codes


def load_errors(contracts):
    """[(code, status, title, place)]"""
    if not contracts.has("errors.yaml"):
        return []
    errors = []
    for code, place in contracts.root("errors.yaml").children():
        place.allow("status", "title", "description")
        if not re.fullmatch(r"[a-z][a-z_]*", str(code)):
            place.fail("a code is snake_case")
        if not isinstance(place.at("status").node, int) or not 400 <= place.get("status") <= 599:
            place.at("status").fail("must be from 400 to 599")
        errors.append((code, place.get("status"), place.at("title").node, place))
    return errors


def errors_header(errors):
    lines = ["#pragma once", "#include <stddef.h>", "",
             "/* Stable codes of problems; clients decide by them. Never change the meaning of one. */"]
    for code, status, title, _ in errors:
        lines.append(f"#define CM_CODE_{shout(code)} {c_text(code)} /* {status} {title} */")
    return lines + ["", "struct cm_error_code {", "\tconst char *code;", "\tint status;", "\tconst char *title;", "};", "",
                    "/* Every code; ends with code NULL. */", "extern const struct cm_error_code cm_error_codes[];",
                    "/* NULL when there is no such code. */",
                    "const struct cm_error_code *cm_error_code_find(const char *code);"]


def errors_source(errors):
    lines = ['#include "errors.h"', "", "#include <string.h>", "", "const struct cm_error_code cm_error_codes[] = {"]
    lines += [f"\t{{ CM_CODE_{shout(code)}, {status}, {c_text(title)} }}," for code, status, title, _ in errors]
    return lines + ["\t{ NULL, 0, NULL },", "};", "",
                    "const struct cm_error_code *cm_error_code_find(const char *code)", "{",
                    "\tfor (const struct cm_error_code *e = cm_error_codes; e->code; e++)",
                    "\t\tif (strcmp(e->code, code) == 0)", "\t\t\treturn e;", "\treturn NULL;", "}"]


# ---- migrations

INCLUDE = re.compile(r"^-- include: (\S+)[ \t]*$", re.MULTILINE)


def load_migrations(folder, root):
    """[(version, name, up, down)] of services/<service>/migrations; includes are relative to the checkout."""
    files = {}
    for path in sorted(folder.glob("*.sql")) if folder.is_dir() else []:
        match = re.fullmatch(r"([0-9]{4})_([a-z0-9_]+)\.(up|down)\.sql", path.name)
        if not match:
            raise ContractError(path, "must be called NNNN_name.up.sql or NNNN_name.down.sql")
        files.setdefault(int(match[1]), {}).setdefault(match[2], {})[match[3]] = _with_includes(path, root)
    migrations = []
    for position, (version, named) in enumerate(sorted(files.items()), start=1):
        if version != position:
            raise ContractError(folder, f"there is no migration {position:04}")
        if len(named) != 1 or set(*[list(d) for d in named.values()]) != {"up", "down"}:
            raise ContractError(folder, f"migration {version:04} needs one .up.sql and one .down.sql of one name")
        ((name, texts),) = named.items()
        migrations.append((version, name, texts["up"], texts["down"]))
    return migrations


def _with_includes(path, root):
    def text_of(match):
        target = root / match[1]
        if not target.is_file():
            raise ContractError(path, f"includes {match[1]}, which is not there")
        return target.read_text(encoding="utf-8").rstrip("\n")
    return INCLUDE.sub(text_of, path.read_text(encoding="utf-8"))


def c_long_text(text, indent):
    """A text as one literal a line."""
    return "\n".join(indent + c_text(line) for line in text.splitlines(keepends=True)) or indent + '""'


def migrations_header(stem):
    return ["#pragma once", '#include "store/migrate.h"', "", f"extern const struct cm_migrations {stem}_migrations;"]


def migrations_source(service, stem, migrations):
    lines = [f'#include "{snake(service)}_migrations.h"', "", "#include <stddef.h>", "", '#include "base/attr.h"', ""]
    if not migrations:
        return lines + [f"const struct cm_migrations {stem}_migrations = {{ NULL, 0 }};"]
    lines.append("static const struct cm_migration items[] = {")
    for version, name, up, down in migrations:
        lines += ["\t{", f"\t\t.version = {version},", f"\t\t.name = {c_text(name)},",
                  f"\t\t.up =\n{c_long_text(up, '			')},", f"\t\t.down =\n{c_long_text(down, '			')},", "\t},"]
    return lines + ["};", "", f"const struct cm_migrations {stem}_migrations = {{ items, CM_COUNT(items) }};"]


# ---- settings

SETTING_TYPES = {"text": "char *", "secret": "char *", "url": "char *", "int": "int64_t ", "bool": "bool ",
                 "duration": "int64_t ", "size": "int64_t "}


def load_settings(contracts):
    """{"common": [setting…], "auth": […]}; a setting is (member, place)."""
    tables = {}
    for name in contracts.files("settings"):
        stem = name.split("/")[1].removesuffix(".yaml")
        root = contracts.root(name)
        tables[stem] = []
        for key, place in root.children():
            place.allow("type", "default", "min", "max", "help", "member", "optional", "x-origin")
            _check_setting(key, place)
            tables[stem].append((key, setting_member(key, place), place))
    shared = {key for key, _, _ in tables.get("common", [])}
    for stem, settings in tables.items():
        for key, _, place in settings:
            if stem != "common" and key in shared:
                place.fail("is in common.yaml already")
    # What the others begin with comes first.
    return dict(sorted(tables.items(), key=lambda item: item[0] != "common"))


def setting_member(key, place):
    """SALUS_REQUEST_TIMEOUT -> request_timeout_us; DATABASE_URL -> database_url"""
    member = place.text("member") or snake(key.removeprefix("SALUS_"))
    return member + ("_us" if place.get("type") == "duration" and not member.endswith("_us") else "")


def _check_setting(key, place):
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
        place.fail("a key is upper case")
    if place.at("type").node not in SETTING_TYPES:
        place.at("type").fail(f"must be one of {', '.join(SETTING_TYPES)}")
    place.at("help")
    if "default" in place and place.get("optional"):
        place.fail("has a default and is optional")
    for word in ("default", "min", "max"):
        if word in place and not isinstance(place.get(word), (str, int)):
            place.at(word).fail("must be written in the setting's notation")


def settings_struct(table):
    return "cm_service_settings" if table == "common" else f"{snake(table)}_settings"


def settings_table(table):
    return "cm_service_setting_table" if table == "common" else f"{snake(table)}_setting_table"


def settings_header(tables):
    lines = ["#pragma once", "#include <stdbool.h>", "#include <stdint.h>", "", '#include "sys/config.h"', "",
             "/* Settings as docs/configuration.md describes them. Tables end with key NULL. */", ""]
    for table, settings in tables.items():
        lines.append(f"struct {settings_struct(table)} {{")
        if table != "common":
            lines.append("\tstruct cm_service_settings service; /* first */")
        for key, member, place in settings:
            lines.append(f"\t{SETTING_TYPES[place.get('type')]}{member}; /* {key} */")
        lines += ["};", f"extern const struct cm_setting {settings_table(table)}[];", ""]
    return lines


def settings_source(tables):
    lines = ['#include "settings.h"', "", "#include <stddef.h>", ""]
    for table, settings in tables.items():
        lines.append(f"const struct cm_setting {settings_table(table)}[] = {{")
        for key, member, place in settings:
            initial = "" if place.get("optional") else place.get("default")
            words = [c_text(notation(word)) if word is not None else "NULL"
                     for word in (initial, place.get("min"), place.get("max"))]
            lines += [f"\t{{ {c_text(key)}, CM_SETTING_{shout(place.get('type'))}, {', '.join(words)},",
                      f"\t\toffsetof(struct {settings_struct(table)}, {member}),", f"\t\t{c_text(place.get('help'))} }},"]
        lines += ["\t{ .key = NULL },", "};", ""]
    return lines

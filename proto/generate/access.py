"""Who may what: the callers of access.yaml with their scopes, and `x-access` of each route.

A route that does not say it is an error, and so is one whose words and whose scope disagree: what docs/access.md shows and the
tests send is what the guard enforces.
"""
import re

from contract import c_text, shout

ANYONE = "anonymous"
NEWCOMER = "newcomer"   # no caller of its own: an account before it has chosen its password
OBJECTS = ("open", "own", "other", "other_tenant")
SCOPE = r"[a-z_]+:[a-z_*]+"


def load_callers(contracts):
    """{"patient": ["chat:read", …]}, in the order of the claim `type` of a token."""
    callers = {}
    for name, place in contracts.root("access.yaml").children():
        scopes = [item.node for item in place.items()]
        for item in place.items():
            if not re.fullmatch(SCOPE, str(item.node)):
                item.fail('must be like "health:write"')
        if len(set(scopes)) != len(scopes):
            place.fail("names a scope twice")
        callers[name] = sorted(scopes)
    return callers


def load_access(place, scope, in_path, callers):
    """What a route says: {"own": ["patient", "doctor"]}. `in_path`: ids of things that the path names."""
    access = place.at("x-access")
    access.allow(*OBJECTS)
    reached = {kind: _callers(child, callers) for kind, child in access.children()}
    if not reached:
        access.fail(f"names nobody (known: {', '.join(OBJECTS)})")
    if "open" in reached and len(reached) > 1:
        access.at("open").fail("concerns nobody's things, so it stands alone")
    if "open" in reached and in_path and scope:
        access.at("open").fail(f"the path names a thing ({', '.join(in_path)}): whose may it be?")
    named = {name for names in reached.values() for name in names}
    allowed = {name for name, scopes in callers.items() if scope in scopes and name != NEWCOMER} if scope \
        else {ANYONE, *callers} - {NEWCOMER}
    if named != allowed:
        wrong = ", ".join(sorted(named ^ allowed))
        access.fail(f"and {'the scope ' + scope if scope else 'a route without a scope'} disagree about {wrong}")
    return reached


def _callers(place, callers):
    known = [ANYONE, *[name for name in callers if name != NEWCOMER]]
    if place.node == "all":
        return known
    names = [item.node for item in place.items()]
    for item in place.items():
        if item.node not in known:
            item.fail(f"is no caller (known: {', '.join(known)}, or `all` instead of the list)")
    return sorted(set(names), key=known.index)


def header(callers):
    lines = ["#pragma once", "", "/* The scopes of a token, by whose it is; blank-separated, as in the claim. */"]
    return lines + [f"#define SCOPES_{shout(name)} {c_text(' '.join(scopes))}" for name, scopes in callers.items()]


# ---- docs/access.md

INTRO = """\
# Who may what

Deny by default: a caller reaches what a cell names, and nothing else. `own`: the caller's things. `other`: things of other people
of the same tenant. `other tenant`: things of people elsewhere. `yes`: the route concerns nobody's things. `–`: refused, with 401
for who shows no token, 403 for who lacks the scope, and 404 for a thing that is not within reach: whether it exists is not told.

Each route says this in its contract (`x-access` in `proto/http/`); a route that does not, or whose scope says something else, does
not build. `tests/integration/test_access.py` sends every cell of this page: each caller, each route, with a thing of their own, of
another's and of another tenant's. Row-level security in PostgreSQL holds the same a second time.
"""


def page(notice, callers, operations):
    """Lines of the page; `operations` is service -> operations."""
    names = [ANYONE, *[name for name in callers if name != NEWCOMER]]
    lines = [notice, *INTRO.split("\n"), "## Callers and their scopes", "",
             "| caller | scopes |", "| --- | --- |"]
    lines += [f"| {name} | {' '.join(f'`{scope}`' for scope in scopes)} |" for name, scopes in callers.items()]
    lines += ["", "A machine client carries those of its scopes that it was given. A `newcomer` is an account that has to choose",
              "its password first.", ""]
    for service, listed in operations.items():
        lines += [f"## {service}", "", f"| route | scope | {' | '.join(names)} |", f"|{' --- |' * (2 + len(names))}"]
        lines += [f"| {o.method} {o.path} | {f'`{o.scope}`' if o.scope else 'none'} | "
                  f"{' | '.join(_cell(o.access, name) for name in names)} |" for o in listed]
        lines.append("")
    return lines


def _cell(access, name):
    reached = [kind.replace("_", " ") for kind in OBJECTS if name in access.get(kind, [])]
    return ", ".join(reached).replace("open", "yes") or "–"

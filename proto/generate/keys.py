"""proto/keys.yaml: builders of Redis keys, their lives, and the rights of each daemon's Redis user."""
import re
from dataclasses import dataclass, field

from c_schemas import comment
from contract import c_text, check_origins, shout

PART_TYPES = {"uuid": "const struct cm_uuid *", "text": "struct cm_str "}
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
SECOND = 1_000_000
# What may be done to a key of a type. Nothing here removes what others wrote, or looks at all keys.
COMMANDS = {
    "string": "get set getex getdel del exists expire pexpire pttl ttl incr decr incrby eval evalsha".split(),
    "hash": "hget hmget hgetall hset hdel hincrby del exists expire pexpire pttl eval evalsha".split(),
    "list": "lpush rpush lrange lindex ltrim llen lrem lpop rpop del exists expire pexpire pttl eval evalsha".split(),
    "zset": "zadd zcard zrange zrem zremrangebyscore del exists expire pexpire pttl eval evalsha".split(),
    "stream": ("xadd xlen xrange xrevrange xtrim xdel xinfo xgroup xpending xread xreadgroup xack xclaim xautoclaim "
               "exists expire pexpire eval evalsha").split(),
}
# A consumer of another service's stream reads and acknowledges, and cannot add or trim.
CONSUMER_COMMANDS = "xreadgroup xread xack xclaim xautoclaim xpending xgroup|create xinfo xlen xrange xrevrange exists".split()
COMMON_COMMANDS = ("auth hello ping quit reset select echo time wait info command client|setname client|id client|info "
                   "client|no-evict config|get script|load script|exists multi exec discard "
                   "subscribe unsubscribe psubscribe punsubscribe publish").split()
NEVER_OPERATOR = "flushall flushdb shutdown debug module replicaof slaveof".split()


@dataclass
class Key:
    place: object
    name: str
    template: str
    type: str
    owner: str
    description: str
    life: str = None            # as written
    life_us: int = 0
    parts: dict = field(default_factory=dict)
    writers: list = field(default_factory=list)
    readers: list = field(default_factory=list)


def load_keys(contracts):
    """(prefix, services, keys)"""
    if not contracts.has("keys.yaml"):
        return "s1:", [], []
    root = contracts.root("keys.yaml")
    root.allow("prefix", "services", "keys")
    check_origins(root)
    services = root.at("services").node
    keys = [_key(place, name, services) for name, place in root.at("keys").children()]
    return root.at("prefix").node, services, keys


def _key(place, name, services):
    place.allow("key", "type", "owner", "life", "parts", "writers", "readers", "description", "x-origin")
    key = Key(place, name, place.at("key").node, place.at("type").node, place.at("owner").node,
              place.at("description").node, parts=place.get("parts", {}))
    if key.type not in (*COMMANDS, "channel"):
        place.at("type").fail(f"must be one of {', '.join(COMMANDS)}, channel")
    if re.findall(r"\{([a-z_]+)\}", key.template) != list(key.parts):
        place.at("key").fail("its parts must be described in `parts`, in their order")
    for part, kind in key.parts.items():
        if kind not in PART_TYPES:
            place.at("parts").fail(f"{part} must be one of {', '.join(PART_TYPES)}")
    key.writers = place.get("writers", [key.owner])
    key.readers = place.get("readers", [])
    for service in [key.owner, *key.writers, *key.readers]:
        if service not in (*services, "all", "operator"):
            place.fail(f"{service} is not a service")
    _life(place, key)
    return key


def _life(place, key):
    key.life = place.at("life").node
    match = re.fullmatch(r"([1-9][0-9]*) ?(s|min|h|d)( sliding)?", key.life)
    if match:
        key.life_us = int(match[1]) * UNITS[match[2]] * SECOND
    elif key.life not in ("kept", "own", "none"):
        place.at("life").fail('must be like "5 min", "24 h sliding"; kept, own (the thing\'s own) or none (a channel)')


# ---- C

def prototype(key):
    arguments = ["struct cm_arena *arena"] + [PART_TYPES[kind] + part for part, kind in key.parts.items()]
    return f"struct cm_str key_{key.name}({', '.join(arguments)})"


def header(prefix, keys):
    lines = ["#pragma once", '#include "base/arena.h"', '#include "base/uuid.h"', "",
             "/* Redis keys and channels. Builders allocate in the arena; keys without parts are constants. */", ""]
    for key in keys:
        lines += comment(key.description)
        if key.life_us:
            lines.append(f"#define KEY_{shout(key.name)}_LIFE_US INT64_C({key.life_us})")
        if key.parts:
            lines += [f"#define KEY_{shout(key.name)}_PREFIX {c_text(prefix + key.template.partition('{')[0])}",
                      prototype(key) + ";", ""]
        else:
            lines += [f"#define KEY_{shout(key.name)} {c_text(prefix + key.template)}", ""]
    return lines


def source(prefix, keys):
    lines = ['#include "keys.h"', ""]
    for key in keys:
        if not key.parts:
            continue
        text = re.sub(r"\{[a-z_]+\}", lambda _, kinds=iter(key.parts.values()):
                      "%s" if next(kinds) == "uuid" else "%.*s", prefix + key.template)
        ids = [part for part, kind in key.parts.items() if kind == "uuid"]
        lines += [prototype(key), "{", *[f"\tchar {part}_text[CM_UUID_TEXT_SIZE];" for part in ids], *([""] if ids else [])]
        values = [f"cm_uuid_format({part}, {part}_text)" if kind == "uuid" else f"CM_STR_ARG({part})"
                  for part, kind in key.parts.items()]
        lines += [f"\treturn cm_arena_printf(arena, {c_text(text)}, {', '.join(values)});", "}", ""]
    return lines


# ---- rights

def access_list(prefix, services, keys, callees=None, callers=None):
    """Users of Redis as an aclfile. scripts/ put the digest of a password where ">@user@" stands. `callees` are the services
    whom a service asks (rpc.yaml), `callers` those whom it answers."""
    lines = ["# Generated from proto/keys.yaml. Each daemon may touch its own keys and nothing else."]
    for service in services:
        rights = _call_rights(prefix, (callees or {}).get(service, []), (callers or {}).get(service, []))
        lines.append(" ".join(_user(prefix, service, keys) + rights))
    forbidden = " ".join("-" + command for command in NEVER_OPERATOR)
    lines.append(f"user salus-operator on >@salus-operator@ ~{prefix}* &{prefix}* +@all {forbidden}")
    # Nobody can sign in as default. Its rights are for Redis itself: it replays its append-only file as this user, and
    # drops each transaction in it (a script's, a group read's) that the user would not be allowed.
    lines.append("user default off resetpass ~* &* +@all")
    return lines


def _user(prefix, service, keys):
    mine = [key for key in keys if _among(service, key.writers)]
    read = [key for key in keys if _among(service, key.readers) and (key not in mine or "own_service" in key.parts)]
    words = ["user", f"salus-{service}", "on", f">@salus-{service}@", "resetkeys", "resetchannels", "-@all"]
    words += [f"~{_pattern(prefix, key, service)}" for key in mine if key.type != "channel"]
    words += [f"%R~{_pattern(prefix, key, '*')}" for key in read if key.type not in ("channel", "stream")]
    words += sorted({f"&{_pattern(prefix, key, service)}" for key in mine + read if key.type == "channel"})
    commands = {c for key in mine + read if key.type != "channel" for c in COMMANDS[key.type]}
    words += ["+" + command for command in sorted(commands | set(COMMON_COMMANDS))]
    streams = [f"~{_pattern(prefix, key, '*')}" for key in read if key.type == "stream"]
    if streams:
        # One command reads others' streams and one's own redelivery; a selector must allow all of its keys.
        streams += [f"~{_pattern(prefix, key, service)}" for key in mine if key.type == "stream"]
        words.append(f"({' '.join(streams + ['+' + c for c in CONSUMER_COMMANDS])})")
    return words


def _call_rights(prefix, callees, callers):
    """Who asks may add requests and read none; who answers may publish to its callers and listen to none."""
    words = []
    if callees:
        words.append(f"({' '.join(f'%W~{prefix}rpc:{callee}' for callee in callees)} +xadd)")
    if callers:
        words.append(f"({' '.join(f'&{prefix}reply:{caller}.*' for caller in callers)} +publish)")
    return words


def _among(service, names):
    return service in names or "all" in names


def _pattern(prefix, key, own_service):
    """A part called own_service stands for the daemon's own name, any other for anything."""
    return prefix + re.sub(r"\{([a-z_]+)\}", lambda m: own_service if m[1] == "own_service" else "*", key.template)

"""Takes the rows that were asked for, in turns with what they are compared with, and prints one table."""

import argparse
import sys

from bench import (
    rows_accounts,
    rows_audit,
    rows_auth,
    rows_bus,
    rows_chat,
    rows_daemons,
    rows_enumeration,
    rows_events,
    rows_imports,
    rows_memory,
    rows_reads,
    rows_rpc,
    rows_scheduler,
    rows_streams,
    rows_talk,
)
from bench.rig import Rig
from bench.table import show, write_tsv

MODULES = (rows_auth, rows_events, rows_reads, rows_bus, rows_imports, rows_daemons, rows_streams, rows_rpc, rows_memory,
           rows_scheduler, rows_chat, rows_talk, rows_enumeration, rows_accounts, rows_audit)
ROWS = {name: row for module in MODULES for name, row in module.ROWS.items()}


def named(asked: str) -> list[str]:
    return [asked] if asked in ROWS else [name for name in ROWS if name.startswith(f"{asked}_")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(ROWS)}; all, when none is given; auth: all of auth_…")
    parser.add_argument("--tsv", metavar="FILE", help="writes the table as TSV as well")
    arguments = parser.parse_args()
    names = [name for asked in arguments.names for name in named(asked)] or list(ROWS)
    unknown = [asked for asked in arguments.names if not named(asked)]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    rig, rows = Rig(), []
    try:
        for name in names:
            print(f"… {name}", file=sys.stderr, flush=True)
            rows += ROWS[name](rig)
    finally:
        rig.stop()
    print(show(rows))
    if arguments.tsv:
        write_tsv(rows, arguments.tsv)
    return 1 if any(row.met == "void" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The mail sink of scripts/up, for tests: what the scheduler sends is read from it."""

import importlib.util

from support.paths import ROOT

_spec = importlib.util.spec_from_file_location("mail_sink", ROOT / "scripts/lib/mail_sink.py")
mail_sink = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mail_sink)
SinkThread = mail_sink.SinkThread

"""Mail handed to a server that is not ours (aiosmtpd): TLS, certificates, signing in. What is not certain to stay private is not sent."""

import ssl
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from support.client import Api, register
from support.paths import ROOT, program
from support.process import free_port
from support.waiting import eventually

USER, PASSWORD = "salus", "a word of the mail server's"


class Kept:
    """Keeps each message, whether it came by TLS, and as whom."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((envelope.content.decode(), session.ssl is not None, session.authenticated))
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)


class FromTheFirstByte(Controller):
    def factory(self):
        return SMTP(self.handler, **self.SMTP_kwargs)


@pytest.fixture(scope="module")
def send():
    def run(port, tls, ca, *account, scheme="smtp"):
        done = subprocess.run([program("send_mail"), f"{scheme}://localhost:{port}", tls, ca, *account], cwd=ROOT,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two servers' own certificates for localhost: (key, certificate) each."""
    folder = tmp_path_factory.mktemp("tls")
    made = []
    for name in ("ours", "other"):
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        made.append((str(key), str(certificate)))
    return made


@contextmanager
def served(certificate=None, *, starttls=True, kind=Controller, **options):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate[1], certificate[0])
    if context and starttls:
        options |= {"tls_context": context}
    handler = Kept()
    server = kind(handler, hostname="127.0.0.1", port=free_port(),
                  **({"ssl_context": context} if context and not starttls else {}), **options)
    server.start()
    try:
        yield server.port, handler.messages
    finally:
        server.stop()


def test_starttls_and_signing_in(send, certificates):
    ours, _ = certificates
    with served(ours, require_starttls=True, auth_required=True, authenticator=authenticate) as (port, messages):
        assert send(port, "required", ours[1], USER, PASSWORD) == "sent"
        (text, by_tls, signed_in), = messages
        assert "Take them." in text and by_tls and signed_in
        assert send(port, "optional", ours[1], USER, PASSWORD) == "sent"
        assert messages[1][1]   # it was offered


def test_tls_from_the_first_byte(send, certificates):
    ours, _ = certificates
    with served(ours, starttls=False, kind=FromTheFirstByte) as (port, messages):
        assert send(port, "required", ours[1], scheme="smtps") == "sent"
        assert len(messages) == 1


@pytest.mark.parametrize("tls", ["required", "optional"])
def test_another_ones_certificate(send, certificates, tls):
    ours, other = certificates
    with served(other) as (port, messages):
        assert send(port, tls, ours[1]) == "protocol"
        assert send(port, tls, "-") == "protocol"   # nor do the machine's own vouch for it
        assert messages == []


def test_no_tls_where_it_is_required(send, certificates):
    with served() as (port, messages):
        assert send(port, "required", certificates[0][1]) == "protocol"
        assert messages == []
        assert send(port, "optional", certificates[0][1]) == "sent"
        assert send(port, "none", "-") == "sent"
        assert [by_tls for _, by_tls, _ in messages] == [False, False]


def test_a_wrong_password_is_no_reason_to_give_up(send, certificates):
    """The message is good, the setting is not: later it may be."""
    ours, _ = certificates
    with served(ours, require_starttls=True, auth_required=True, authenticator=authenticate) as (port, messages):
        assert send(port, "required", ours[1], USER, "guess") == "later"
        assert send(port, "required", ours[1]) in ("later", "refused")
        assert messages == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_password_never_goes_in_the_clear(send, certificates):
    with served(auth_required=True, auth_require_tls=False, authenticator=authenticate) as (port, messages):
        assert send(port, "required", certificates[0][1], USER, PASSWORD) == "protocol"
        assert messages == []


def test_a_reminder_waits_for_a_server_that_can_be_trusted(stack, auth, scheduler, certificates):
    ours, other = certificates
    scheduler.stop()
    with served(ours, require_starttls=True, auth_required=True, authenticator=authenticate) as (port, messages):
        settings = {"SALUS_SMTP_URL": f"smtp://localhost:{port}", "SALUS_SMTP_TLS": "required", "SALUS_SMTP_USER": USER,
                    "SALUS_SMTP_PASSWORD": PASSWORD, "SALUS_EMAIL_RETRY": "1s,1s,1s,1s,1s,1s,1s,1s"}
        daemon = stack.daemon("scheduler", name="scheduler-wrong-ca", SALUS_SMTP_CA_FILE=other[1], **settings)
        api = Api(daemon.url, register(auth.url).token)
        at = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = eventually(lambda: api.post("/v1/schedules", json={"name": "take my meds", "cron_expression": f"@at {at}"}))
        assert made.status_code == 201, made.text
        eventually(lambda: daemon.metric("salus_reminders_retried_total") > 0, within=20, what="an attempt")
        daemon.stop()
        assert messages == []
        daemon = stack.daemon("scheduler", name="scheduler-right-ca", SALUS_SMTP_CA_FILE=ours[1], **settings)
        (_, by_tls, signed_in), = eventually(lambda: messages, within=20, what="the mail")
        assert by_tls and signed_in
        daemon.stop()
    scheduler.start()

"""Mail reaches a server over plain, upgraded and encrypted connections; refusals are reported rightly."""

import datetime
import ipaddress
import logging
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.notices.servers import MailServer, serve_mail
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.notices.channels import Mail
from yivideo_pipeline.settings.sections import NoticeSettings


def mail(port: int, timeout_s: float = 5.0, **changes) -> Mail:
    settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_security": "none",
        "mail_from": "yivideo <yivideo@here.example>",
        "mail_to": ["a@here.example", "b@here.example"],
    }
    return Mail(NoticeSettings.model_validate(settings | changes), timeout_s)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that is not trusted yet, with its key, as a PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_notice_arrives_as_mail_with_chinese_in_its_subject(mailbox, notice):
    mail(mailbox.port).send(notice)
    (got,) = mailbox.mails
    assert got["Subject"] == "[yivideo] 今天天气.mp4 failed at transcript: No memory"
    assert got["From"] == "yivideo <yivideo@here.example>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"].datetime.timestamp() == notice.at
    lines = got.get_content().splitlines()
    assert lines == ["今天天气.mp4", "  hint", "", "http://127.0.0.1:3000/runs/1"]
    assert mailbox.receivers == ["a@here.example", "b@here.example"]


def test_a_mail_that_is_sent_again_has_the_same_id(mailbox, notice):
    for _ in range(2):
        mail(mailbox.port).send(notice)
    first, second = mailbox.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@here.example>")


def test_the_login_is_made_with_the_settings_password(mailbox, notice):
    mailbox.password = "offen"
    mail(mailbox.port, smtp_user="me", smtp_password="offen").send(notice)
    assert len(mailbox.mails) == 1


def test_a_refused_login_is_a_fault_of_the_settings_and_hides_the_password(mailbox, notice, caplog):
    mailbox.password = "offen"
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError, match="refused the login") as caught:
        mail(mailbox.port, smtp_user="me", smtp_password="geheim").send(notice)
    assert "notices.smtp_password" in caught.value.hint
    assert caught.value.__cause__ is None
    assert "geheim" not in f"{caught.value!r} {caplog.text}"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("CONNECT", "421 too busy"),
        ("MAIL", "451 later"),
        ("RCPT", "450 mailbox busy"),
        ("MAIL'S END", "452 no room"),
    ],
)
def test_a_server_that_asks_to_try_later_is_worth_retrying(mailbox, notice, command, reply):
    mailbox.replies = {command: [reply] * 2}
    with pytest.raises(ServiceUnreachable, match=reply):
        mail(mailbox.port).send(notice)


@pytest.mark.parametrize(
    ("command", "reply"),
    [("MAIL", "550 not from you"), ("RCPT", "550 nobody here"), ("MAIL'S END", "554 is spam")],
)
def test_a_server_that_refuses_for_good_is_not_worth_retrying(mailbox, notice, command, reply):
    mailbox.replies = {command: [reply] * 2}
    with pytest.raises(ConfigError, match=reply):
        mail(mailbox.port).send(notice)


def test_one_refused_receiver_does_not_keep_the_mail_from_the_others(mailbox, notice, caplog):
    mailbox.replies = {"RCPT": ["550 nobody here"]}
    mail(mailbox.port).send(notice)
    assert len(mailbox.mails) == 1
    assert "refused some receivers (a@here.example: 550 nobody here)" in caplog.text


def test_a_refused_connection_is_worth_retrying(closed_port, notice):
    with pytest.raises(ServiceUnreachable, match="does not accept mail now"):
        mail(closed_port).send(notice)


def test_a_silent_server_is_not_waited_for(notice):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServiceUnreachable):
        mail(silent.getsockname()[1], timeout_s=0.1).send(notice)


def test_an_invalid_address_is_a_fault_of_the_settings(mailbox, notice):
    with pytest.raises(ConfigError, match="with these settings"):
        mail(mailbox.port, mail_from="a\nBcc: all@there.example").send(notice)
    assert mailbox.mails == []


@pytest.mark.parametrize(("security", "at_once"), [("starttls", False), ("tls", True)])
def test_mail_is_sent_encrypted_to_a_trusted_server(monkeypatch, certificate, notice, security, at_once):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serve_mail(MailServer(certificate=certificate, tls_at_once=at_once)) as box:
        mail(box.port, smtp_security=security).send(notice)
        assert len(box.mails) == 1


@pytest.mark.parametrize(("security", "at_once"), [("starttls", False), ("tls", True)])
def test_an_untrusted_server_gets_no_mail(certificate, notice, security, at_once):
    with serve_mail(MailServer(password="offen", certificate=certificate, tls_at_once=at_once)) as box:
        with pytest.raises(ConfigError, match="certificate verify failed") as caught:
            mail(box.port, smtp_security=security, smtp_user="me", smtp_password="offen").send(notice)
        assert "notices.smtp_security" in caught.value.hint
        assert "AUTH" not in box.commands
        assert box.mails == []

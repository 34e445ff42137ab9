"""The ways by which notices go out, as the settings name them."""

from typing import Protocol

from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.notices.mail import Mail
from yivideo_pipeline.notices.webhook import Webhook
from yivideo_pipeline.settings.orchestration import NoticeSettings


class Channel(Protocol):
    """A way to tell people."""

    name: str

    def send(self, notice: Notice) -> None:
        """Send one notice, in one attempt.

        Raises:
            ServiceUnreachable: it may go better later.
            ConfigError: it will not, before the settings are changed.
        """
        ...


def channels_of(settings: NoticeSettings) -> tuple[Channel, ...]:
    """Return the channels that are set; none where nobody is to be told."""
    webhook = (Webhook(settings.webhook_url),) if settings.webhook_url else ()
    mail = (Mail(settings),) if settings.mail_to else ()
    return webhook + mail

"""The settings page: the settings that a person changes, written into config.yml, and all others to read."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.model_host import fixed_fields
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.login import start_session
from yivideo_pipeline.settings.config_file import ConfigFile
from yivideo_pipeline.settings.key_paths import KeyPath, get_value
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.show import describe_settings, show_value
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL, MODELS

router = APIRouter(prefix="/settings", include_in_schema=False)

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4096)]
FieldKind = Literal["text", "number", "secret", "choice", "list", "folders"]
EDITABLE: dict[str, FieldKind] = {
    "library.roots": "folders",
    "speech.model_name": "text",
    "subtitles.profile": "choice",
    "notices.webhook_url": "secret",
    "notices.smtp_host": "text",
    "notices.smtp_port": "number",
    "notices.smtp_security": "choice",
    "notices.smtp_user": "text",
    "notices.smtp_password": "secret",
    "notices.mail_from": "text",
    "notices.mail_to": "list",
    "service.api_key": "secret",
}
"""What the page changes, and how it is shown; a secret is never shown, only replaced or removed."""
CHOICES: dict[str, Sequence[str]] = {
    "subtitles.profile": [profile.value for profile in StyleProfile],
    "notices.smtp_security": ["starttls", "tls", "none"],
    "speech.model_name": [AUTO_MODEL, *MODELS],
}
"""The values of a choice, and suggestions for a text."""
_VARIABLE = re.compile(r"(?:^|, )(YIVIDEO_\w+)")


class SettingsChange(BaseModel):
    """New values by dotted name, and the version of the file that they were made from."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=64)
    values: dict[str, Text | int | list[Text] | dict[Text, Text] | None] = Field(min_length=1, max_length=50)


class SettingsSaved(BaseModel):
    """What saving came to."""

    version: str
    needs_load: bool = Field(description="The next request loads another model")
    needs_restart: list[str] = Field(description="Settings that wait for the next start")
    missing_folders: list[str] = Field(description="Names of library roots that do not exist here")
    warnings: list[str]


class NoticesSent(BaseModel):
    """How a test notice fared by each channel: empty where it was sent, else what is wrong."""

    channels: dict[str, str]


@router.get("")
def show_settings(request: Request, shared: Shared) -> Response:
    """Show the page; where nobody has to give a key, settings are no business of other machines."""
    _require_operator(shared)
    file, trouble = _config_file(shared), ""
    try:
        settings = shared.models.read_settings()
    except YivideoError as error:
        settings, trouble = shared.settings, error.message
    return render(
        request,
        "settings.html",
        "settings",
        nav="settings",
        fields=[_field(name, kind, settings) for name, kind in EDITABLE.items()],
        choices=CHOICES,
        file=file.path.name,
        folder=file.path.parent,
        version=file.version,
        trouble=trouble,
        read_only=not file.is_writable or bool(trouble),
        rows=describe_settings(settings),
    )


@router.put("")
def save_settings(
    call: SettingsChange, shared: Shared, request: Request, response: Response
) -> SettingsSaved:
    """Write values into the settings file and put them in force; if one is not valid, nothing changes.

    A new access key ends all sessions but the one that sets it.
    """
    _require_operator(shared)
    file = _config_file(shared)
    if call.version != file.version:
        raise Refused(409, "conflict", "The settings file has changed meanwhile", "Load the page again")
    before, values = file.read(), _require_editable(call.values, shared)
    settings = file.change(values, os.environ)
    try:
        found = shared.models.reload()
    except YivideoError:  # they are valid by themselves, but not on this machine
        file.restore(before)
        shared.models.reload()
        raise
    if key := shared.settings.service.api_key:
        start_session(request, response, key.get_secret_value())
    return SettingsSaved(
        version=file.version,
        needs_load=found.needs_load,
        needs_restart=sorted(found.waiting & call.values.keys()),
        missing_folders=[name for name, folder in settings.library.folders.items() if not folder.is_dir()],
        warnings=list(found.warnings),
    )


@router.post("/test-notice")
def send_test_notice(shared: Shared) -> NoticesSent:
    """Send a test by each channel of the settings in force."""
    _require_operator(shared)
    from yivideo_pipeline.notices.channels import send_test

    notices = shared.settings.notices
    sent = send_test(notices, notices.ui_url)
    return NoticesSent(channels={name: str(error) if error else "" for name, error in sent.items()})


def _require_operator(shared: ServiceState) -> None:
    """Refuse where other machines get in without a key; where there is one, `Access` has checked it."""
    if shared.is_insecure and shared.settings.service.api_key is None:
        raise Refused(
            403,
            "forbidden",
            "Settings are shown and changed only where a key is required",
            "Set YIVIDEO_SERVICE__API_KEY, and start the service without --insecure",
        )


def _config_file(shared: ServiceState) -> ConfigFile:
    """Return the settings file in force, or the one that would be."""
    places = shared.models.config_places
    return ConfigFile(next((place for place in places if place.is_file()), places[0]))


def _require_editable(values: dict[str, Any], shared: ServiceState) -> dict[KeyPath, Any]:
    settings = shared.models.read_settings()
    for name, value in values.items():
        if name not in EDITABLE:
            raise Refused(422, "invalid_request", f"{name} is not changed on this page", "Edit config.yml")
        if source := _variable_of(name, settings):
            raise Refused(422, "invalid_request", f"{name} is set by {source}", "Change it there")
        if EDITABLE[name] == "folders":
            if not isinstance(value, dict):
                raise Refused(422, "invalid_request", f"{name} has no names", "Give each folder a name")
            values[name] = {root: _unless_kept(root, place, settings) for root, place in value.items()}
    return {tuple(name.split(".")): value for name, value in values.items()}


def _unless_kept(root: str, place: str, settings: Settings) -> Any:
    """Return a root's place; `...` where the file has it already, as a relative one perhaps."""
    is_written = settings.origin(f"library.roots.{root}") != "default"
    return ... if is_written and str(settings.library.roots.get(root)) == place else place


def _field(name: str, kind: FieldKind, settings: Settings) -> dict[str, Any]:
    """Return what the page shows of a setting."""
    value = get_value(settings, tuple(name.split(".")))
    if kind == "folders":
        shown: Any = {root: str(folder) for root, folder in value.items()}
    elif isinstance(value, SecretStr) or kind == "secret":
        shown = value is not None
    else:
        shown = "" if value is None else show_value(value)
    return {
        "name": name,
        "kind": kind,
        "value": shown,
        "variable": _variable_of(name, settings),
        "restart": name in fixed_fields(settings),
    }


def _variable_of(name: str, settings: Settings) -> str:
    """Return the environment's variable that sets a value, which no file replaces; empty where none does."""
    found = _VARIABLE.search(settings.origin(name))
    return found[1] if found else ""

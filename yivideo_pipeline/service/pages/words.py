"""The page's texts in English and Chinese, side by side, and which of the two a browser gets."""

from collections.abc import Mapping
from typing import Literal

from starlette.requests import Request

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
LANGUAGE_COOKIE = "yivideo_language"

Table = Mapping[str, tuple[str, str]]
"""Texts by name: English, Chinese."""

FRAME: Table = {
    "skip": ("Skip to the content", "跳到正文"),
    "nav": ("Main", "主导航"),
    "dashboard": ("Dashboard", "概览"),
    "library": ("Library", "视频库"),
    "api": ("API", "接口文档"),
    "other_language": ("中文", "English"),
    "theme": ("Switch between light and dark", "切换浅色与深色"),
    "log_out": ("Log out", "退出登录"),
    "close": ("Close", "关闭"),
    "no_script": (
        "This page needs JavaScript for what changes while you look at it.",
        "本页的实时内容需要启用 JavaScript。",
    ),
    "failed": ("That did not work", "操作失败"),
    "offline": (
        "The service does not answer. Is `yivideo serve` running?",
        "服务没有响应。请确认 `yivideo serve` 正在运行。",
    ),
}
LOGIN: Table = {
    "log_in": ("Log in", "登录"),
    "key": ("Key", "密钥"),
    "key_hint": (
        "It is service.api_key of the settings, or YIVIDEO_SERVICE__API_KEY.",
        "即配置中的 service.api_key，或环境变量 YIVIDEO_SERVICE__API_KEY。",
    ),
    "wrong_key": ("That is not the key.", "密钥不正确。"),
    "too_often": (
        "Too many wrong keys. Wait {seconds} s, then try again.",
        "错误次数过多，请等待 {seconds} 秒后重试。",
    ),
}
TROUBLE: Table = {
    "trouble.404": ("There is nothing here", "这里没有内容"),
    "trouble.503": ("Not available at the moment", "暂时不可用"),
    "trouble": ("That did not work", "操作失败"),
    "trouble_id": ("The service's log says more under {id}.", "详情见服务日志，编号 {id}。"),
    "to_library": ("To the library", "前往视频库"),
}
KINDS: Table = {
    "kind.system": ("", "系统故障"),
    "kind.memory": ("", "内存或显存不足"),
    "kind.device_lost": ("", "GPU 无响应"),
    "kind.disk": ("", "磁盘读写失败"),
    "kind.service": ("", "服务无响应"),
    "kind.model": ("", "模型错误"),
    "kind.model_load": ("", "模型加载失败"),
    "kind.model_inference": ("", "模型推理失败"),
    "kind.config": ("", "配置错误"),
    "kind.config_validation": ("", "配置无效"),
    "kind.media": ("", "媒体文件有问题"),
    "kind.media_unreadable": ("", "媒体文件无法读取"),
    "kind.media_refused": ("", "不接受此媒体格式"),
    "kind.media_no_audio": ("", "没有音轨"),
    "kind.media_truncated": ("", "文件不完整"),
    "kind.task_timeout": ("", "任务超时"),
    "kind.task_cancelled": ("", "任务被取消"),
    "kind.check_failed": ("", "质量检查未通过"),
    "kind.worker_killed": ("", "处理进程被终止"),
}
"""Kinds of `errors.tree`, put before an error's own words, which are English alone."""


class Texts:
    """The texts of one language.

    Args:
        language: Which.
        tables: Where they stand; of two texts of one name the later table's counts.
    """

    def __init__(self, language: Language, *tables: Table) -> None:
        self.language: Language = language
        self._column = LANGUAGES.index(language)
        self._tables = tables

    def __call__(self, name: str, /, **values: object) -> str:
        """Return a text, with values in place of its {names}; KeyError where there is none."""
        text = self.find(name)
        if text is None:
            raise KeyError(name)
        return text.format(**values) if values else text

    def find(self, name: str) -> str | None:
        """Return a text as it stands; None where there is none of this name."""
        for table in reversed(self._tables):
            if name in table:
                return table[name][self._column]
        return None


def choose_language(request: Request) -> Language:
    """Return what `?lang=` says, else what was chosen before, else what the browser prefers of ours."""
    for asked in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        for language in LANGUAGES:
            if language == asked:
                return language
    return _preferred(request.headers.get("accept-language", ""))


def _preferred(header: str) -> Language:
    """Return the one of ours that an Accept-Language header ranks highest; English without any."""
    ranked = []
    for place, entry in enumerate(header.split(",")):
        tag, _, weight = entry.strip().lower().partition(";q=")
        ranked.append((-_number(weight), place, tag.partition("-")[0]))
    for rank, _, tag in sorted(ranked):
        for language in LANGUAGES:
            if language == tag and rank < 0:
                return language
    return "en"


def _number(weight: str) -> float:
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0

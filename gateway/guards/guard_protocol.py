"""What guards of others are asked and answer: one JSON object each, the same for webhooks and plugins.

The question is `{"version": 1, "id", "guard", "stage", "subject", "tenant", "caller", "server", "name", "category",
"content"}`. The answer is `{"verdict": "allow"}`, `{"verdict": "deny", "reason"}`, or `{"verdict": "change",
"content"}` with all of the content as it is to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import GuardError
from gateway.guards.content import Content, update_json_texts
from gateway.guards.inspection import NOTHING_FOUND, Change, Inspection
from gateway.json_codec import check_sendable
from gateway.sensitive_text.secrets import mask_secrets

_VERSION = 1
_MEMBERS = {"allow": {"verdict"}, "deny": {"verdict", "reason"}, "change": {"verdict", "content"}}
_MAX_REASON = 300
_SHOWN_CHARACTERS = 50
# A word that is shorter stands in many texts.
_MIN_WORD = 4
_WORD = re.compile(r"\w+")
_FIXED = ("resultType", "requestState")


def build_question(guard: str, content: Content, question_id: str) -> dict[str, Any]:
    """What is asked about `content` by the rule called `guard`."""
    use = content.use
    return {
        "version": _VERSION,
        "id": question_id,
        "guard": guard,
        "stage": content.stage,
        "subject": use.subject,
        "tenant": use.tenant_id,
        "caller": use.caller,
        "server": use.server,
        "name": use.target,
        "category": use.category,
        "content": content.value,
    }


def parse_guard_answer(content: Content, answer: Any) -> Inspection:
    """What an answer about `content` says. Raises GuardError for one that says anything else than it may."""
    if not isinstance(answer, Mapping) or answer.get("verdict") not in _MEMBERS:
        raise GuardError("it answered with something that is no verdict")
    verdict = answer["verdict"]
    strange = sorted(str(name) for name in answer if name not in _MEMBERS[verdict])
    if strange:
        # Nothing but content can be changed: a tool stays the one that was called.
        raise GuardError(f'it answered "{verdict}" with {strange[0][:_SHOWN_CHARACTERS]!r}, which it cannot say')
    if verdict == "allow":
        return NOTHING_FOUND
    if verdict == "deny":
        return Inspection(1, f"are refused{_reason(answer.get('reason'))}", decided=True)
    if "content" not in answer:
        raise GuardError('it answered "change" without any content')
    changed = _checked(content, answer["content"])
    return NOTHING_FOUND if changed == content.value else Inspection(1, "were changed", Change(changed), decided=True)


def _reason(given: Any) -> str:
    """The reason in a sentence, which may be anything that somebody wrote."""
    if not isinstance(given, str):
        return ""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in given[: 2 * _MAX_REASON]).split())
    shown = mask_secrets(plain).text[:_MAX_REASON].rstrip(".")
    return f" ({shown})" if shown else ""


def _checked(content: Content, changed: Any) -> Any:
    """Changed content that is of the kind that it was, and true to itself. Raises GuardError."""
    before = content.value
    if not isinstance(changed, dict):
        raise GuardError("it changed the content to something that is no object")
    try:
        check_sendable(changed)
    except ValueError as error:
        raise GuardError(f"it changed the content to what cannot be sent ({error})") from None
    if content.stage == "arguments":
        return changed
    for name in _FIXED:
        if changed.get(name) != before.get(name):
            raise GuardError(f"it changed {name}, which is not its to change")
    for name in ("content", "contents", "messages"):
        if isinstance(before.get(name), list) and not _is_list_of_objects(changed.get(name)):
            raise GuardError(f"it changed {name} to something that is no list of objects")
    after: dict[str, Any] = update_json_texts(before, changed)
    if _says_otherwise(content, after):
        raise GuardError("it changed the text or the structured content and left the other as it was")
    return after


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _says_otherwise(content: Content, after: Mapping[str, Any]) -> bool:
    """Whether what was taken out of the text or of the structured content still stands in the other."""
    before = content.value
    if before.get("structuredContent") is None:
        return False
    sides = [("content", "structuredContent"), ("structuredContent", "content")]
    return any(
        word in content.text_of(other, after.get(other))
        for one, other in sides
        for word in _words(content, one, before) - _words(content, one, after)
        if len(word) >= _MIN_WORD and word in content.text_of(other, before.get(other))
    )


def _words(content: Content, name: str, result: Mapping[str, Any]) -> set[str]:
    return set(_WORD.findall(content.text_of(name, result.get(name))))

"""The documents that come with the gateway, and what is new in it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from starlette.responses import Response

from gateway.admin.web.page import get
from gateway.admin.web.page_context import PageContext
from gateway.errors import NotFoundError

_CHANGELOG = "changelog"
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


async def list_documents(context: PageContext) -> Response:
    """Every document with its title."""
    documents = [(name, _title(path)) for name, path in sorted(_documents().items()) if name != _CHANGELOG]
    return context.render("documents.html", documents=documents)


async def show_document(context: PageContext) -> Response:
    """One document. What it holds is the gateway's own, yet no HTML in it is taken as such."""
    name = context.request.path_params["name"]
    path = _documents().get(name)
    if path is None:
        raise NotFoundError("There is no document of this name.")
    return context.render("document_text.html", title=_title(path), text=_render(path))


def _documents() -> dict[str, Path]:
    """By name: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[4]
    folder = package / "docs" if (package / "docs").is_dir() else package.parent / "docs"
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.md")}
    if _CHANGELOG not in found and (package.parent / "CHANGELOG.md").is_file():
        found[_CHANGELOG] = package.parent / "CHANGELOG.md"
    return found


def _title(path: Path) -> str:
    heading = _HEADING.search(path.read_text(encoding="utf-8"))
    return heading[1] if heading else path.stem


def _render(path: Path) -> Markup:
    """The document as HTML without its first heading; links between documents lead to their pages."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = markdown.parse(_HEADING.sub("", path.read_text(encoding="utf-8"), count=1))
    documents = _documents()
    here = next(name for name, known in documents.items() if known == path)
    for token in tokens:
        _lead_on(token.children or [], here, documents)
    # markdown-it escapes all text, and makes nothing but the elements of Markdown.
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    # What scrolls has to be reached by the keyboard.
    html = html.replace("<pre>", '<pre tabindex="0">')
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(html)  # noqa: S704  # nosec


def _lead_on(inline: Sequence[Token], here: str, documents: Mapping[str, Path]) -> None:
    """Links to other documents lead to their pages; what is no document, nor anywhere else, is text."""
    is_dropped = False
    for token in inline:
        target = token.attrGet("href") if token.type == "link_open" else None
        if isinstance(target, str) and "://" in target:
            token.attrSet("rel", "noreferrer")
        elif isinstance(target, str) and not target.startswith("#"):
            file, _, fragment = target.partition("#")
            name = posixpath.normpath(posixpath.join(posixpath.dirname(here), file)).removeprefix("docs/")
            name = name.removeprefix("../docs/").removesuffix(".md")
            name = _CHANGELOG if name.endswith("CHANGELOG") else name
            is_dropped = name not in documents
            relative = posixpath.relpath(name, posixpath.dirname(here) or ".")
            token.attrSet("href", relative + (f"#{fragment}" if fragment else ""))
        if is_dropped and token.type in ("link_open", "link_close"):
            is_dropped = token.type == "link_open"
            token.type, token.content = "text", ""


PAGES = (
    get("/help", list_documents, own_account=True),
    get("/help/{name:path}", show_document, own_account=True),
)

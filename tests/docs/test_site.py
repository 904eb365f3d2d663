"""The site made of docs/: it builds without a warning, its links lead somewhere, it asks nothing of other servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

for module in ("sphinx", "myst_parser", "furo", "latex2mathml"):
    pytest.importorskip(module, reason='the site is built with the extra "site"')

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md"))
ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
# What a style sheet, a script or a picture fetches: CSS's url() and @import; a script's calls with an address.
FETCHED = {
    ".css": re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)"""),
    ".js": re.compile(r"""(?:fetch|import|importScripts|open|src\s*=|href\s*=)\s*\(?\s*["'`]((?:https?:)?//[^"'`]+)"""),
    ".svg": re.compile(r"""(?:(?:xlink:)?href\s*=\s*|src\s*=\s*|url\(\s*)["']?([^"')\s]+)"""),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CONTRIBUTING says, in a folder of its own."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "docs", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


class Page(HTMLParser):
    """The ids of a page, what it links to, what it fetches, and what of its text a reader sees."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.code: list[str] = []  # of scripts and styles inside the page
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.open.append(tag)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.ids |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("next", "prev", "index", "search", "canonical"):
            self.fetched.append(given["href"])
        self.fetched += [given[name] for name in ("src", "data", "poster", "background", "action") if name in given]
        self.fetched += re.findall(r"(\S+)(?:\s+[^,]+)?,?", given.get("srcset", ""))
        self.code.append(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.code.append(data)
        elif not {"pre", "code", "annotation"} & set(self.open):
            self.text += data


read = cache(Page)


def strangers(site: Path) -> list[str]:
    """What opening some page of the site would fetch from elsewhere."""
    found = []
    for path in site.rglob("*"):
        if path.suffix == ".html":
            page = read(path)
            inside = [url for code in page.code for kind in (".css", ".js") for url in FETCHED[kind].findall(code)]
            found += [f"{path.name}: {url}" for url in [*page.fetched, *inside] if ELSEWHERE.match(url)]
        elif path.suffix in FETCHED:
            urls = FETCHED[path.suffix].findall(path.read_text(encoding="utf-8"))
            found += [f"{path.name}: {url}" for url in urls if ELSEWHERE.match(url)]
    return found


def broken(site: Path) -> list[str]:
    """The links inside the site that lead to no file, or to no anchor in it."""
    pages = {path.resolve(): read(path) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            if re.match(r"[a-z]+:|//", link) or link == "":
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                found.append(f"{path.relative_to(site.resolve())}: {link}")
    return found


def test_it_asks_nothing_of_other_servers(site: Path) -> None:
    assert strangers(site) == []


def test_every_link_inside_it_leads_somewhere(site: Path) -> None:
    assert broken(site) == []


def test_every_page_is_there_and_in_the_menu(site: Path) -> None:
    for page in PAGES:
        assert (site / f"{page}.html").is_file()
    menu = {(site / link).resolve() for link in read(site / "index.html").links if ELSEWHERE.match(link) is None}
    assert {(site / f"{page}.html").resolve() for page in PAGES if page != "index"} <= menu


def test_answers_are_folded_and_hold_what_is_written_in_them(site: Path) -> None:
    text = (site / "lessons/01-a-number-that-remembers.html").read_text(encoding="utf-8")
    answers = re.findall(r"<details>.*?</details>", text, re.DOTALL)
    assert len(answers) == text.count("<summary>Answer</summary>") == 2
    for answer in answers:
        assert '<div class="highlight-python' in answer
        assert "```" not in answer


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_drawn_and_no_markup_is_left_over(page: str, site: Path) -> None:
    source = re.sub(r"```.*?```|`[^`\n]*`", "", (DOCS / f"{page}.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    formulas = len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", source, re.DOTALL))
    built = read(site / f"{page}.html")
    assert built.counts.get("math", 0) == formulas
    assert not re.search(r"\$|\\[a-z]{2,}|\*\*\w|\]\(|^#+ ", built.text)


def test_search_knows_the_words(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    named = {found["docnames"][k] for k in found["terms"]["detour"]}
    assert {"half-truths", "lessons/09-the-road-that-stays-open"} <= named


def test_in_a_browser_without_a_network(site: Path, browser: Any) -> None:
    wrong: list[str] = []
    page = browser.new_context(offline=True).new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    for path in ["index.html", *(f"{name}.html" for name in PAGES if name.startswith(("lessons/", "howto/", "api")))]:
        page.goto((site / path).as_uri())
        for width in (360, 1400):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the window"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto((site / "lessons/01-a-number-that-remembers.html").as_uri())
        colours = "[document.body, document.querySelector('article')].map(e => getComputedStyle(e).color)"
        shades = [max(map(int, re.findall(r"\d+", colour)[:3])) for colour in page.evaluate(colours)]
        assert all((shade < 128) == (scheme == "light") for shade in shades)
        image = "getComputedStyle(document.querySelector('article img')).backgroundColor"
        assert page.evaluate(image) == "rgb(255, 255, 255)"
    page.goto((site / "search.html").as_uri() + "?q=detour")
    page.wait_for_selector("#search-results li a")
    page.wait_for_timeout(300)
    assert wrong == []
    page.context.close()


def test_a_page_that_asks_or_leads_astray_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there"></a><a href="c.html"></a><a href="https://example.org"></a>'
        '<img src="//example.org/i.png">'
        '<link rel="stylesheet" href="https://example.org/s.css"><style>@import "https://example.org/t.css";</style>'
        '<script>fetch("https://example.org/u")</script>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<p id="here">', encoding="utf-8")
    (tmp_path / "s.css").write_text("p { background: url(//example.org/v.png) }", encoding="utf-8")
    (tmp_path / "i.svg").write_text('<image xlink:href="http://example.org/w.png"/>', encoding="utf-8")
    assert {line.rpartition("/")[2] for line in strangers(tmp_path)} == {
        "i.png",
        "s.css",
        "t.css",
        "u",
        "v.png",
        "w.png",
    }
    assert broken(tmp_path) == ["a.html: b.html#there", "a.html: c.html"]

"""The page in Chromium: what is shown, what the keys do, and that no text ever runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..commands import codeclm, started
from ..viewing import HOSTILE, make_hostile_run, make_run, viewing, write_config
from .chromium import SIZES, Browser, chromium

pytestmark = pytest.mark.slow

ROWS = "document.querySelectorAll('.list li').length"
SELECTED = "document.querySelector('.list li[aria-selected=true]')?.dataset.place"
CHARTS = "document.querySelectorAll('.chart .main-svg').length"
TABS = ("rows", "figures", "cost", "compare")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in ``run`` and one of hostile metadata in ``hostile``."""
    folder = tmp_path_factory.mktemp("home")
    make_run(folder, seeds=60)
    make_hostile_run(folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def address(home: Path, browser: Browser) -> Iterator[str]:
    del browser  # first, so that nothing starts where there is none
    with viewing(home, "run", "hostile") as one:
        yield one


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    """The page of ``run``, with its rows."""
    browser.open("about:blank")
    browser.resize(1440)
    browser.open(f"{address}#0/rows")
    browser.wait(f"{ROWS} > 0")
    return browser


def go(page: Browser, tab: str, run: int = 0) -> None:
    page.ask(f"(location.hash = '#{run}/{tab}', true)")
    if tab == "rows":
        page.wait(f"{ROWS} > 0")
    else:
        page.wait(f"document.querySelector('.figures .card') && {CHARTS} > 0")


def complaints(page: Browser) -> list[str]:
    """Return what the browser complained of, but for the one inline style that plotly tries."""
    return [text for text in page.messages() if "Applying inline style" not in text]


# -- what is shown ----------------------------------------------------------------------------


def test_rows_are_chosen_with_the_keyboard(page: Browser) -> None:
    places = list[str]()
    for key in ("j", "j", "\ue015", "k", "\ue013", "j"):  # the arrows down and up
        page.press(key)
        places.append(page.ask(SELECTED))

    assert places == ["0", "1", "2", "1", "0", "1"]
    shown = page.wait("document.querySelector('.detail .card .text')?.innerText")
    assert page.text(".list li[aria-selected=true] .excerpt")[:40] == shown[:40]
    assert "/rows/" in page.ask("location.hash")
    page.press("/")
    assert page.ask("document.activeElement.type") == "search"
    page.press("j")
    assert page.ask("document.activeElement.value") == "j"
    page.press("\ue00c", "?")  # escape
    assert page.ask("document.querySelector('dialog').open")
    page.press("\ue00c", "2")
    assert page.wait("location.hash") == "#0/figures"
    assert not complaints(page)


def test_pages_turn_and_filters_narrow(page: Browser) -> None:
    page.wait("document.querySelector('.pager').innerText.includes('page 1')")
    first = page.text(".list ol")
    page.press("n")
    page.wait("document.querySelector('.pager').innerText.includes('page 2')")
    second = page.text(".list ol")
    page.press("p")
    page.wait("document.querySelector('.pager').innerText.includes('page 1')")
    assert first == page.text(".list ol") != second
    page.ask(
        "(s => (s.value = 'failed', s.dispatchEvent(new Event('change'))))"
        "(document.querySelector('select[aria-label=\"any fate\"]'))"
    )
    page.wait(
        "[...document.querySelectorAll('.list .badge')].every(b => /failed/.test(b.innerText))"
    )
    assert page.ask(ROWS) > 0
    page.press("j")
    page.wait("document.querySelector('.detail h2')?.innerText === 'Seed that failed'")
    assert "encode: " in page.text(".detail")


def test_a_search_finds_what_an_answer_holds(page: Browser) -> None:
    page.press("/")
    page.press(*"no such words anywhere")
    page.wait("document.querySelector('.pager').innerText.includes('no row matches')")
    assert page.ask(ROWS) == 0


def test_a_row_shows_changes_answers_and_proved_prompts(page: Browser) -> None:
    page.ask(
        "(s => (s.value = '2', s.dispatchEvent(new Event('change'))))"
        "(document.querySelector('select[aria-label=\"any round\"]'))"
    )
    page.wait("[...document.querySelectorAll('.list li')].every(l => /round 2/.test(l.innerText))")
    page.press("j")
    page.wait("document.querySelectorAll('.detail .answers').length === 2")
    changed = page.ask("[...document.querySelectorAll('.detail ins, .detail del')].length")
    seals = page.ask("[...document.querySelectorAll('.seal.sent')].length")

    assert changed > 0
    assert page.ask("document.querySelectorAll('.detail .answer.strong').length") == 2
    assert seals == page.ask("document.querySelectorAll('.detail details .call').length")
    rebuilt = page.ask(
        "(t => (t.querySelectorAll('del').forEach(d => d.remove()), t.textContent))"
        "([...document.querySelectorAll('.detail .card .text')]"
        ".find(t => t.querySelector('ins')).cloneNode(true))"
    )
    assert rebuilt == page.ask("document.querySelector('.detail .card .text').textContent")


def test_the_slider_says_what_a_threshold_yields(page: Browser) -> None:
    go(page, "figures")
    before = page.text(".slider output"), page.text(".slider + .tiles")
    page.ask(
        "(s => (s.value = 0, s.dispatchEvent(new Event('input'))))"
        "(document.querySelector('#theta'))"
    )
    after = page.text(".slider output"), page.text(".slider + .tiles")

    assert before[0] == "θ = 5.5"
    assert after[0] == "θ = 0"
    assert before[1] != after[1]
    titles = page.ask("[...document.querySelectorAll('.card h2')].map(h => h.innerText)")
    assert {"From seeds to fates", "Quality gap", "Reliability of the judge"} < set(titles)
    assert page.ask("document.querySelectorAll('.chart .sankey-node').length") > 3
    assert not complaints(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_every_view_fits_every_width_in_light_and_dark(
    page: Browser, width: int, scheme: str, tmp_path: Path
) -> None:
    page.resize(width)
    page.prefer(scheme)
    for tab in TABS:
        go(page, tab)
        if tab == "rows":
            page.press("j")
            page.wait("document.querySelector('.detail .card')?.offsetHeight > 0")
        wide = page.ask(
            "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroller, svg')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"
        )
        assert not wide, tab
        assert page.ask("document.documentElement.scrollWidth") <= width
        page.screenshot(tmp_path / f"{tab}-{width}-{scheme}.png")
    dark = page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.prefer("light")

    assert dark == (scheme == "dark")


# -- what strangers wrote ---------------------------------------------------------------------


def read_everything(page: Browser, run: int) -> str:
    """Open every view and row of a run, and return all text."""
    texts = list[str]()
    for tab in ("figures", "cost", "compare", "rows"):
        go(page, tab, run)
        texts.append(page.text("body"))
    for _ in range(page.ask(ROWS)):
        page.press("j")
        page.wait("document.querySelector('.detail .card') !== null")
        page.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        texts.append(page.text(".detail"))
    return "\n".join(texts)


def check_nothing_ran(page: Browser, text: str) -> None:
    assert "</script><script>window.hacked = 1</script><img src=x" in text
    assert "\\u202egnp" in text
    assert "\\u001b[31m" in text
    assert not set(text) & set("\x1b\x00\u202e")
    assert page.ask("window.hacked") is None
    assert page.ask("document.querySelectorAll('img').length") == 0
    assert page.ask("document.querySelectorAll('body script').length") == 1
    assert not complaints(page)


def test_hostile_rows_are_text(page: Browser) -> None:
    check_nothing_ran(page, read_everything(page, 1))


def test_a_report_is_the_same_page_and_loads_nothing(home: Path, browser: Browser) -> None:
    done = codeclm("report", "run", "hostile", "--to", "both.html", cwd=home)
    assert done.returncode == 0, done.stderr
    browser.open("about:blank")
    browser.resize(1440)
    browser.open((home / "both.html").as_uri())
    browser.wait(f"{ROWS} > 0")
    text = read_everything(browser, 1)
    loaded = browser.ask("performance.getEntriesByType('resource').map(r => r.name)")

    check_nothing_ran(browser, text)
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []
    go(browser, "rows", 0)
    browser.press("j")
    browser.wait("document.querySelector('.detail .card')")
    assert browser.ask("location.protocol") == "file:"


def test_a_report_of_some_rows_says_so(home: Path, browser: Browser) -> None:
    codeclm("report", "run", "--transcripts", "20", "--to", "some.html", cwd=home)
    browser.open("about:blank")
    browser.open((home / "some.html").as_uri())
    browser.wait(f"{ROWS} > 0")

    assert browser.ask(ROWS) == 20
    assert "this file holds 20 of " in browser.text(".pager")


# -- a run that works -------------------------------------------------------------------------


def test_the_page_follows_a_run(tmp_path: Path, browser: Browser) -> None:
    write_config(tmp_path, "run", seeds=3000, latency=0.02)
    process = started("run", "run.toml", "--display", "none", cwd=tmp_path)
    try:
        with viewing(tmp_path, "run") as address:
            browser.open("about:blank")
            browser.open(address)
            browser.wait("document.querySelector('.badge.working') !== null")
            browser.wait("/rows now/.test(document.querySelector('.filters')?.innerText ?? '')")
            browser.press("r")
            browser.wait(f"{ROWS} > 0")
            process.kill()
            process.communicate()
            browser.wait("document.querySelector('.badge.working') === null")
            assert browser.ask(ROWS) > 0
    finally:
        process.kill()
        process.communicate()


def test_a_wrong_token_is_said(browser: Browser, address: str) -> None:
    browser.open("about:blank")
    browser.open(address[:-3] + "xxx")

    assert "lacks its token" in browser.text("body")
    assert HOSTILE not in browser.text("body")

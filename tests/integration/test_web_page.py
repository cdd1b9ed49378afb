"""The page in a real browser: what it shows, and what it does when things go wrong."""

import contextlib
import re
from base64 import b64decode
from dataclasses import replace

import httpx
import pytest
from support.chromium import Tab, chromium, wait_in
from support.ports import free_port
from support.requirements import need
from support.waiting import PROMPT_S, wait_for
from support.web_clients import PATIENT, decode, difference, served

from edge_detect.sources.synthetic import SHAPES

# One browser at a time: it wants more memory than all other tests together.
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
TOKEN = "correct-horse-battery"  # noqa: S105 - of this test alone

# The test looks at a copy: reading a canvas changes how the browser treats it.
COPY = """
    const canvas = document.getElementById("picture");
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
"""
SUM = f"""() => {{
    {COPY}
    const data = context.getImageData(0, 0, copy.width, copy.height).data;
    let sum = 0;
    for (let at = 0; at < data.length; at += 97) sum = (sum * 31 + data[at]) % 1000000007;
    return sum;
}}"""
PNG = f"""async () => {{
    {COPY}
    const bytes = new Uint8Array(await (await copy.convertToBlob()).arrayBuffer());
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}}"""
LIVE = "document.getElementById('badge').dataset.state === 'live'"
SHOWN = "document.getElementById('picture').width === 640 && document.getElementById('veil').hidden"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this file."""
    need("chromium", "chromium")
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def open_tab(browser):
    """A function that makes a tab; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**context):
            tab = Tab(browser, **(context or DESKTOP))
            stack.callback(tab.close)
            return tab

        yield make


@pytest.fixture(scope="module")
def one_site():
    """One page for all tests that leave its camera as it is."""
    with served() as running:
        yield running


@pytest.fixture
def site(one_site):
    """A page that nobody looks at, and its camera."""
    sink, camera = one_site
    wait_for(lambda: sink.viewers == 0)
    camera.reset()
    return sink, camera


def test_the_picture_moves_and_nothing_is_complained_of(site, open_tab):
    sink, camera = site
    tab = open_tab()
    page = tab.open(sink.address)
    wait_in(page, SHOWN)
    seen = set()
    wait_for(lambda: seen.add(page.evaluate(SUM)) or len(seen) >= 5)
    wait_in(page, LIVE)
    wait_in(page, "document.querySelectorAll('#objects li').length === 3")
    assert set(page.locator("#objects .name").all_text_contents()) <= set(SHAPES)
    assert sink.viewers == 1
    assert tab.complaints == []
    assert tab.hosts == {httpx.URL(sink.address).netloc.decode()}
    assert camera.slowest_s < PROMPT_S


def test_the_boxes_are_seen_where_they_belong(site, open_tab):
    sink, camera = site
    page = open_tab().open(sink.address)
    wait_in(page, SHOWN)
    camera.pause()

    def seen():
        return decode(b64decode(page.evaluate(PNG)))

    # The last picture may be on its way yet.
    wait_for(lambda: difference(camera, seen(), 80, boxes=True) < 10)
    assert difference(camera, seen(), 80, boxes=False) > 80


def test_numbers_and_charts_follow_the_state(site, open_tab):
    sink, _ = site
    page = open_tab().open(sink.address)
    wait_in(page, LIVE)
    wait_in(page, "document.querySelector('#rates b').textContent === '25.0'")
    rates = page.locator("#rates").inner_text()
    assert re.sub(r"\s+", " ", rates).startswith("Captured 25.0 fps Detected 12.5 fps")
    boxes = page.locator("#latencies tr", has_text="Age of drawn boxes")
    assert boxes.locator(".number").all_text_contents() == ["10.0", "20.0"]
    wait_in(page, "document.querySelector('#rates .line').getAttribute('d').split('L').length > 2")
    about = page.locator("#about").inner_text()
    for text in ("shapes", "LiteRT 2", "0.40", "detect 3\n", "1,234"):
        assert text in about
    outputs = page.locator("#outputs tr")
    assert outputs.count() == 2
    assert "port in use" in outputs.nth(1).inner_text()
    assert "edge-detect 0" in page.locator("#version").inner_text()


def test_a_lost_camera_is_shown_with_the_reason_and_its_return_too(open_tab):
    with served() as (sink, camera):
        tab = open_tab()
        page = tab.open(sink.address)
        wait_in(page, SHOWN)
        camera.pause()
        camera.set_source(state="lost", for_s=125.0, reason="<b>the cable</b> is out")
        page.wait_for_selector("#veil:not([hidden])")
        assert page.locator("#badge").inner_text() == "Lost for 2 min"
        assert page.locator("#veil-title").inner_text() == "Camera lost for 2 min"
        assert page.locator("#veil-reason").inner_text() == "<b>the cable</b> is out"
        camera.set_source(state="stalled", for_s=3.0, reason="")
        wait_in(page, "document.getElementById('badge').innerText === 'Stalled for 3 s'")
        camera.set_source(state="live", for_s=0.0)
        camera.resume()
        page.wait_for_selector("#veil", state="hidden")
        before = page.evaluate(SUM)
        wait_for(lambda: page.evaluate(SUM) != before)
        assert tab.complaints == []


def test_the_page_recovers_by_itself_when_the_server_comes_back(open_tab):
    with served(port=free_port()) as (sink, camera):
        page = open_tab().open(sink.address)
        wait_in(page, SHOWN)
        sink.close()
        page.wait_for_selector("#away:not([hidden])")
        assert "Trying again" in page.locator("#away").inner_text()
        assert page.locator("#badge").inner_text() == "No connection"
        sink.open(camera.stream)
        page.wait_for_selector("#away", state="hidden")
        wait_in(page, SHOWN)
        before = page.evaluate(SUM)
        wait_for(lambda: page.evaluate(SUM) != before)
        wait_in(page, "document.querySelectorAll('#objects li').length === 3")


def test_a_hidden_page_lets_go_of_the_picture(site, open_tab):
    sink, camera = site
    page = open_tab().open(sink.address)
    wait_in(page, SHOWN)
    set_hidden(page, hidden=True)
    wait_for(lambda: sink.viewers == 0)
    drawn = camera.drawn
    set_hidden(page, hidden=False)
    wait_for(lambda: sink.viewers == 1)
    wait_for(lambda: camera.drawn > drawn + 5)


def set_hidden(page, *, hidden):
    """Headless tabs are never covered: say what the browser would say."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_snapshot_is_saved_under_the_time_of_its_capture(site, open_tab):
    sink, _ = site
    page = open_tab(**DESKTOP, accept_downloads=True).open(sink.address)
    wait_in(page, SHOWN)
    with page.expect_download() as download:
        page.click("#snapshot")
    assert re.fullmatch(r"edge-detect-\d{8}-\d{6}\.jpg", download.value.suggested_filename)


def test_a_snapshot_that_cannot_be_had_says_why(open_tab):
    with served(timeouts=replace(PATIENT, snapshot_s=0.3)) as (sink, camera):
        page = open_tab().open(sink.address)
        wait_in(page, LIVE)
        camera.pause()
        camera.set_source(state="lost", for_s=4.0, reason="unplugged")
        page.click("#snapshot")
        wait_in(page, "document.getElementById('notice').textContent !== ''")
        assert "unplugged" in page.locator("#notice").inner_text()


@pytest.mark.parametrize("path", ["", "docs"])
def test_a_phone_needs_no_sideways_scrolling(site, open_tab, path):
    sink, _ = site
    page = open_tab(**PHONE).open(f"{sink.address}{path}")
    page.wait_for_selector("#outputs tr" if not path else "details", state="attached")
    width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == 360


def test_the_theme_follows_the_system_until_one_is_chosen_and_the_choice_lasts(site, open_tab):
    ground = "getComputedStyle(document.body).backgroundColor"
    sink, _ = site
    page = open_tab(**DESKTOP, color_scheme="dark").open(sink.address)
    wait_in(page, LIVE)
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    assert sum(colors(dark)) < 100
    assert sum(colors(light)) > 600
    page.click("#theme")
    assert page.evaluate(ground) == dark
    assert page.get_attribute("#theme", "aria-pressed") == "true"
    page.reload(wait_until="commit")
    wait_in(page, LIVE)
    assert page.evaluate(ground) == dark


def colors(css):
    return [int(part) for part in re.findall(r"\d+", css)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_their_ground(site, open_tab, scheme):
    """WCAG 2.1 asks for a contrast of 4.5 for text of this size."""
    pairs = {
        "text": ("card", "ground", "faint"),
        "soft": ("card", "ground", "faint"),
        "accent": ("card", "ground"),
        "good": ("card", "good-ground"),
        "warn": ("card", "warn-ground"),
        "bad": ("card", "bad-ground"),
    }
    sink, _ = site
    page = open_tab(**DESKTOP, color_scheme=scheme).open(sink.address)
    wait_in(page, LIVE)
    names = {*pairs, *(ground for grounds in pairs.values() for ground in grounds)}
    tokens = page.evaluate(
        """(names) => {
            const style = getComputedStyle(document.documentElement);
            return names.map((name) => style.getPropertyValue(`--${name}`).trim());
        }""",
        sorted(names),
    )
    hexes = dict(zip(sorted(names), tokens, strict=True))
    for ink, grounds in pairs.items():
        for ground in grounds:
            assert contrast(hexes[ink], hexes[ground]) >= 4.5, (ink, ground)


def contrast(one, other):
    def luminance(color):
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_part_of_the_page_has_a_name_for_those_who_cannot_see_it(site, open_tab):
    sink, _ = site
    page = open_tab().open(sink.address)
    wait_in(page, LIVE)
    wait_in(page, "/^Live picture: [123] /.test(document.getElementById('picture').ariaLabel)")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a, img, canvas, svg, section")]
            .filter((each) => each.getAttribute("aria-hidden") !== "true")
            .filter((each) => !(each.getAttribute("aria-label") || each.getAttribute("alt")
                || each.hasAttribute("alt") || each.getAttribute("aria-labelledby")
                || each.textContent.trim()))
            .map((each) => each.outerHTML)"""
    )
    assert nameless == []
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("#badge", "role") == "status"


def test_user_and_password_work_in_the_browser(open_tab):
    with served(user="anna", password="hunter22") as (sink, _):  # noqa: S106 - of this test
        tab = open_tab(**DESKTOP, http_credentials={"username": "anna", "password": "hunter22"})
        page = tab.open(sink.address)
        wait_in(page, SHOWN)
        wait_in(page, "document.querySelectorAll('#objects li').length === 3")
        assert "hunter22" not in page.content()


def test_a_token_in_the_link_signs_in_and_vanishes_from_the_address(open_tab):
    with served(token=TOKEN) as (sink, _):
        tab = open_tab()
        page = tab.open(f"{sink.address}?token={TOKEN}")
        wait_in(page, SHOWN)
        assert page.url == sink.address
        wait_in(page, "document.querySelectorAll('#objects li').length === 3")
        assert tab.complaints == []


def test_another_site_sees_nothing(site, open_tab):
    """A page of another origin on the same machine neither reads nor shows ours."""
    sink, _ = site
    with served() as (other, _):
        page = open_tab().open(f"{other.address}docs")
        page.wait_for_selector("details", state="attached")
        address = sink.address
        fetched = page.evaluate(
            "(url) => fetch(url).then(() => 'read', () => 'refused')", f"{address}api/state"
        )
        assert fetched == "refused"
        shown = httpx.get(
            f"{address}snapshot.jpg",
            headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        )
        assert shown.status_code == 403
        assert sink.viewers == 0


def test_the_documentation_is_drawn_from_openapi_alone(site, open_tab):
    sink, _ = site
    tab = open_tab()
    page = tab.open(f"{sink.address}docs")
    page.wait_for_selector("details", state="attached")
    paths = page.locator("h2 code").all_text_contents()
    assert paths == list(httpx.get(f"{sink.address}openapi.json").json()["paths"])
    assert "milliseconds" in (page.locator("details").last.text_content() or "")
    assert tab.complaints == []
    assert len(tab.hosts) == 1

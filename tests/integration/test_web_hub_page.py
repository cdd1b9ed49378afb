"""The page for all cameras in a real browser."""

import contextlib
import itertools

import pytest
from support.chromium import Tab, chromium, wait_in
from support.requirements import need
from support.waiting import wait_for
from support.web_hub import MovingCamera, served_hub

from edge_detect.service.companion import CameraState

# One browser at a time: it wants more memory than all other tests together.
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
STATES = "[...document.querySelectorAll('.tile .badge')].map((each) => each.innerText).join()"
# A picture that has been painted is not black in its middle row.
PAINTED = """[...document.querySelectorAll('.tile canvas')].filter((canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const row = copy.getImageData(0, canvas.height / 2, canvas.width, 1).data;
    return row.some((value, at) => at % 4 < 3 && value > 60);
}).length"""


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


@contextlib.contextmanager
def three_cameras():
    """The page of three cameras, of which one is lost."""
    cameras = [MovingCamera(name) for name in ("yard", "door", "garage")]
    cameras[2].set_source(state="lost", for_s=125.0, reason="<b>the cable</b> is out")
    with served_hub(*cameras) as served:
        yield served


@pytest.fixture(scope="module")
def one_hub():
    """A page for all tests that leave it as it is."""
    with three_cameras() as served:
        yield served


@pytest.fixture
def hub(one_hub):
    """The page, with all cameras detecting."""
    for camera in one_hub.service.cameras:
        camera.now = CameraState("running")
    return one_hub


@pytest.fixture
def own_hub():
    """A page for one test, which takes it apart."""
    with three_cameras() as served:
        yield served


def test_a_card_for_each_camera_tells_how_it_is_and_shows_its_picture(hub, open_tab):
    tab = open_tab()
    page = tab.open(hub.address)
    wait_in(page, f"{STATES} === 'Live,Live,Lost'")
    wait_in(page, f"{PAINTED} === 2")
    cards = page.locator(".tile")
    assert cards.locator("h2").all_text_contents() == ["yard", "door", "garage"]
    assert "25 fps" in cards.nth(0).inner_text()
    assert "10 ms" in cards.nth(0).inner_text()
    assert cards.nth(0).locator(".chips b").count() > 0
    assert cards.nth(2).locator(".veil-title").inner_text() == "Lost for 2 min"
    assert cards.nth(2).locator(".veil-reason").inner_text() == "<b>the cable</b> is out"
    assert page.locator("#badge").inner_text() == "1 of 3 not live"
    assert tab.complaints == []
    assert len(tab.hosts) == 1


def test_cards_come_and_go_with_their_cameras(own_hub, open_tab):
    page = open_tab().open(own_hub.address)
    wait_in(page, f"{STATES} === 'Live,Live,Lost'")
    own_hub.remove(own_hub.service.cameras[2])
    wait_in(page, f"{STATES} === 'Live,Live'")
    wait_in(page, "document.getElementById('badge').innerText === '2 live'")
    street = MovingCamera("street", now=CameraState("failed", "no such model"))
    own_hub.add(street)
    wait_in(page, f"{STATES} === 'Live,Live,Failed'")
    assert page.locator(".tile").nth(2).locator(".veil-reason").inner_text() == "no such model"


def test_a_hidden_overview_asks_for_no_pictures(hub, open_tab):
    tab = open_tab()
    page = tab.open(hub.address)
    wait_in(page, f"{PAINTED} === 2")
    wait_for(lambda: a_second_passes(page) or pictures_asked(tab) >= 6)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    asked = pictures_asked(tab)
    sink, yard = hub.service.cameras[0].sinks[0], hub.service.cameras[0].first
    wait_for(lambda: not sink.wants_picture)
    drawn = yard.drawn
    for _ in range(4):
        a_second_passes(page)
    assert pictures_asked(tab) == asked
    assert yard.drawn == drawn


def pictures_asked(tab):
    """How many pictures of cameras the page has asked for."""
    return sum("snapshot.jpg" in address for address in tab.asked)


def a_second_passes(page):
    """Wait for a second of the page, whose clock is in a hurry."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 1000))")


def test_a_card_leads_to_its_camera_and_the_name_of_the_program_back(hub, open_tab):
    tab = open_tab()
    page = tab.open(hub.address)
    wait_in(page, f"{STATES} === 'Live,Live,Lost'")
    page.locator(".tile").nth(1).click()
    wait_in(page, "document.getElementById('camera').innerText === 'door'")
    wait_in(page, "document.getElementById('picture').width === 640")
    assert page.url == f"{hub.address}cameras/door/"
    page.click("#brand")
    wait_in(page, f"{STATES} === 'Live,Live,Lost'")
    assert tab.complaints == []


def test_detection_is_switched_off_and_the_least_score_set_on_the_page(hub, open_tab):
    tab = open_tab()
    page = tab.open(f"{hub.address}cameras/yard/")
    yard = hub.service.cameras[0]
    yard.set_score_threshold(0.4)
    page.wait_for_selector("#controls:not([hidden])")
    wait_in(page, "document.getElementById('threshold-value').value === '0.40'")
    page.click(".switch")
    wait_for(lambda: not yard.state().enabled)
    page.focus("#threshold")
    page.keyboard.press("ArrowRight")
    wait_for(lambda: yard.state().score_threshold == 0.41)
    yard.set_enabled(True)
    wait_in(page, "document.getElementById('enabled').checked")
    assert tab.complaints == []


@pytest.mark.parametrize("path", ["", "docs", "cameras/yard/", "cameras/yard/docs"])
def test_a_phone_needs_no_sideways_scrolling(hub, open_tab, path):
    page = open_tab(**PHONE).open(f"{hub.address}{path}")
    page.wait_for_selector("details" if "docs" in path else ".badge", state="attached")
    if not path:
        wait_in(page, f"{STATES} === 'Live,Live,Lost'")
    width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == 360
    header = page.evaluate(
        "[...document.querySelectorAll('.bar > *')].map((each) => each.getBoundingClientRect())"
        ".filter((box) => box.width).map((box) => [box.left, box.right])"
    )
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(header))


def test_the_documentation_of_a_camera_tells_how_to_change_it(hub, open_tab):
    tab = open_tab()
    page = tab.open(f"{hub.address}cameras/yard/docs")
    page.wait_for_selector("details", state="attached")
    change = page.locator("section", has_text="/api/controls")
    assert "PUT" in change.inner_text()
    assert f"{hub.address}cameras/yard/api/controls" in change.locator("pre").inner_text()
    assert "score_threshold" in change.inner_text()
    assert tab.complaints == []

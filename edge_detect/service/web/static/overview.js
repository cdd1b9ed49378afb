// All cameras: asks for their states every second, and for a small picture of each that is seen.

import { explain, here } from "./server.js";

const POLL_MS = 1000;
const PICTURE_MS = 1000;
const PATIENCE_MS = 4000;
const MOST_CLASSES = 4;
const STATES = {
  starting: "Starting",
  connecting: "Connecting",
  live: "Live",
  stalled: "Stalled",
  lost: "Lost",
  ended: "Ended",
  failed: "Failed",
  stopped: "Stopped",
};
// In the tones that the states of a source have.
const TONES = { starting: "connecting", failed: "lost", stopped: "ended" };

const at = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
};
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** The card of one camera. */
class Card {
  #canvas = make("canvas");
  #badge = make("p", "badge");
  #badgeText = make("span");
  #veil = make("div", "veil");
  #veilTitle = make("p", "veil-title");
  #veilReason = make("p", "veil-reason");
  #facts = make("p", "facts");
  #seen = make("ul", "chips");
  #live = false;
  #visible = false;
  #gone = false;

  constructor({ name, path }) {
    this.path = path;
    this.element = make("a", "card tile");
    this.element.href = path.slice(1);
    this.element.setAttribute("aria-label", name);
    const frame = make("div", "frame");
    this.#canvas.width = 640;
    this.#canvas.height = 360;
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", `Picture of ${name}`);
    this.#veil.append(this.#veilTitle, this.#veilReason);
    frame.append(this.#canvas, this.#veil);
    const dot = make("span", "dot");
    dot.setAttribute("aria-hidden", "true");
    this.#badge.append(dot, this.#badgeText);
    const head = make("div", "head");
    head.append(make("h2", "", name), this.#badge);
    this.element.append(frame, head, this.#facts, this.#seen);
    watcher.observe(this.element);
    this.#run();
  }

  set visible(yes) {
    this.#visible = yes;
  }

  /** Show a state. */
  show(camera) {
    const { state, for_s: forS, reason, enabled } = camera;
    this.#live = state === "live";
    const since = forS === null ? "" : ` for ${duration(forS)}`;
    this.#badge.dataset.state = TONES[state] ?? state;
    put(this.#badgeText, this.#live ? "Live" : STATES[state]);
    this.#veil.hidden = this.#live;
    put(this.#veilTitle, state === "connecting" ? "Connecting" : `${STATES[state]}${since}`);
    put(this.#veilReason, reason);
    this.element.dataset.fresh = String(this.#live);
    this.#showFacts(camera);
    const seen = Object.entries(camera.in_view).map(([label, count]) => [count, label]);
    const chips = seen.slice(0, MOST_CLASSES).map(([count, label]) => {
      const chip = make("li", "", ` ${label}`);
      chip.prepend(make("b", "", String(count)));
      return chip;
    });
    if (seen.length > MOST_CLASSES) chips.push(make("li", "", `+ ${seen.length - MOST_CLASSES}`));
    if (!enabled) chips.push(make("li", "off", "detection off"));
    else if (this.#live && !chips.length) chips.push(make("li", "none", "nothing in view"));
    this.#seen.replaceChildren(...chips);
  }

  #showFacts({ detected_fps: detected, captured_fps: captured, capture_to_detect: age, model }) {
    const facts = this.#live
      ? [[captured.toFixed(0), "fps"], [detected.toFixed(0), "detected"]]
      : [];
    if (this.#live && age) facts.push([age.p50.toFixed(0), "ms"]);
    this.#facts.replaceChildren(
      ...facts.map(([value, unit]) => {
        const fact = make("span", "", ` ${unit}`);
        fact.prepend(make("b", "", value));
        return fact;
      }),
      make("span", "model", model),
    );
  }

  /** Go from the page. */
  remove() {
    this.#gone = true;
    watcher.unobserve(this.element);
    this.element.remove();
  }

  /** A new picture every second, as long as somebody sees it. */
  async #run() {
    while (!this.#gone) {
      if (this.#live && this.#visible && !document.hidden) await this.#fetch();
      await sleep(PICTURE_MS);
    }
  }

  async #fetch() {
    // One of two widths, so that everybody gets what is made once.
    const wide = this.#canvas.clientWidth * devicePixelRatio > 480;
    const address = here(`${this.path.slice(1)}snapshot.jpg?quality=75&width=${wide ? 800 : 480}`);
    try {
      const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS) });
      // Its state tells why there is none.
      if (!response.ok) return;
      const bitmap = await createImageBitmap(await response.blob());
      this.#canvas.width = bitmap.width;
      this.#canvas.height = bitmap.height;
      this.#canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
      bitmap.close();
    } catch {
      // The server is away: the states, asked for every second, tell it.
    }
  }
}

const cards = new Map();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    for (const card of cards.values()) if (card.element === target) card.visible = isIntersecting;
  }
});

function showCameras(cameras) {
  const names = new Set(cameras.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.remove();
    cards.delete(name);
  }
  cameras.forEach((camera, index) => {
    if (!cards.has(camera.name)) cards.set(camera.name, new Card(camera));
    const { element } = cards.get(camera.name);
    const list = at("cameras");
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    cards.get(camera.name).show(camera);
  });
}

function showSummary(cameras) {
  const away = cameras.filter(({ state }) => state !== "live");
  const lost = away.some(({ state }) => ["lost", "failed"].includes(state));
  at("badge").dataset.state = away.length === 0 ? "live" : lost ? "lost" : "connecting";
  put(at("badge-text"), away.length === 0 ? `${cameras.length} live` : `${away.length} of ${cameras.length} not live`);
  document.title = away.length === 0 ? "edge-detect" : `${away.length} not live – edge-detect`;
}

function showBoard({ board, troubles, version, elapsed_s: elapsed }) {
  const facts = [];
  if (board.temperature_c !== null) facts.push(`${board.temperature_c.toFixed(0)} °C`);
  if (board.frequency_hz !== null) facts.push(`${(board.frequency_hz / 1e9).toFixed(1)} GHz`);
  if (board.cpu_share !== null) facts.push(`CPU ${Math.round(100 * board.cpu_share)} % of a core`);
  if (board.resident_bytes !== null) facts.push(`${Math.round(board.resident_bytes / 1e6)} MB`);
  put(at("board"), [...facts, ...board.power_troubles, ...troubles].join(" · "));
  put(at("version"), `edge-detect ${version} · running for ${duration(elapsed)}`);
}

async function poll() {
  const response = await fetch(here("api/cameras"), { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(await explain(response), { cause: response.status });
  const report = await response.json();
  showCameras(report.cameras);
  showSummary(report.cameras);
  showBoard(report);
}

function showAway(text) {
  put(at("away"), text);
  at("away").hidden = text === "";
  at("cameras").dataset.away = String(text !== "");
  if (text) {
    at("badge").dataset.state = "away";
    put(at("badge-text"), "No connection");
  }
}

async function run() {
  for (;;) {
    try {
      if (!document.hidden) await poll();
      showAway("");
    } catch (error) {
      showAway(
        error.cause === 401
          ? "The server asks for credentials: load the page again."
          : "The server does not answer. Trying again…",
      );
    }
    await sleep(POLL_MS);
  }
}

run();

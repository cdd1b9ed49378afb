// The page: asks for the state every second, listens to detections, shows the picture.

import { Chart } from "./chart.js";
import { Controls } from "./controls.js";
import { Picture } from "./picture.js";
import { explain, here } from "./server.js";

const POLL_MS = 1000;
const PATIENCE_MS = 3000;
const MOST_OBJECTS = 50;
const RATES = { captured: "Captured", detected: "Detected", rendered: "Rendered", encoded: "Encoded" };
const STAGES = {
  capture_to_detect: "Capture to detected",
  capture_to_render: "Capture to drawn",
  capture_to_encode: "Capture to encoded",
  boxes_age: "Age of drawn boxes",
  preprocess: "Preprocess",
  invoke: "Inference",
  postprocess: "Postprocess",
  overlay: "Draw boxes",
};
const TOTALS = new Set(["capture_to_detect", "capture_to_render", "capture_to_encode", "boxes_age"]);
const STATES = {
  connecting: "Connecting",
  live: "Live",
  stalled: "Stalled",
  lost: "Lost",
  ended: "Ended",
};

const REFUSALS = {
  401: "The server asks for credentials: load the page again.",
  404: "There is no such camera any more. Trying again…",
};

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
const size = ({ width, height }) => `${width} × ${height}`;

function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

function decimal(value) {
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

// ---- rates and latencies

const tiles = new Map();
for (const [name, title] of Object.entries(RATES)) {
  const tile = make("div", "card tile");
  const line = make("p");
  const number = make("b", "", "–");
  const chart = new Chart(`${title} frames per second`);
  line.append(number, make("small", "", "fps"));
  tile.append(make("h2", "", title), line, chart.element);
  at("rates").append(tile);
  tiles.set(name, { number, chart });
}

const rows = new Map();
for (const [name, title] of Object.entries(STAGES)) {
  const row = make("tr", TOTALS.has(name) ? "strong" : "");
  const heading = make("th", "", title);
  heading.scope = "row";
  const chart = new Chart(`${title}, p50 and p95 in milliseconds`, 2);
  const trend = make("td", "trend");
  const [p50, p95] = [make("td", "number", "–"), make("td", "number", "–")];
  trend.append(chart.element);
  row.append(heading, trend, p50, p95);
  at("latencies").append(row);
  rows.set(name, { chart, p50, p95 });
}

function showRates(state) {
  const encoded = Math.max(0, ...state.sinks.map((sink) => sink.encoded_fps));
  const rates = { ...state.rates, encoded };
  for (const [name, { number, chart }] of tiles) {
    put(number, decimal(rates[name] ?? 0));
    chart.push([rates[name] ?? 0]);
  }
}

function showLatencies(state) {
  const encoded = state.sinks.map((sink) => sink.capture_to_encode).filter(({ n }) => n > 0);
  const slowest = encoded.reduce((a, b) => (a && a.p95 >= b.p95 ? a : b), undefined);
  const durations = { ...state.durations_ms, capture_to_encode: slowest };
  for (const [name, { chart, p50, p95 }] of rows) {
    const known = durations[name]?.n > 0 ? durations[name] : null;
    put(p50, known ? decimal(known.p50) : "–");
    put(p95, known ? decimal(known.p95) : "–");
    chart.push(known && [known.p50, known.p95]);
  }
}

// ---- camera, model, outputs

function showSource({ camera, source, durations_ms: durations, rates }) {
  const since = duration(source.for_s);
  at("badge").dataset.state = source.state;
  put(at("badge-text"), source.state === "live" ? "Live" : `${STATES[source.state]} for ${since}`);
  const parts = [source.state === "live" ? "" : STATES[source.state], camera, "edge-detect"];
  document.title = parts.filter(Boolean).join(" – ");
  cameraTrouble =
    source.state === "live"
      ? null
      : { title: `Camera ${STATES[source.state].toLowerCase()} for ${since}`, text: source.reason };
  if (source.state === "connecting") cameraTrouble.title = "Connecting to the camera";
  if (source.state === "ended") cameraTrouble.title = "The source has ended";
  showVeil();
  const facts = [];
  if (source.size) facts.push(["", size(source.size)]);
  facts.push(["", `${decimal(rates.rendered || rates.captured || 0)} fps`]);
  if (durations.boxes_age?.n) {
    const age = durations.boxes_age.p50.toFixed(0);
    facts.push(age === "0" ? ["boxes of", "this frame"] : ["boxes", `${age} ms`, "older"]);
  }
  at("facts").replaceChildren(
    ...facts.map(([before, value, after = ""]) => {
      const fact = make("span", "", before && `${before} `);
      fact.append(make("b", "", value), after && ` ${after}`);
      return fact;
    }),
  );
}

function runsOn({ devices, away }) {
  const where = devices.join(", ") || "nothing";
  return away ? `${where} (${away})` : where;
}

function showAbout({ source, model, mode, overlay, dropped, detections, sinks }) {
  // What outputs dropped stands in their own table.
  const outputs = new Set(sinks.map((sink) => sink.name));
  const lost = Object.entries(dropped)
    .filter(([stage]) => !outputs.has(stage))
    .map(([stage, count]) => `${stage} ${count}`);
  const pairs = [
    ["Camera", source.name.startsWith("/") ? source.name.split("/").pop() : source.name],
    ["Reconnects", String(source.reconnects)],
    ["Model", model.name],
    // A camera that is not running yet knows its model by name alone.
    ["Input", model.runtime ? size(model.input_size) : "–"],
    ["Runtime", model.runtime || "–"],
    ["Runs on", model.runtime ? runsOn(model) : "–"],
    ["Threads", model.runtime ? String(model.threads) : "–"],
    ["Least score", model.runtime ? model.score_threshold.toFixed(2) : "–"],
    ["Mode", `${mode}, ${overlay} boxes`],
    ["Dropped frames", lost.join(", ") || "none"],
    ["Objects so far", detections.toLocaleString("en")],
  ];
  const list = at("about");
  if (!list.children.length) {
    for (const [name] of pairs) list.append(make("dt", "", name), make("dd"));
  }
  pairs.forEach(([, value], index) => put(list.children[2 * index + 1], value));
}

function showCamera({ camera, controls: changeable }) {
  controls.show(changeable);
  put(at("empty"), changeable?.enabled === false ? "Detection is switched off." : "Nothing detected.");
  if (!camera) return;
  put(at("camera"), camera);
  at("camera").hidden = false;
  at("brand").href = "../../";
  at("brand").ariaLabel = "edge-detect, all cameras";
}

function showOutputs({ sinks }) {
  const body = at("outputs");
  body.replaceChildren(
    ...sinks.map((sink) => {
      const row = make("tr");
      const name = make("th", "", sink.name);
      name.scope = "row";
      const state = make("td", "state");
      const pill = make("span", "pill");
      pill.dataset.state = sink.state;
      pill.append(make("span", "dot"), sink.state);
      state.append(pill);
      if (sink.reason) state.append(make("span", "why", sink.reason));
      const encodes = sink.encoded_fps > 0;
      const numbers = [
        ["Viewers", sink.viewers === null ? "–" : String(sink.viewers)],
        ["fps", encodes ? decimal(sink.encoded_fps) : "–"],
        ["p95 ms", encodes ? decimal(sink.capture_to_encode.p95) : "–"],
        ["Dropped", sink.dropped.toLocaleString("en")],
      ].map(([title, value]) => {
        const cell = make("td", "number", value);
        cell.dataset.name = title;
        return cell;
      });
      row.append(name, state, ...numbers);
      return row;
    }),
  );
}

// ---- detections

function showDetections({ detections }) {
  const counts = new Map();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  const ordered = [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  put(at("seen-count"), String(detections.length));
  at("empty").hidden = detections.length > 0;
  at("counts").replaceChildren(
    ...ordered.map(([label, count]) => {
      const chip = make("li", "", `${label} `);
      chip.prepend(make("b", "", `${count} `));
      return chip;
    }),
  );
  // By class, so that the rows keep their places while scores go up and down.
  const sorted = [...detections].sort((a, b) => a.label.localeCompare(b.label) || b.score - a.score);
  at("objects").replaceChildren(...sorted.slice(0, MOST_OBJECTS).map(describe));
  if (detections.length > MOST_OBJECTS) {
    at("objects").append(make("li", "more", `and ${detections.length - MOST_OBJECTS} more`));
  }
  const seen = ordered.map(([label, count]) => `${count} ${label}`).join(", ") || "nothing detected";
  at("picture").setAttribute("aria-label", `Live picture: ${seen}`);
}

function describe({ label, score, zones }) {
  const row = make("li");
  const meter = make("span", "meter");
  const level = make("i");
  level.style.width = `${Math.round(100 * score)}%`;
  meter.setAttribute("aria-hidden", "true");
  meter.append(level);
  const name = make("span", "name", label);
  if (zones?.length) name.append(make("small", "", ` in ${zones.join(", ")}`));
  row.append(name, meter, make("span", "score", `${Math.round(100 * score)} %`));
  return row;
}

class Listener {
  #events = null;
  #again = 0;

  start() {
    if (this.#events) return;
    this.#events = new EventSource(here("api/detections/stream?fps=4"));
    this.#events.addEventListener("detections", (event) => showDetections(JSON.parse(event.data)));
    this.#events.addEventListener("error", () => {
      // It comes back by itself from lost connections, but not from refusals.
      if (this.#events?.readyState !== EventSource.CLOSED) return;
      this.stop();
      this.#again = setTimeout(() => this.start(), PATIENCE_MS);
    });
  }

  stop() {
    clearTimeout(this.#again);
    this.#events?.close();
    this.#events = null;
  }
}

// ---- the picture, and what stands in its place

let cameraTrouble = null;
let pictureTrouble = "";
let reachable = true;

function showVeil() {
  const trouble =
    cameraTrouble ?? (pictureTrouble ? { title: "No picture", text: pictureTrouble } : null);
  at("veil").hidden = trouble === null;
  at("main").dataset.fresh = String(trouble === null);
  put(at("veil-title"), trouble?.title ?? "");
  put(at("veil-reason"), trouble?.text ?? "");
}

const picture = new Picture(at("picture"), (text) => {
  pictureTrouble = text;
  showVeil();
});
const listener = new Listener();
const controls = new Controls((text) => put(at("notice"), text));

function watch() {
  if (reachable && !document.hidden) {
    picture.start();
    listener.start();
  } else {
    picture.stop();
    listener.stop();
  }
}

at("snapshot").addEventListener("click", async () => {
  const button = at("snapshot");
  button.disabled = true;
  put(at("notice"), "");
  try {
    const response = await fetch(here("snapshot.jpg"), { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(await explain(response));
    const name = /filename="(.+)"/.exec(response.headers.get("content-disposition"))?.[1];
    const link = make("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name ?? "snapshot.jpg";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    put(at("notice"), `No snapshot: ${error.message}`);
  } finally {
    button.disabled = false;
  }
});

// ---- the state, every second

async function poll() {
  const response = await fetch(here("api/state"), { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(await explain(response), { cause: response.status });
  const state = await response.json();
  showSource(state);
  showRates(state);
  showLatencies(state);
  showAbout(state);
  showOutputs(state);
  showCamera(state);
  put(at("version"), `edge-detect ${state.version} · running for ${duration(state.elapsed_s)}`);
}

function setReachable(yes, text = "") {
  put(at("away"), text);
  at("away").hidden = yes;
  if (!yes) {
    at("badge").dataset.state = "away";
    put(at("badge-text"), "No connection");
    for (const { chart } of [...tiles.values(), ...rows.values()]) chart.push(null);
    cameraTrouble = { title: "No connection", text: "The picture comes back by itself." };
    showVeil();
  }
  if (reachable !== yes) {
    reachable = yes;
    watch();
  }
}

async function run() {
  for (;;) {
    try {
      await poll();
      setReachable(true);
    } catch (error) {
      setReachable(false, REFUSALS[error.cause] ?? "The server does not answer. Trying again…");
    }
    await sleep(POLL_MS);
  }
}

document.addEventListener("visibilitychange", watch);
watch();
run();

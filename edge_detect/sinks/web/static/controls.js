// What can be changed while the camera runs: whether it detects, and the least score.

import { explain, here } from "./server.js";

const PATIENCE_MS = 3000;
const at = (id) => document.getElementById(id);

export class Controls {
  #onTrouble;
  #busy = false;
  #held = false;

  /** @param {(text: string) => void} onTrouble Told why something was not changed; "" when it was. */
  constructor(onTrouble) {
    this.#onTrouble = onTrouble;
    const slider = at("threshold");
    at("controls").addEventListener("submit", (event) => event.preventDefault());
    at("enabled").addEventListener("change", () => this.#change({ enabled: at("enabled").checked }));
    slider.addEventListener("input", () => {
      this.#held = true;
      this.#write(slider.valueAsNumber);
    });
    slider.addEventListener("change", () => {
      this.#held = false;
      this.#change({ score_threshold: slider.valueAsNumber });
    });
  }

  /** Show what holds now; null hides everything. What is being changed is left alone. */
  show(controls) {
    at("controls").hidden = controls === null;
    if (controls === null || this.#busy || this.#held) return;
    const { changeable, enabled, score_threshold: score } = controls;
    at("enabled").checked = enabled;
    at("enabled").disabled = !changeable;
    at("threshold").disabled = !changeable || score === null;
    at("read-only").hidden = changeable;
    if (score !== null) at("threshold").value = score;
    this.#write(score);
  }

  #write(score) {
    at("threshold-value").value = score === null ? "–" : score.toFixed(2);
  }

  async #change(wanted) {
    this.#busy = true;
    try {
      const response = await fetch(here("api/controls"), {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(wanted),
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!response.ok) throw new Error(await explain(response));
      this.#busy = false;
      this.show(await response.json());
      this.#onTrouble("");
    } catch (error) {
      this.#onTrouble(`Not changed: ${error.message}`);
    } finally {
      this.#busy = false;
    }
  }
}

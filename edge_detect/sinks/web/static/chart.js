// Small moving charts of the last minute.

const POINTS = 60;
const HEIGHT = 20;
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  #values = [];
  #lines;
  #area;

  /**
   * @param {string} label For those who cannot see it.
   * @param {number} lines How many values each point has; from the lower to the upper one.
   */
  constructor(label, lines = 1) {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "spark");
    this.element.setAttribute("viewBox", `0 0 ${POINTS - 1} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", `${label}, last minute`);
    this.#area = this.#add("area");
    this.#lines = Array.from({ length: lines }, (_, index) => this.#add(index ? "upper" : "line"));
  }

  /** Add a point, an array of values; null leaves a gap. */
  push(values) {
    this.#values.push(values);
    if (this.#values.length > POINTS) this.#values.shift();
    const known = this.#values.filter(Boolean);
    const top = Math.max(1e-6, ...known.map((point) => point[point.length - 1])) * 1.15;
    const offset = POINTS - this.#values.length;
    const y = (value) => (HEIGHT - (value / top) * HEIGHT).toFixed(2);
    this.#lines.forEach((line, index) => {
      let pen = "M";
      const path = this.#values.map((point, at) => {
        if (!point) {
          pen = "M";
          return "";
        }
        const step = `${pen}${offset + at} ${y(point[index])}`;
        pen = "L";
        return step;
      });
      line.setAttribute("d", path.join(""));
    });
    this.#area.setAttribute("d", this.#fill(offset, y));
  }

  #fill(offset, y) {
    let path = "";
    let last = -1;
    this.#values.forEach((point, at) => {
      const x = offset + at;
      if (point) {
        path += last < 0 ? `M${x} ${HEIGHT}` : "";
        path += `L${x} ${y(point[point.length - 1])}`;
        last = x;
      } else if (last >= 0) {
        path += `L${last} ${HEIGHT}Z`;
        last = -1;
      }
    });
    return last < 0 ? path : `${path}L${last} ${HEIGHT}Z`;
  }

  #add(name) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    this.element.append(path);
    return path;
  }
}

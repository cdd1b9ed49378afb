// The live picture: reads the MJPEG stream itself and paints it on a canvas.
//
// An <img> would do for showing it, but it cannot tell that its stream has ended.

import { explain, here } from "./server.js";

const QUIET_MS = 8000;
const RETRY_MS = 1000;
const PART_HEADER_LIMIT = 1 << 16;
const decoder = new TextDecoder();

export class Picture {
  #canvas;
  #onTrouble;
  #stopper = null;

  /**
   * @param {HTMLCanvasElement} canvas Where to paint; takes the size of the pictures.
   * @param {(text: string) => void} onTrouble Told why there is no picture; "" when there is.
   */
  constructor(canvas, onTrouble) {
    this.#canvas = canvas;
    this.#onTrouble = onTrouble;
  }

  /** Begin to show the picture, and go on through all troubles until `stop`. */
  start() {
    if (this.#stopper) return;
    this.#stopper = new AbortController();
    this.#run(this.#stopper.signal);
  }

  /** Let go of the stream: the server makes no pictures for nobody. */
  stop() {
    this.#stopper?.abort();
    this.#stopper = null;
  }

  async #run(stopped) {
    while (!stopped.aborted) {
      try {
        await this.#watch(stopped);
      } catch (error) {
        if (stopped.aborted) return;
        this.#onTrouble(error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #watch(stopped) {
    const quiet = new AbortController();
    const timer = { id: 0 };
    const wait = () => {
      clearTimeout(timer.id);
      timer.id = setTimeout(() => quiet.abort(new Error("Nothing new for 8 s.")), QUIET_MS);
    };
    const stop = () => quiet.abort();
    stopped.addEventListener("abort", stop);
    wait();
    try {
      const response = await fetch(this.#address(), { signal: quiet.signal, cache: "no-store" });
      if (!response.ok) throw new Error(await explain(response));
      for await (const blob of parts(response.body.getReader())) {
        wait();
        await this.#paint(blob);
        this.#onTrouble("");
      }
    } finally {
      clearTimeout(timer.id);
      stopped.removeEventListener("abort", stop);
      quiet.abort();
    }
  }

  #address() {
    const address = here("stream.mjpg");
    // One of few widths, so that viewers share what the server makes.
    const width = this.#canvas.clientWidth * devicePixelRatio;
    if (width <= 640) address.searchParams.set("width", "640");
    return address;
  }

  async #paint(blob) {
    const bitmap = await createImageBitmap(blob);
    const canvas = this.#canvas;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
    bitmap.close();
  }
}

/** The JPEGs of a multipart stream, by their Content-Length. */
async function* parts(reader) {
  let data = new Uint8Array(1 << 18);
  let length = 0;
  const read = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    if (length + value.length > data.length) {
      const larger = new Uint8Array(2 * (length + value.length));
      larger.set(data.subarray(0, length));
      data = larger;
    }
    data.set(value, length);
    length += value.length;
    return true;
  };
  for (;;) {
    let header = headerEnd(data, length);
    while (header < 0) {
      if (length > PART_HEADER_LIMIT) throw new Error("The stream makes no sense.");
      if (!(await read())) return;
      header = headerEnd(data, length);
    }
    const text = decoder.decode(data.subarray(0, header));
    const end = header + Number(/content-length: *(\d+)/i.exec(text)?.[1]);
    if (Number.isNaN(end)) throw new Error("The stream makes no sense.");
    while (length < end) if (!(await read())) return;
    yield new Blob([data.subarray(header, end)], { type: "image/jpeg" });
    data.copyWithin(0, end, length);
    length -= end;
  }
}

/** Where the content begins after the empty line; -1 while that has not come. */
function headerEnd(data, length) {
  for (let at = data.indexOf(13); at >= 0 && at + 3 < length; at = data.indexOf(13, at + 1)) {
    if (data[at + 1] === 10 && data[at + 2] === 13 && data[at + 3] === 10) return at + 4;
  }
  return -1;
}

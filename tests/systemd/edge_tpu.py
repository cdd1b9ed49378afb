"""Put what stands in for an Edge TPU into a container: `edge_tpu.py ROOT PLACE MODEL`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.stand_in import StandIn, compile_bundled, record_answer

from edge_detect.core import bundled_path
from edge_detect.sources import open_source


def main(root: str, place: str, model: str) -> None:
    """Compile library and model, and have the library answer what is in the bundled clip."""
    folder = Path(root + place)
    stand_in = StandIn(folder)
    compile_bundled(folder, model)
    with open_source(f"file://{min(bundled_path('demo').glob('*.mp4'))}", paced=False) as video:
        answer = record_answer(folder / "answer", model, video.read().image)
    stand_in.tell("invoke_ms 7", answer.replace(root, ""))
    for path in folder.iterdir():
        path.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])

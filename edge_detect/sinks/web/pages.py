"""Pages and what they are made of: files that are answered from memory."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from fastapi import FastAPI, HTTPException, Request, Response

__all__ = ["add_pages", "read_files"]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def read_files(package: str) -> dict[str, bytes]:
    """What lies in the folder `static` of a package, by name.

    In memory: reading files later would need a thread, and a disk that still answers.
    """
    folder = files(package) / "static"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def add_pages(app: FastAPI, content: Mapping[str, bytes], pages: Mapping[str, str]) -> None:
    """Answer with files: at `/static/NAME`, and at the paths of pages.

    Args:
        app: Which answers.
        content: The files by name.
        pages: Name of the file by path.
    """
    tags = {name: f'"{sha256(data).hexdigest()[:16]}"' for name, data in content.items()}

    def answer(request: Request, name: str) -> Response:
        if name not in content:
            raise HTTPException(404, "There is no such file.")
        headers = {"ETag": tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        media_type = _TYPES[name.rpartition(".")[2]]
        return Response(content[name], headers=headers, media_type=media_type)

    async def file(request: Request) -> Response:
        return answer(request, request.path_params["name"])

    app.add_route("/static/{name}", file, include_in_schema=False)
    for path, name in pages.items():

        async def page(request: Request, name: str = name) -> Response:
            return answer(request, name)

        app.add_route(path, page, include_in_schema=False)

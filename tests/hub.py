"""A stand-in for the Hugging Face Hub: datasets in memory, over the API that its client speaks.

It holds repositories, commits with files in their body, uploads of large files (Git LFS, basic
transfer), and downloads. What it was asked is kept, so that tests can look at tokens and times.
"""

import base64
import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Repository:
    def __init__(self, *, private: bool = False) -> None:
        self.private = private
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []

    @property
    def sha(self) -> str:
        return sha1(f"{len(self.commits)}".encode()).hexdigest()


class Hub:
    """What the stand-in holds, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.token = "hf_" + "a" * 30
        """Who has it may write, and read what is private."""
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.large = 10 << 20
        """Bytes from which a file is uploaded apart from its commit."""
        self.failures: list[str] = []
        """Starts of requests, ``METHOD /path``, that fail once each with status 503."""

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repository:
        repository = self.repositories[name] = Repository(private=private)
        repository.files.update(files)
        repository.commits.append("first")
        return repository


@contextmanager
def hub() -> Generator[Hub]:
    """Run a `Hub` on the loopback."""
    held = Hub()
    handler = type("BoundHandler", (_Handler,), {"hub": held})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        held.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield held
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's name)
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.requests.append((self.command, path))
        asked = f"{self.command} {path}"
        failing = next((start for start in self.hub.failures if asked.startswith(start)), None)
        if failing is not None:
            self.hub.failures.remove(failing)
            self._reply(503, {"error": "come back later"})
            return
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, asked):
                getattr(self, method)(*match.groups(), body=body)
                return
        self._reply(404, {"error": f"no route for {asked}"})

    def _reply(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _find(self, name: str, *, writing: bool = False) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._may_write):
            self._reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        if writing and not self._may_write:
            self._reply(401, {"error": "Invalid username or password."})
            return None
        return repository

    # -- what the client asks -------------------------------------------------------------------

    def create(self, *, body: bytes) -> None:
        if not self._may_write:
            self._reply(401, {"error": "Invalid username or password."})
            return
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.hub.repositories:
            self._reply(409, {"error": "exists", "url": f"{self.hub.url}/datasets/{name}"})
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private=bool(private))
        self._reply(200, {"url": f"{self.hub.url}/datasets/{name}", "name": name, "id": name})

    def whoami(self, *, body: bytes) -> None:
        del body
        known = self._may_write
        self._reply(200 if known else 401, {"name": "me", "type": "user"} if known else {})

    def validate(self, *, body: bytes) -> None:
        del body
        self._reply(200, {"errors": [], "warnings": []})

    def info(self, name: str, revision: str | None, *, body: bytes) -> None:
        del body
        repository = self._find(name)
        if repository is None:
            return
        if revision not in {None, "", "main", repository.sha}:
            self._reply(404, {"error": "no such"}, {"X-Error-Code": "RevisionNotFound"})
            return
        files = [{"rfilename": n, "size": len(c)} for n, c in repository.files.items()]
        self._reply(
            200,
            {"id": name, "sha": repository.sha, "private": repository.private, "siblings": files},
        )

    def preupload(self, name: str, *, body: bytes) -> None:
        repository = self._find(name, writing=True)
        if repository is None:
            return
        files: list[dict[str, Any]] = []
        for file in json.loads(body)["files"]:
            old = repository.files.get(file["path"])
            mode = "lfs" if file["size"] >= self.hub.large else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
            if old is not None:
                files[-1]["oid"] = _oid(old, mode)
        self._reply(200, {"files": files})

    def batch(self, name: str, *, body: bytes) -> None:
        if self._find(name, writing=True) is None:
            return
        objects = [
            one
            if one["oid"] in self.hub.uploads
            else one | {"actions": {"upload": {"href": f"{self.hub.url}/upload/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        self._reply(200, {"transfer": "basic", "objects": objects})

    def upload(self, oid: str, *, body: bytes) -> None:
        assert sha256(body).hexdigest() == oid
        self.hub.uploads[oid] = body
        self._reply(200, {})

    def commit(self, name: str, *, body: bytes) -> None:
        repository = self._find(name, writing=True)
        if repository is None:
            return
        for line in body.splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "header":
                repository.commits.append(value["summary"])
            elif one["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.uploads[value["oid"]]
            elif one["key"] == "deletedFile":
                repository.files.pop(value["path"], None)
        url = f"{self.hub.url}/datasets/{name}/commit/{repository.sha}"
        self._reply(200, {"success": True, "commitUrl": url, "commitOid": repository.sha})

    def resolve(self, name: str, revision: str, path: str, *, body: bytes) -> None:
        del body, revision
        repository = self._find(name)
        if repository is None:
            return
        content = repository.files.get(path)
        if content is None:
            self._reply(404, {"error": "no such"}, {"X-Error-Code": "EntryNotFound"})
            return
        etag = f'"{sha256(content).hexdigest()}"'
        self._reply(200, content, {"ETag": etag, "X-Repo-Commit": repository.sha})


def _oid(content: bytes, mode: str) -> str:
    if mode == "lfs":
        return sha256(content).hexdigest()
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


_REPO = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    ("POST /api/repos/create", "create"),
    ("GET /api/whoami-v2", "whoami"),
    ("POST /api/validate-yaml", "validate"),
    (rf"GET /api/datasets/{_REPO}()?", "info"),
    (rf"GET /api/datasets/{_REPO}/revision/(.+)", "info"),
    (rf"POST /api/datasets/{_REPO}/preupload/.+", "preupload"),
    (rf"POST /api/datasets/{_REPO}/commit/.+", "commit"),
    (rf"POST /datasets/{_REPO}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /upload/(\w+)", "upload"),
    (rf"(?:GET|HEAD) /datasets/{_REPO}/resolve/([^/]+)/(.+)", "resolve"),
)

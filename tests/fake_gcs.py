"""A bucket of Google Cloud Storage in memory, behind HTTP: enough for orbax and epath.

`serve()` runs the server; `environment(url)` has the variables that lead TensorStore and
gcsfs to it. Where gcsfs is not installed, `install()` puts `FakeFileSystem` in its place, which
sends the same requests. Objects are written whole; there is no rename and no append.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import io
import json
import os
import runpy
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import fsspec

URL_VARIABLE = "TENSORSTORE_GCS_HTTP_URL"
SPLIT_VARIABLE = "FAKE_GCS_SPLITS_LEAVES"  # where it is set, all processes write of small leaves


class Bucket:
    """Objects by name, with a generation each. `refusal`: the HTTP status of all writes, or 0."""

    def __init__(self):
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.lock = threading.Lock()
        self.generation = 1
        self.refusal = 0
        self.requests: list[tuple[str, str]] = []  # (POST, DELETE or READ, name)

    def describe(self, name: str) -> dict:
        content, generation = self.objects[name]
        return {
            "kind": "storage#object", "name": name, "bucket": "bucket", "size": str(len(content)),
            "generation": str(generation), "metageneration": "1",
            "updated": "2026-01-01T00:00:00.000Z", "timeCreated": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    """The requests of the JSON API that upload, list, read and delete objects."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    @property
    def bucket(self) -> Bucket:
        return self.server.bucket

    def parse(self) -> tuple[str, dict[str, str]]:
        """The object's name, "" for the bucket, and the query. All but one bucket are absent."""
        parts = urllib.parse.urlsplit(self.path)
        folder, _, name = parts.path.partition("/o/")
        self.is_absent = "/b/" in folder and folder.split("/b/")[1].split("/")[0] != "bucket"
        return urllib.parse.unquote(name), dict(urllib.parse.parse_qsl(parts.query))

    def answer(self, status: int, body: bytes | dict = b"", headers: dict | None = None) -> None:
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def has_precondition(self, name: str, query: dict[str, str]) -> bool:
        """Whether the generation of an object is the one that a request expects, if any."""
        generation = self.bucket.objects.get(name, (b"", 0))[1]
        expected = query.get("ifGenerationMatch", str(generation))
        return expected == str(generation)

    def do_GET(self):
        name, query = self.parse()
        with self.bucket.lock:
            if self.is_absent:
                return self.answer(404, {"error": {"code": 404, "message": "no such bucket"}})
            if not name:
                return self.answer(200, self.list_objects(query))
            if name not in self.bucket.objects:
                return self.answer(404, {"error": {"code": 404, "message": "no such object"}})
            content, generation = self.bucket.objects[name]
            if query.get("alt") != "media":
                return self.answer(200, self.bucket.describe(name))
            self.bucket.requests.append(("READ", name))
        headers, status = {"x-goog-generation": str(generation)}, 200
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if query.get("ifGenerationNotMatch") == str(generation):
            return self.answer(304)
        if first:
            size, start = len(content), int(first)
            stop = min(int(last) + 1 if last else size, size)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            content, status = content[start:stop], 206
        self.answer(status, content, headers)

    def list_objects(self, query: dict[str, str]) -> dict:
        """Objects and folders below a prefix, all on one page."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start = query.get("startOffset", "")
        items, folders = [], set()
        for name in sorted(self.bucket.objects):
            if not name.startswith(prefix) or name < start:
                continue
            head, mark, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if mark:
                folders.add(prefix + head + mark)
            else:
                items.append(self.bucket.describe(name))
        return {"items": items, "prefixes": sorted(folders)}

    def do_POST(self):
        source, query = self.parse()
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.is_absent:
            return self.answer(404, {"error": {"code": 404, "message": "no such bucket"}})
        if "/rewriteTo/" in source:
            source, _, target = source.partition("/rewriteTo/")
            name = target.partition("/o/")[2]
            self.store({"name": name}, self.bucket.objects[source][0], is_copy=True)
            return
        if query.get("uploadType") == "resumable":
            name = urllib.parse.quote(json.loads(content)["name"])
            location = f"http://{self.headers['Host']}/upload?name={name}"
            return self.answer(200, {}, {"Location": location})
        if query.get("uploadType") == "multipart":
            mark = self.headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
            head, content = content.split(b"--" + mark, 2)[1:]
            query["name"] = json.loads(head.partition(b"\n\n")[2])["name"]
            content = content.partition(b"\n\n")[2].rpartition(b"\n--" + mark)[0]
        self.store(query, content)

    def store(self, query: dict[str, str], content: bytes, is_copy: bool = False) -> None:
        """Replace an object, if its generation is the expected one."""
        name = query["name"]
        with self.bucket.lock:
            self.bucket.requests.append(("POST", name))
            if self.bucket.refusal:
                return self.answer(self.bucket.refusal, {"error": {"message": "refused"}})
            if not self.has_precondition(name, query):
                return self.answer(412, {"error": {"code": 412}})
            self.bucket.generation += 1
            self.bucket.objects[name] = content, self.bucket.generation
            description = self.bucket.describe(name)
            self.answer(200, {"done": True, "resource": description} if is_copy else description)

    def do_DELETE(self):
        name, query = self.parse()
        with self.bucket.lock:
            self.bucket.requests.append(("DELETE", name))
            if self.bucket.refusal:
                return self.answer(self.bucket.refusal, {"error": {"message": "refused"}})
            if name not in self.bucket.objects:
                return self.answer(404, {"error": {"code": 404}})
            if not self.has_precondition(name, query):
                return self.answer(412, {"error": {"code": 412}})
            del self.bucket.objects[name]
        self.answer(204)


class Server(http.server.ThreadingHTTPServer):
    """Many clients connect at the same time."""

    daemon_threads, request_queue_size = True, 128

    def handle_error(self, request, client_address):
        """A client that ends closes its connections."""


@contextlib.contextmanager
def serve() -> Iterator[tuple[Bucket, str]]:
    """A bucket and the URL of its server, which runs in a thread until the context ends."""
    server = Server(("127.0.0.1", 0), Handler)
    server.bucket = Bucket()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.bucket, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def environment(url: str) -> dict[str, str]:
    """The variables with which a process uses the server at `url`."""
    return {
        URL_VARIABLE: url, "STORAGE_EMULATOR_HOST": url, "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
    }  # fmt: skip


class FakeFileSystem(fsspec.AbstractFileSystem):
    """The part of gcsfs that epath uses, by the same requests; no object is cached."""

    protocol = ("gcs", "gs")
    cachable = False

    def request(self, method: str, path: str, body: bytes = b"", **query: str) -> bytes:
        """The body of the answer; OSError as gcsfs raises it."""
        parts = urllib.parse.urlsplit(os.environ[URL_VARIABLE])
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, f"{path}?{urllib.parse.urlencode(query)}", body)
            response = connection.getresponse()
            content = response.read()
        if response.status == 404:
            raise FileNotFoundError(path)
        if response.status == 412:
            raise FileExistsError(path)
        if response.status >= 400:
            raise OSError(f"HTTP status {response.status}")
        return content

    def address(self, path: str) -> str:
        """The URL's path of an object."""
        bucket, _, name = self._strip_protocol(path).partition("/")
        return f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}"

    def ls(self, path, detail=True, **options):
        path = self._strip_protocol(path).rstrip("/")
        bucket, _, name = path.partition("/")
        prefix = f"{name}/" if name else ""
        answer = json.loads(
            self.request("GET", f"/storage/v1/b/{bucket}/o", prefix=prefix, delimiter="/")
        )
        entries = [
            {"name": f"{bucket}/{item['name']}", "size": int(item["size"]), "type": "file"}
            for item in answer["items"]
        ]
        entries += [
            {"name": f"{bucket}/{folder.rstrip('/')}", "size": 0, "type": "directory"}
            for folder in answer["prefixes"]
        ]
        if not entries:
            with contextlib.suppress(FileNotFoundError):
                size = json.loads(self.request("GET", self.address(path)))["size"]
                entries = [{"name": path, "size": int(size), "type": "file"}]
        if not entries:
            raise FileNotFoundError(path)
        return entries if detail else [entry["name"] for entry in entries]

    def mkdir(self, path, create_parents=True, **options):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def rmdir(self, path):
        pass

    def rm_file(self, path):
        self.request("DELETE", self.address(path))

    def _rm(self, path):
        with contextlib.suppress(FileNotFoundError):
            self.rm_file(path)

    def cat_file(self, path, start=None, end=None, **options):
        return self.request("GET", self.address(path), alt="media")[slice(start, end)]

    def cp_file(self, path1, path2, **options):
        bucket, _, name = self._strip_protocol(path2).partition("/")
        target = f"/rewriteTo/b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
        self.request("POST", self.address(path1) + target)

    def pipe_file(self, path, value, mode="overwrite", **options):
        bucket, _, name = self._strip_protocol(path).partition("/")
        condition = {"ifGenerationMatch": "0"} if mode == "create" else {}
        url = f"/upload/storage/v1/b/{bucket}/o"
        self.request("POST", url, value, uploadType="media", name=name, **condition)

    def _open(self, path, mode="rb", **options):
        if "r" in mode:
            return io.BytesIO(self.cat_file(path))
        return Upload(self, path)


class Upload(io.BytesIO):
    """A file that is sent when it is closed."""

    def __init__(self, file_system: FakeFileSystem, path: str):
        super().__init__()
        self.file_system, self.path = file_system, path

    def close(self):
        if not self.closed:
            content = self.getvalue()
            super().close()
            self.file_system.pipe_file(self.path, content)


def install() -> None:
    """Let epath reach the server; a process calls this before it uses a path."""
    try:
        import gcsfs  # noqa: F401
    except ImportError:
        fsspec.register_implementation("gcs", FakeFileSystem, clobber=True)
        fsspec.register_implementation("gs", FakeFileSystem, clobber=True)


if __name__ == "__main__":  # python -m tests.fake_gcs PROGRAM ARGUMENTS
    install()
    if SPLIT_VARIABLE in os.environ:
        from prodgen.runs import checkpoint

        checkpoint.MIN_SLICE_BYTES = 0
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")

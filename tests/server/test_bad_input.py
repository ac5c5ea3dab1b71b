"""Section 4.1 of the bad-input catalogue, sent to a running server. The row is named in each test."""

import gzip
import socket
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest
import zstandard

from homing.protocol.limits import Limits
from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server, serving

LOGIN = "/api/v1/auth/login"
JSON = {"content-type": "application/json"}
LIMIT = 64 * 2**10


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    """What is refused changes nothing: one server for all of this module."""
    limits = Limits(body_bytes_max=LIMIT, body_seconds_max=1, head_seconds_max=1)
    return msgspec.structs.replace(module_settings, limits=limits)


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as running:
        yield running


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and action, after checking that it is a whole problem document without internals."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) >= {"type", "title", "status", "detail", "code", "action"}
    assert document["status"] == answer.status_code
    assert document["type"] == f"/docs/errors#{document['code']}"
    for word in ("Traceback", "psycopg", "SELECT", "litestar", "msgspec", "site-packages"):
        assert word not in answer.text
    return answer.status_code, document["code"], document["action"]


class Line:
    """A connection on which anything can be said."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(server.address, timeout=30)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> bytes:
        """Everything until the server closes the connection."""
        pieces = []
        try:
            while piece := self._socket.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    opened = Line(server)
    yield opened
    opened.close()


def said(answer: bytes) -> tuple[bytes, bytes]:
    """Status line and code of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    code = body.partition(b'"code":"')[2].partition(b'"')[0]
    return head.partition(b"\r\n")[0], code


@pytest.mark.parametrize("body", [b"", b" \n\t "])
def test_a1_empty_body(http: httpx.Client, body: bytes) -> None:
    assert problem(http.post(LOGIN, content=body, headers=JSON)) == (400, "invalid_json", "stop")


@pytest.mark.parametrize("body", [b"[]", b'"login"', b"7", b"null"])
def test_a2_not_an_object(http: httpx.Client, body: bytes) -> None:
    assert problem(http.post(LOGIN, content=body, headers=JSON)) == (422, "invalid_envelope", "stop")


@pytest.mark.parametrize("body", [b"[" * 50_000, b"[" * 2000 + b"]" * 2000, b'{"a":' * 33 + b"1" + b"}" * 33])
def test_a3_nesting(http: httpx.Client, body: bytes) -> None:
    answer = http.post(LOGIN, content=body, headers=JSON)
    assert problem(answer) == (400, "too_deep", "stop")
    assert answer.json()["limit"] == 32


@pytest.mark.parametrize("value", [b"9" * 5000, b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_a4_a5_numbers_that_are_none(http: httpx.Client, value: bytes) -> None:
    body = b'{"login":"a","password":"b","x":' + value + b"}"
    assert problem(http.post(LOGIN, content=body, headers=JSON)) == (400, "invalid_json", "stop")


def test_a6_duplicate_key(http: httpx.Client) -> None:
    body = b'{"login":"a","password":"b","platform":"web","platform":"mobile"}'
    answer = http.post(LOGIN, content=body, headers=JSON)
    assert problem(answer) == (400, "duplicate_key", "stop")
    assert answer.json()["detail"] == "The key 'platform' appears twice in one object."


@pytest.mark.parametrize(
    "body",
    [
        b'{"login":"\xff","password":"b"}',
        b'{"login":"\xc0\xaf","password":"b"}',
        '{"login":"a","password":"b"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"login":"a","password":"b"}',
        b'{"login":"\\ud800","password":"b"}',
        b'{"login":"\\u0000","password":"b"}',
    ],
)
def test_a7_a8_text_that_is_none(http: httpx.Client, body: bytes) -> None:
    assert problem(http.post(LOGIN, content=body, headers=JSON)) == (400, "invalid_json", "stop")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "multipart/form-data; boundary=x"},
        {**JSON, "content-encoding": "br"},
        {**JSON, "content-encoding": "foo"},
        {**JSON, "content-encoding": "gzip, gzip"},
    ],
)
def test_a9_a11_media_types_and_encodings_we_do_not_read(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.post(LOGIN, content=b'{"login":"a","password":"b"}', headers=headers)
    assert problem(answer) == (415, "unsupported_media_type", "stop")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8", "Application/JSON"])
def test_a9_media_types_we_read(http: httpx.Client, content_type: str) -> None:
    answer = http.post(LOGIN, content=b'{"login":"a","password":"b"}', headers={"content-type": content_type})
    assert problem(answer) == (401, "invalid_credentials", "login")


def test_a10_declared_too_large_is_refused_before_it_is_read(line: Line) -> None:
    line.send(
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n{" % (LIMIT + 1)
    )
    answer = line.read()
    assert said(answer) == (b"HTTP/1.1 413 Content Too Large", b"too_large") or said(answer) == (
        b"HTTP/1.1 413 Request Entity Too Large",
        b"too_large",
    )
    assert b"connection: close" in answer


def test_a10_chunked_too_large(line: Line) -> None:
    line.send(
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    line.send(b"10001\r\n" + b" " * 0x10001 + b"\r\n")
    assert said(line.read())[1] == b"too_large"


def test_a10_at_the_limit_is_read(http: httpx.Client) -> None:
    body = b'{"login":"a","password":"b"}'
    answer = http.post(LOGIN, content=body + b" " * (LIMIT - len(body)), headers=JSON)
    assert problem(answer) == (401, "invalid_credentials", "login")


def _zeros(pack: Callable[[bytes], bytes], size: int) -> bytes:
    return pack(b" " * size)


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", _zeros(gzip.compress, 40 * 2**20)),
        ("zstd", _zeros(zstandard.ZstdCompressor(level=19).compress, 1024 * 2**20)),
    ],
    ids=["gzip", "zstd"],
)
def test_a11_bombs(http: httpx.Client, encoding: str, bomb: bytes) -> None:
    """A few kilobytes that stand for much more are given up as soon as the limit is passed."""
    assert len(bomb) < LIMIT
    answer = http.post(LOGIN, content=bomb, headers={**JSON, "content-encoding": encoding})
    assert problem(answer) == (413, "too_large", "stop")
    assert answer.json()["limit"] == LIMIT


def test_a11_a_zstd_frame_that_wants_a_huge_window(http: httpx.Client) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = frame.compress(b'{"login":"a","password":"b"}') + frame.flush()
    answer = http.post(LOGIN, content=body, headers={**JSON, "content-encoding": "zstd"})
    assert problem(answer) == (400, "invalid_json", "stop")


@pytest.mark.parametrize("damage", ["cut off", "followed", "flipped"])
@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor(write_checksum=True).compress)]
)
def test_a11_damaged_streams(http: httpx.Client, encoding: str, pack: Callable[[bytes], bytes], damage: str) -> None:
    whole = pack(b'{"login":"a","password":"b"}')
    body = {
        "cut off": whole[:-1],
        "followed": whole + whole,
        "flipped": whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:],
    }[damage]
    answer = http.post(LOGIN, content=body, headers={**JSON, "content-encoding": encoding})
    assert problem(answer) == (400, "invalid_json", "stop")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)])
def test_compressed_bodies_are_read(http: httpx.Client, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = pack(b'{"login":"a","password":"' + b"b" * 900 + b'"}')
    answer = http.post(LOGIN, content=body, headers={**JSON, "content-encoding": encoding})
    assert problem(answer) == (401, "invalid_credentials", "login")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /health/live HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
    ],
)
def test_a12_a20_framing_that_two_parsers_could_read_differently(line: Line, head: bytes) -> None:
    line.send(head)
    assert said(line.read()) == (b"HTTP/1.1 400 Bad Request", b"invalid_parameter")


@pytest.mark.parametrize(
    "headers",
    [b"".join(b"H%d: x\r\n" % n for n in range(1000)), b"H: " + b"x" * 70_000 + b"\r\n"],
    ids=["many", "long"],
)
def test_a13_headers_too_large(line: Line, headers: bytes) -> None:
    line.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
    assert said(line.read())[1] == b"headers_too_large"


def test_a13_headers_that_never_end(line: Line) -> None:
    line.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\nA: ")
    for _ in range(5):
        line.send(b"x" * 16_000)
    assert said(line.read())[1] == b"headers_too_large"


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v1/nothing", "/api/v2/users", "/api/v1/users/7/more"])
def test_a14_unknown_path(http: httpx.Client, path: str) -> None:
    assert problem(http.get(path)) == (404, "not_found", "stop")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/users", {"GET", "POST", "OPTIONS"}),
        ("HEAD", "/api/v1/users", {"GET", "POST", "OPTIONS"}),
        ("TRACE", "/api/v1/users", {"GET", "POST", "OPTIONS"}),
        ("GET", LOGIN, {"POST", "OPTIONS"}),
        ("DELETE", "/health/live", {"GET", "OPTIONS"}),
    ],
)
def test_a14_wrong_method(http: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        assert problem(answer) == (405, "method_not_allowed", "stop")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/users", "GET, OPTIONS, POST"),
        ("/api/v1/mobile/devices/8e6d4d4e-6a53-4c69-9f0e-3c0b5a1f3a10", "GET, OPTIONS, PATCH"),
        (LOGIN, "OPTIONS, POST"),
    ],
)
def test_a14_options(http: httpx.Client, path: str, allowed: str) -> None:
    answer = http.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


@pytest.mark.parametrize(
    "path",
    [
        "//health/live",
        "/health//live",
        "/health/live/",
        "/health/./live",
        "/api/../health/live",
        "/api/%2e%2e/health/live",
        "/health%2flive",
        "/health/live;x",
        "/health/live.",
        "/health/live%00",
        "/health\\live",
        "/HEALTH/live",
    ],
)
def test_a15_paths_that_only_look_like_ours(line: Line, path: str) -> None:
    line.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert said(line.read()) in (
        (b"HTTP/1.1 404 Not Found", b"not_found"),
        (b"HTTP/1.1 400 Bad Request", b"invalid_parameter"),
    )


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=1&limit=99", "limit is given twice."),
        ("limit=1&%6cimit=2", "limit is given twice."),
        ("colour=red", "There is no parameter 'colour'; there are: after, limit, q, role, user_type."),
        ("limit[]=1", "There is no parameter 'limit[]'; there are: after, limit, q, role, user_type."),
        ("platform=toaster", "platform is one of mobile, web."),
        ("limit=0", "limit: Expected `int` >= 1"),
        ("limit=501", "limit: Expected `int` <= 500"),
        ("limit=99999999999999999999999", "limit: Expected `int` <= 500"),
        ("limit=x", "limit: Expected `int`, got `str`"),
        ("limit=", "limit: Expected `int`, got `str`"),
        ("user_type=toaster", "user_type: Invalid enum value 'toaster'"),
        ("q=%00", "NUL, which no text may hold."),
        ("after=nonsense", "after is not a cursor of this list."),
        ("after=WzEsMl0", "after is not a cursor of this list."),
    ],
)
def test_a16_query_parameters(owner: Person, query: str, detail: str) -> None:
    answer = owner.http.get(f"/api/v1/users?{query}")
    assert problem(answer) == (400, "invalid_parameter", "stop")
    assert answer.json()["detail"] == detail


@pytest.mark.parametrize("platform", ["web", "mobile"])
def test_every_address_takes_platform(owner: Person, platform: str) -> None:
    assert owner.http.get(f"/api/v1/users?platform={platform}").json() == owner.http.get("/api/v1/users").json()


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*", 200),
        ("text/html, application/json;q=0.1", 200),
        ("text/html", 406),
        ("application/xml, image/*", 406),
        ("application/*;q=0", 406),
    ],
)
def test_a17_accept(http: httpx.Client, accept: str, status: int) -> None:
    answer = http.get("/api/v1/capabilities", headers={"accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert problem(answer) == (406, "not_acceptable", "stop")


def test_a17_a_body_that_was_announced_and_never_comes(line: Line) -> None:
    line.send(
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n"
    )
    answer = line.read()
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert said(answer.partition(b"\r\n\r\n")[2]) == (b"HTTP/1.1 408 Request Timeout", b"too_slow")


@pytest.mark.parametrize("sent", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_a_head_that_never_comes(line: Line, sent: bytes) -> None:
    line.send(sent)
    assert line.read() == b""


def test_a_second_head_that_never_ends(line: Line) -> None:
    line.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\nHo")
    assert line.read().count(b"HTTP/1.1 200 OK") == 1


def test_a18_ranges_are_ignored_where_they_mean_nothing(http: httpx.Client) -> None:
    answer = http.get("/health/live", headers={"range": "bytes=" + ",".join(["0-"] * 10_000)})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a20_http_1_0_and_absolute_form(server: Server) -> None:
    for request in (b"GET /health/live HTTP/1.0\r\n\r\n", b"GET http://x/health/live HTTP/1.0\r\nHost: x\r\n\r\n"):
        line = Line(server)
        line.send(request)
        assert line.read().endswith(b'{"status":"ok"}')
        line.close()


def test_p8_a_body_cut_at_any_byte_does_nothing(server: Server, owner: Person) -> None:
    """What was not received whole was not received."""
    body = b'{"login":"cut@example.org","name":"Cut","role":"WORKER"}'
    head = (
        b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: "
        + owner.http.headers["authorization"].encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    for end in range(len(body)):
        line = Line(server)
        line.send(head + body[:end])
        line.close()
    names = [user["username"] for user in owner.http.get("/api/v1/users").json()["items"]]
    assert names == ["olga@example.org"]
    whole = Line(server)
    whole.send(head.replace(b"Host: x", b"Host: x\r\nConnection: close") + body)
    assert said(whole.read())[0] == b"HTTP/1.1 201 Created"
    whole.close()
    names = [user["username"] for user in owner.http.get("/api/v1/users").json()["items"]]
    assert names == ["cut@example.org", "olga@example.org"]

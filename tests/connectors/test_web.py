"""Asking web servers: bounded in time and size, never led into private networks."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tailorbird.connectors import Web
from tailorbird.connectors.web import address_of, is_public
from tailorbird.errors import SourceError

Answering = Callable[[BaseHTTPRequestHandler], None]


class Server:
    def __init__(self) -> None:
        self.answer: Answering = lambda handler: None
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def answering(body: bytes, status: int = 200, **headers: str) -> Answering:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def ask(server: Server, path: str = "/", **settings: Any) -> Any:
    return Web(**settings)(f"{server.url}{path}", {"X-Key": "k"}, allow_private=True)


def test_an_answer_comes_whole_with_its_headers(server: Server) -> None:
    server.answer = answering(gzip.compress(b"words" * 1000), Content_Encoding="gzip", ETag="1")
    answer = ask(server, "/新闻?q=油价&n=1%20")
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"words" * 1000, "1")
    path, headers = server.asked[0]
    assert path == "/%E6%96%B0%E9%97%BB?q=%E6%B2%B9%E4%BB%B7&n=1%20"
    assert (headers["x-key"], headers["accept-encoding"]) == ("k", "gzip")


def test_errors_are_answers(server: Server) -> None:
    for status in (304, 404, 429, 500):
        server.answer = answering(b"", status, Retry_After="5")
        assert (ask(server).status, ask(server).headers["retry-after"]) == (status, "5")


def test_an_answer_without_end_is_given_up(server: Server) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65_536)
                sent.append(1)
        except OSError:
            pass

    server.answer = endless
    with pytest.raises(SourceError, match="answers with more than 1,000,000 bytes"):
        ask(server, max_bytes=1_000_000)


def test_a_packed_bomb_is_not_unpacked(server: Server) -> None:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pack.compress(b"\0" * 1_000_000) for _ in range(300)) + pack.flush()
    assert len(bomb) < 400_000
    server.answer = answering(bomb, Content_Encoding="gzip")
    with pytest.raises(SourceError, match="answers with more than 2,000,000 bytes"):
        ask(server, max_bytes=2_000_000)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (answering(b"short", Content_Length="500"), "breaks off after 5 bytes"),
        (answering(gzip.compress(b"words" * 99)[:-9], Content_Encoding="gzip"), "breaks off"),
        (answering(b"no gzip", Content_Encoding="gzip"), "does not answer"),
        (lambda handler: handler.wfile.write(b"no http at all\r\n\r\n"), "does not answer"),
        (lambda handler: None, "does not answer"),
    ],
)
def test_broken_answers_are_said(server: Server, answer: Answering, sentence: str) -> None:
    server.answer = answer
    with pytest.raises(SourceError, match=sentence):
        ask(server)


def test_a_server_that_does_not_answer_is_not_waited_for(server: Server) -> None:
    free = threading.Event()
    server.answer = lambda handler: (free.wait(5), None)[1]
    with pytest.raises(SourceError, match="does not answer in time"):
        ask(server, timeout_s=0.05)
    free.set()


def test_a_server_that_trickles_is_given_up(server: Server) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                threading.Event().wait(0.01)
        except OSError:
            pass

    server.answer = trickle
    with pytest.raises(SourceError, match=r"takes more than 0.1 s"):
        ask(server, total_s=0.1)


def test_nobody_listens(server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/?key=secret"
        with pytest.raises(SourceError, match="does not answer") as caught:
            Web()(url, {}, allow_private=True)
    assert "secret" not in str(caught.value)


def test_private_networks_are_refused_unless_allowed(server: Server) -> None:
    with pytest.raises(
        SourceError, match=r"127\.0\.0\.1 is in a private network; if that is meant"
    ):
        Web()(server.url, {})
    assert server.asked == []


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/inside", "http://127.0.0.%31:{port}/inside"]
)
def test_a_redirect_into_a_private_network_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    port = server.http.server_port
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1" if host == "public.example" else host, port, *args, **kwargs)

    def looks_public(address: str) -> bool:
        return server.asked == []  # the first host is outside, what it leads to is not

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("tailorbird.connectors.web.is_public", looks_public)
    server.answer = answering(b"", 302, Location=location.format(port=port))
    with pytest.raises(SourceError, match=r"private network|does not answer"):
        Web()(f"http://public.example:{port}/", {})
    assert len(server.asked) == 1


def test_redirects_are_followed_but_not_for_ever_nor_to_files(server: Server) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        answering(b"there")(handler) if handler.path == "/b" else answering(
            b"", 301, Location="/b"
        )(handler)

    server.answer = once
    answer = ask(server, "/a")
    assert (answer.body, answer.url) == (b"there", f"{server.url}/b")
    server.answer = answering(b"", 302, Location="/again")
    with pytest.raises(SourceError, match="leads on and on"):
        ask(server)
    server.answer = answering(b"", 302, Location="file:///etc/passwd")
    with pytest.raises(SourceError, match="no web address"):
        ask(server)


def test_keys_do_not_follow_to_another_host(server: Server) -> None:
    other = Server()
    thread = threading.Thread(target=other.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        server.answer = answering(b"", 302, Location=f"{other.url}/x")
        other.answer = answering(b"ok")
        assert ask(server).body == b"ok"
        assert "x-key" in server.asked[0][1]
        assert "x-key" not in other.asked[0][1]
    finally:
        other.http.shutdown()
        other.http.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::", False),
    ],
)
def test_addresses_of_the_open_internet_are_told_from_the_others(
    address: str, public: bool
) -> None:
    assert is_public(address) == public


def test_one_private_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SourceError, match=r"both\.example is in a private network"):
        address_of("both.example", 80, allow_private=False)

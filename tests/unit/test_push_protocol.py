"""RTSP and its passwords, against examples from the standards."""

import pytest

from edge_detect.core.url import Authority
from edge_detect.sinks.encoder import EncoderSettings
from edge_detect.sinks.push.auth import Challenge, read_challenges
from edge_detect.sinks.push.rtp import describe, is_rtcp
from edge_detect.sinks.push.sink import PushSink
from edge_detect.sinks.push.transport import Inbox


def digest(parameters: str) -> Challenge:
    return read_challenges([f"Digest {parameters}"])


def fields(answer: str) -> dict[str, str]:
    parts = answer.removeprefix("Digest ").split(", ")
    return {key: value.strip('"') for key, _, value in (part.partition("=") for part in parts)}


def test_a_digest_without_qop_is_that_of_the_standard() -> None:
    # RFC 2069, sec. 2.4, with the response of its erratum 749.
    challenge = digest(
        'realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    answer = challenge.answer("Mufasa", "CircleOfLife", "GET", "/dir/index.html")
    assert fields(answer)["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert fields(answer)["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_a_digest_with_qop_is_that_of_the_standard(algorithm, response, monkeypatch) -> None:
    # RFC 7616, sec. 3.9.1.
    client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr("secrets.token_hex", lambda _: client_nonce)
    challenge = digest(
        f'realm="http-auth@example.org", qop="auth-int, auth", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    )
    answer = challenge.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html")
    assert fields(answer)["response"] == response
    assert (fields(answer)["qop"], fields(answer)["nc"]) == ("auth", "00000001")
    assert fields(challenge.answer("a", "b", "GET", "/"))["nc"] == "00000002"


def test_the_strongest_way_that_is_known_is_taken() -> None:
    basic, md5 = 'Basic realm="x"', 'Digest realm="x", nonce="1"'
    sha, odd = 'Digest algorithm=SHA-256, nonce="2"', 'Digest algorithm=SHA-999, nonce="3"'
    assert read_challenges([basic, md5, sha, odd]).parameters["nonce"] == "2"
    assert read_challenges([md5, basic]).scheme == "digest"
    assert read_challenges([basic]).answer("Aladdin", "open sesame", "", "") == (
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )
    assert read_challenges([odd, "Negotiate", ""]) is None
    assert read_challenges([]) is None


def test_replies_are_found_between_packets_and_requests_however_they_arrive() -> None:
    stream = (
        b"$\x01\x00\x04RTCP"
        b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nbody"
        b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n"
        b"RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\n"
        b"WWW-Authenticate: Basic\r\nWWW-Authenticate: Digest\r\n\r\n"
    )
    for step in (1, 5, len(stream)):
        inbox = Inbox()
        replies = []
        for begin in range(0, len(stream), step):
            inbox.add(stream[begin : begin + step])
            while (reply := inbox.reply()) is not None:
                replies.append((reply.number, reply.status, reply.reason))
                headers = reply.all("www-authenticate")
        assert replies == [(2, 200, "OK"), (3, 401, "Unauthorized")]
        assert headers == ["Basic", "Digest"]


def test_a_reply_without_numbers_is_nobodys() -> None:
    inbox = Inbox()
    inbox.add(b"RTSP/1.0 200\r\nCSeq: x\r\nContent-Length: many\r\n\r\n")
    reply = inbox.reply()
    assert (reply.number, reply.status, reply.reason) == (-1, 200, "")
    assert reply.header("session") == ""


def test_what_never_ends_is_given_up() -> None:
    inbox = Inbox()

    def flood() -> None:
        for _ in range(100):
            inbox.add(b"x" * 10_000)
            inbox.reply()

    with pytest.raises(ConnectionAbortedError):
        flood()


def test_the_description_tells_what_decoders_need() -> None:
    text = describe(b"\x67\x42\xc0\x1f\xda", b"\x68\xce", "::1", "streamid=0").decode()
    assert text.endswith("\r\n")
    lines = text.splitlines()
    assert "c=IN IP6 ::1" in lines
    assert (
        "a=fmtp:96 packetization-mode=1; profile-level-id=42C01F; "
        "sprop-parameter-sets=Z0LAH9o=,aM4=" in lines
    )
    assert is_rtcp(b"\x80\xc8") is True
    assert is_rtcp(b"\x80\xe0") is False


def test_a_sink_shows_no_secrets_to_whoever_prints_it() -> None:
    sink = PushSink(Authority("anna", "geheim", "h", 1, "/x"), EncoderSettings(), udp=False)
    assert "geheim" not in repr(sink)
    assert "geheim" not in sink.name

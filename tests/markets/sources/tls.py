"""A loopback stand-in for the markets' web servers: a CONNECT proxy on 127.0.0.1 that ends TLS itself with its own CA.

Unmodified clients are led to it by environment variables only. Bounded: at most `MAX_REQUESTS`, sockets with timeouts.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("www.ercot.com", "public-api.misoenergy.org", "docs.misoenergy.org")
MAX_REQUESTS = 2_000


@dataclass
class Reply:
    """What a route answers. `silent` holds the connection without a word; `cut` sends only so many bytes of the announced body."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    silent: bool = False
    cut: int | None = None


Route = Callable[[str, str], Reply | None]  # host, path with query -> Reply, None for 404


@dataclass
class Web:
    """The running proxy. `route` may be replaced between requests; `seen` lists what was asked for, with the user agent."""

    route: Route
    folder: Path
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    _listener: socket.socket = field(init=False)
    _open: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.ca_file, self._context = _certificates(self.folder)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads an unmodified client here."""
        proxy = f"http://127.0.0.1:{self.port}"
        files = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(self.ca_file))
        return {**dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy), "NO_PROXY": "", "no_proxy": "", **files}

    def paths(self, part: str) -> list[str]:
        return [path for _, path, _ in self.seen if part in path]

    def close(self) -> None:
        self._open.clear()
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(MAX_REQUESTS):
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            if not (head := _head(connection)):
                return
            host = head.split(" ")[1].rsplit(":", 1)[0]
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._context.wrap_socket(connection, server_side=True) as secure:
                for _ in range(100):
                    head = _head(secure)
                    if not head:
                        return
                    if not self._answer(secure, host, head):
                        return

    def _answer(self, secure: ssl.SSLSocket, host: str, head: str) -> bool:
        path = head.split(" ")[1]
        agent = next((line[12:] for line in head.splitlines() if line.lower().startswith("user-agent: ")), "")
        self.seen.append((host, path, agent))
        reply = self.route(host, path) or Reply(b"not here", 404)
        if reply.silent:
            secure.recv(1)  # until the client goes away
            return False
        top = f"HTTP/1.1 {reply.status} X\r\nContent-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        secure.sendall(top.encode() + reply.body[: reply.cut])
        return reply.cut is None


def _head(stream: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < 65_536:
        chunk = stream.recv(4096)
        if not chunk:
            return ""
        data += chunk
    return data.decode("latin-1")


@contextlib.contextmanager
def serving(route: Route, folder: Path) -> Iterator[Web]:
    web = Web(route, folder)
    try:
        yield web
    finally:
        web.close()


def _certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    start, end = dt.datetime(2020, 1, 1), dt.datetime(2049, 1, 1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Loadstone test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTS[0])])

    def build(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = build(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    ca = ca.add_extension(usage, critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    leaf = build(name, key.public_key()).add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in HOSTS]), critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    pem = serialization.Encoding.PEM
    ca_file, leaf_file = folder / "ca.pem", folder / "leaf.pem"
    ca_file.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    leaf_file.write_bytes(secret + leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf_file)
    return ca_file, context

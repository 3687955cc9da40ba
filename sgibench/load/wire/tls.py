"""TLS around a plain socket, in the shape of the socket: what comes is whole bytes or BlockingIOError, never a wait.

Certificates are not judged: the server's is made for the run by who starts the server. Which protocol the two agree
on (ALPN) is. `recv` gives all that has come, because what is decrypted and not taken would not make the socket ready
again; `send` that could not hand everything to the socket says PENDING, and goes on when it is called with nothing.
"""

from __future__ import annotations

import _socket  # the plain socket, as in `connection`
import ssl
from functools import lru_cache

RECORD = 65536
PENDING = -1
"""What `send` gives when it took everything and some of it still waits for the socket."""


@lru_cache(maxsize=4)
def context(alpn: str) -> ssl.SSLContext:
    """Make the client's side of TLS, offering one protocol."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([alpn])
    return made


class TlsSocket:
    """One connection's TLS."""

    def __init__(self, sock: _socket.socket, alpn: str, session: ssl.SSLSession | None = None) -> None:
        """`session` is offered to the server, to be taken up."""
        self._offered = session
        self._agreed = False
        """Whether the handshake is done."""
        self._sock = sock
        self._alpn = alpn
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context(alpn).wrap_bio(self._in, self._out, session=session)
        self._unsent = b""

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done. Raises OSError when it fails."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                try:
                    data = self._sock.recv(RECORD)
                except BlockingIOError:
                    return False
                if not data:
                    raise ConnectionResetError(104, "the server hung up during the TLS handshake") from None
                self._in.write(data)
            else:
                self._flush()
                agreed = self._tls.selected_alpn_protocol()
                if agreed != self._alpn and (agreed, self._alpn) != (None, "http/1.1"):
                    raise ssl.SSLError(
                        1, f"expected the server to agree to {self._alpn} by ALPN, but it chose {agreed}"
                    )
                self._agreed = True
                return True

    @property
    def resumed(self) -> bool:
        """Whether the handshake took up an earlier session."""
        return bool(self._tls.session_reused)

    @property
    def refused(self) -> bool:
        """Whether a session was offered that the server did not take up."""
        return self._offered is not None and not self.resumed

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may take up; None while the server gave nothing to do so (over TLS 1.3, tickets).

        Over TLS 1.3 a ticket is good for one connection (RFC 8446, appendix C.4): until the server's next one is read,
        OpenSSL's session is still the one that was offered, and a server that remembers each ticket refuses it.
        """
        if not self._agreed:
            return None
        try:
            session = self._tls.session
        except ValueError:  # a session that OpenSSL can't write out ("i2d() failed"): none that could be taken up
            return None
        if session is None or self._tls.version() != "TLSv1.3":
            return session
        return session if session.has_ticket and session != self._offered else None

    def recv(self, _most: int) -> bytes:
        """Give all that has come; empty at the end of the stream."""
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(RECORD)
            except ssl.SSLWantReadError:
                if self._out.pending:
                    self._flush()
                try:
                    data = self._sock.recv(RECORD)
                except BlockingIOError:
                    if pieces:
                        return b"".join(pieces)
                    raise
                if not data:
                    return b"".join(pieces)
                self._in.write(data)
                continue
            if not piece:
                return b"".join(pieces)  # close_notify
            pieces.append(piece)
            if not self._in.pending and not self._tls.pending():
                return b"".join(pieces)

    def send(self, data: bytes | memoryview) -> int:
        """Take data, encrypt and send it; how much was taken, or PENDING. Raises BlockingIOError, other OSErrors."""
        if self._unsent and not self._flush():
            raise BlockingIOError(11, "the socket takes no more")
        if not data:
            return 0
        taken = self._tls.write(data)
        return taken if self._flush() or taken < len(data) else PENDING

    def _flush(self) -> bool:
        """Hand encrypted bytes to the socket; whether it took all."""
        data = self._unsent + self._out.read() if self._unsent else self._out.read()
        while data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                break
            data = data[sent:]
        self._unsent = data
        return not data

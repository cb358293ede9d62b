"""A mail server for tests: aiosmtpd as a library, because its own program can neither sign anybody in nor take a socket.

What it offers comes as JSON on standard input, and it listens on the socket that it gets as file descriptor 3. Each attempt
to sign in leaves a line "MECHANISM tls|plain good|bad" in a file. A refusal repeats what was sent, as careless servers do:
none of that may come out at the other end.
"""

import asyncio
import functools
import json
import socket
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


def judge(o, server, session, envelope, mechanism, given):
    good = (given.login.decode(), given.password.decode()) == (o["user"], o["password"])
    tls = server.transport.get_extra_info("sslcontext") is not None
    with open(o["attempts"], "a") as f:
        f.write(f"{mechanism} {'tls' if tls else 'plain'} {'good' if good else 'bad'}\n")
    if good:
        return AuthResult(success=True)
    refusal = f"535 5.7.8 {given.login.decode()} has another password than {given.password.decode()}"
    return AuthResult(success=False, handled=False, message=refusal)


async def serve(o):
    context = None
    if o["tls"] != "off":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(o["cert"], o["key"])
    starttls = o["tls"] == "starttls"
    protocol = functools.partial(
        SMTP,
        Mailbox(o["box"]),
        data_size_limit=o["max_size"],
        tls_context=context if starttls else None,
        require_starttls=starttls,
        auth_required=o["user"] != "",
        auth_require_tls=starttls,
        auth_exclude_mechanism=[m for m in ("PLAIN", "LOGIN") if o["mechanism"] not in ("", m)],
        authenticator=functools.partial(judge, o),
    )
    server = await asyncio.get_running_loop().create_server(
        protocol, sock=socket.socket(fileno=3), ssl=context if o["tls"] == "tls" else None
    )
    await server.serve_forever()


asyncio.run(serve(json.load(sys.stdin)))

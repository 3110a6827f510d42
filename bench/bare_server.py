"""The yardstick: aiohttp's low-level server over TLS, answering every request with the same body."""

import argparse
import asyncio
import ssl
import sys
from pathlib import Path

import uvloop
from aiohttp import web


async def main(certificate: Path, key: Path, body: bytes) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(f"the bare server answers at https://127.0.0.1:{runner.addresses[0][1]}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("body", type=Path)
    given = parser.parse_args()
    uvloop.run(main(given.certificate, given.key, given.body.read_bytes()))

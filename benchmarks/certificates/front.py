"""A TLS server for many names at once: each handshake is answered with what the target's folder holds at that moment.

`python -m benchmarks.certificates.front PORT FOLDER`: `FOLDER/<first label of the name>/current` is the version.
"""

import asyncio
import ssl
import sys
from pathlib import Path


async def _close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _chooses(folder: Path) -> ssl.SSLContext:
    def choose(channel: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        version = folder / (name or "").partition(".")[0] / "current"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(version / "fullchain.pem", version / "key.pem")
        except OSError:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        channel.context = context
        return None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = choose
    return context


async def _serve(port: int, folder: Path) -> None:
    async with await asyncio.start_server(_close, "127.0.0.1", port, ssl=_chooses(folder)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))

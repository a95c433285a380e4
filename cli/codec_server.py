"""`redoubt codec-server`: what the Web UI asks to encrypt what people type, and to show them what was encrypted."""

import typer

app = typer.Typer(no_args_is_help=True, help="Encode and decode payloads for the Web UI.")


@app.callback()
def codec_server() -> None:
    """Encode and decode payloads for the Web UI."""


@app.command("run")
def run() -> None:
    """Serve until SIGTERM or Ctrl-C, as `codec_server` of the settings says."""
    from api.codec_process import run as serve  # noqa: PLC0415  FastAPI loads only when it serves
    from clients.settings import load  # noqa: PLC0415  with the settings' reader

    serve(load())

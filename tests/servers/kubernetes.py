"""A simulator of the Kubernetes API for Secrets, over HTTPS, strict where the real one is.

It serves what a client of core/v1 Secrets uses: create, read, list by labels in pages, replace, delete. Objects are
judged by the API's own schemas (kubernetes-validate carries them), names and labels by the API conventions, a
replacement by its resourceVersion. Errors are `Status` objects with the codes of the API server: 401 without the
token, 403 in another namespace, 404, 409 (there already; replaced by another), 413, 422. What it does not do: watch,
patch, dry runs, server-side apply, and admission.
"""

import base64
import binascii
import datetime as dt
import functools
import http.server
import ipaddress
import json
import re
import secrets
import ssl
import threading
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from referencing import Registry, Resource

NAMESPACE = "edge"
_PATH = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/secrets(?:/([a-z0-9.-]+))?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_LARGEST = 1 << 20
_VERSION = "v1.37.0-local-strict"


class RefusedError(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass
class Kubernetes:
    """Its objects, as they would be read; `broken` answers the next requests with these codes instead."""

    folder: Path
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _revision: int = 1000

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.ca_file = self.folder / "ca.pem"
        pair = self.folder / "server.pem"
        _identity(self.ca_file, pair)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        self._server = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.address = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, verb: str, url: str, bearer: str, body: bytes) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.asked.append(f"{verb} {url}")
            try:
                return self._answer(verb, urlsplit(url), bearer, body)
            except RefusedError as refused:
                return refused.code, _status(refused.code, refused.reason)

    def _answer(self, verb: str, url: Any, bearer: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.broken:
            raise RefusedError(self.broken.pop(0), "Broken")
        if not secrets.compare_digest(bearer, f"Bearer {self.token}"):
            raise RefusedError(401, "Unauthorized")
        found = _PATH.fullmatch(url.path)
        if found is None:
            raise RefusedError(404, "NotFound")
        namespace, name = found.groups()
        if namespace != NAMESPACE:
            raise RefusedError(403, "Forbidden")
        match verb, name:
            case "POST", None:
                return 201, self._create(_object(body))
            case "GET", None:
                return 200, self._list(parse_qs(url.query))
            case "GET", str():
                return 200, self._found(name)
            case "PUT", str():
                return 200, self._replace(name, _object(body))
            case "DELETE", str():
                self._found(name)
                del self.objects[name]
                return 200, _status(200, "")
        raise RefusedError(405, "MethodNotAllowed")

    def _found(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise RefusedError(404, "NotFound")
        return self.objects[name]

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["metadata"].get("resourceVersion"):
            raise RefusedError(500, "InternalError")
        if given["metadata"]["name"] in self.objects:
            raise RefusedError(409, "AlreadyExists")
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._kept(given, {"uid": secrets.token_hex(16), "creationTimestamp": now})

    def _replace(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        old = self._found(name)
        if given["metadata"]["name"] != name:
            raise RefusedError(400, "BadRequest")
        if given["metadata"].get("resourceVersion", "") not in {"", old["metadata"]["resourceVersion"]}:
            raise RefusedError(409, "Conflict")
        if given.get("type") != old["type"]:
            raise RefusedError(422, "Invalid")
        return self._kept(given, {key: old["metadata"][key] for key in ("uid", "creationTimestamp")})

    def _kept(self, given: dict[str, Any], metadata: dict[str, str]) -> dict[str, Any]:
        self._revision += 1
        revision = {"resourceVersion": str(self._revision)}
        kept = {**given, "metadata": {**given["metadata"], **metadata, **revision}}
        self.objects[given["metadata"]["name"]] = kept
        return kept

    def _list(self, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = dict(part.split("=", 1) for part in query.get("labelSelector", [""])[0].split(",") if part)
        names = sorted(
            name
            for name, one in self.objects.items()
            if wanted.items() <= one["metadata"].get("labels", {}).items()
        )
        begin = int(query.get("continue", ["0"])[0])
        end = begin + int(query.get("limit", ["500"])[0])
        metadata = {"continue": str(end)} if end < len(names) else {}
        items = [self.objects[name] for name in names[begin:end]]
        return {"apiVersion": "v1", "kind": "SecretList", "metadata": metadata, "items": items}


def _object(body: bytes) -> dict[str, Any]:
    given = json.loads(body)
    try:
        _schema().validate(given)
    except jsonschema.ValidationError as error:
        raise RefusedError(400, f"BadRequest: {error.message[:200]}") from error
    metadata, data = given["metadata"], given.get("data", {})
    labels = [
        part for label in metadata.get("labels", {}).items() for part in (label[0].split("/")[-1], label[1])
    ]
    if not _NAME.fullmatch(metadata["name"]) or len(metadata["name"]) > 253:
        raise RefusedError(422, "Invalid: metadata.name")
    if metadata.get("namespace") != NAMESPACE:
        raise RefusedError(400, "BadRequest: namespace")
    if not all(_LABEL.fullmatch(part) for part in labels):
        raise RefusedError(422, "Invalid: metadata.labels")
    if given.get("type") == "kubernetes.io/tls" and not {"tls.crt", "tls.key"} <= data.keys():
        raise RefusedError(422, "Invalid: data")
    try:
        size = sum(len(base64.b64decode(value, validate=True)) for value in data.values())
    except binascii.Error as error:
        raise RefusedError(400, "BadRequest: illegal base64 data") from error
    if size > _LARGEST:
        raise RefusedError(413, "RequestEntityTooLarge")
    return dict(given)


@functools.cache
def _schema() -> Any:
    folder = resources.files("kubernetes_validate").joinpath("kubernetes-json-schema", _VERSION)
    definitions, secret = (
        json.loads(folder.joinpath(name).read_text("utf-8"))
        for name in ("_definitions.json", "secret-v1.json")
    )
    registry: Any = Registry()
    for schema in (definitions, secret):
        registry = Resource.from_contents(schema) @ registry
    return jsonschema.Draft202012Validator(secret, registry=registry)


def _status(code: int, reason: str) -> dict[str, Any]:
    status = "Success" if code < 400 else "Failure"
    return {"apiVersion": "v1", "kind": "Status", "status": status, "code": code, "reason": reason}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or that does not trust us, is none of our business."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, api: Kubernetes, *given: Any) -> None:
        self._api = api
        super().__init__(*given)

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        code, told = self._api.answer(self.command, self.path, self.headers.get("authorization", ""), body)
        text = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - the base class's names

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: `asked` tells what was asked for."""


def _identity(ca_file: Path, pair: Path) -> None:
    """A CA and a certificate of it for 127.0.0.1, as strict verifiers want them."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes test CA")])
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    root = (
        _builder(name, ca_key.public_key(), name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = (
        _builder(x509.Name([]), key.public_key(), name)
        .add_extension(x509.SubjectAlternativeName([address]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    ca_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.touch(mode=0o600)
    pair.write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + private)


def _builder(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )

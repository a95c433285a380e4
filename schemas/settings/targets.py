"""What serves a certificate, and where one sees that it does.

`kind` chooses what a target is; one without `kind` is `files`. The key of a certificate in a secret lies in that
secret by nature, so a certificate whose key stays in a key store can't be served from there.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Name, Path, Port
from schemas.settings.vault import VaultServer

_HOST = r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?$"
_HOST_KEY = r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,2}$"
_USER = r"^[a-z_][a-z0-9_.-]{0,63}$"
_ABSOLUTE = r"^/[A-Za-z0-9._/@+=,:-]*$"
_SEGMENTS = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"


class VerifyAt(Contract):
    """Where a TLS handshake shows what this target serves; the SNI is the certificate's first name."""

    host: str = Field(description="Host or address of the service.")
    port: Port = Field(default=443, description="Its TLS port.")
    trust_file: Path | None = Field(default=None, description="Roots to verify against; None: the issuer's.")


class Pkcs12(Contract):
    """One more file in each version: `current/FILE` is switched with everything else, in the same step."""

    file: str = Field(
        default="bundle.p12",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.(p12|pfx)$",
        description="Its name in the version's folder: DIRECTORY/current/FILE.",
    )
    password: SecretRef = Field(description="What encrypts it: at least 8 characters, printable ASCII.")


class FilesTarget(Contract):
    """Versions in a folder, one link to the current one, and a command that makes the service read it."""

    kind: Literal["files"] = "files"
    name: Name = Field(description="The target's name, unique in this certificate.")
    directory: Path = Field(description="Folder of the versions; `current` in it is what the service reads.")
    reload: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments, run without a shell: [nginx, -s, reload]."
    )
    check: tuple[str, ...] = Field(default=(), description="Run before the reload: [nginx, -t].")
    pin_file: Path | None = Field(
        default=None, description="The token's PIN, as the service reads it, for keys that stay in a token."
    )
    pkcs12: Pkcs12 | None = Field(
        default=None, description="Write each version as PKCS#12 too; it holds the key if the target does."
    )
    reload_timeout_s: float = Field(default=30.0, gt=0, le=60, description="How long it may take.")
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay in the folder.")
    verify: VerifyAt


class SshLogin(Contract):
    """How a host is reached: its key is pinned, and ours is a reference."""

    host: str = Field(pattern=_HOST, description="Name or address of the host.")
    port: Port = Field(default=22, description="Its SSH port.")
    user: str = Field(pattern=_USER, description="Who we log in as; owns the folder.")
    key: SecretRef = Field(description="Our private key in OpenSSH's or PKCS#8 form, without a passphrase.")
    host_key: str = Field(
        pattern=_HOST_KEY,
        description="The one host key that is accepted: type and key, as ssh-keyscan prints.",
    )


class SshFilesTarget(Contract):
    """The same folder on another host: the key is made there, and the commands run there."""

    kind: Literal["ssh-files"]
    name: Name = Field(description="The target's name, unique in this certificate.")
    ssh: SshLogin = Field(description="How the host is reached.")
    jump: SshLogin | None = Field(default=None, description="A host that the way to it leads over.")
    directory: str = Field(pattern=_ABSOLUTE, description="Folder of the versions on that host, absolute.")
    reload: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments, run there: [/usr/sbin/nginx, -s, reload]."
    )
    check: tuple[str, ...] = Field(default=(), description="Run there before the reload: [nginx, -t].")
    reload_timeout_s: float = Field(default=30.0, gt=0, le=60, description="How long it may take.")
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay in the folder.")
    verify: VerifyAt


class VaultKvTarget(Contract):
    """A secret in Vault's KV version 2 that holds `certificate` and `private_key`, for whoever reads it there."""

    kind: Literal["vault-kv"]
    name: Name = Field(description="The target's name, unique in this certificate.")
    vault: VaultServer = Field(
        description="Which Vault, and how to log in: we may read, write, list and delete below `path`."
    )
    mount: str = Field(default="secret", pattern=_SEGMENTS, description="Where the KV engine is mounted.")
    path: str = Field(
        pattern=_SEGMENTS,
        max_length=200,
        description="The secret's path; this target's alone, with all below it.",
    )
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay there.")
    verify: VerifyAt | None = Field(
        default=None, description="A listener that uses the secret; absent: the secret itself is read back."
    )


class KubernetesSecretTarget(Contract):
    """A Secret of type kubernetes.io/tls, as ingress controllers and pods read it."""

    kind: Literal["kubernetes-secret"]
    name: Name = Field(description="The target's name, unique in this certificate.")
    server: str = Field(pattern=r"^https://\S+$", description="The API server.")
    ca_file: Path = Field(description="Trust for the API server's TLS.")
    token: SecretRef = Field(
        description="Bearer token of a service account that may do all with Secrets there."
    )
    namespace: Name = Field(default="default", description="Namespace of the Secret.")
    secret: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Its name; ours too are those that begin with it and -staged-, -key- or -fence.",
    )
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay there.")
    verify: VerifyAt | None = Field(
        default=None, description="A listener that uses the Secret; absent: the Secret itself is read back."
    )


def _files_unless_said(given: Any) -> Any:
    return {"kind": "files", **given} if isinstance(given, dict) and "kind" not in given else given


TargetSettings = Annotated[
    Annotated[
        FilesTarget | SshFilesTarget | VaultKvTarget | KubernetesSecretTarget, Field(discriminator="kind")
    ],
    BeforeValidator(_files_unless_said),
]

MAKES_ITS_KEY = frozenset({"ssh-files", "vault-kv", "kubernetes-secret"})
"""Kinds that serve only what they have made the key of: one that stays in a token here is not to be had there."""

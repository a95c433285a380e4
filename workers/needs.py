"""Which secrets and key stores each pool uses, as the settings name them: no pool needs to read another's."""

from collections.abc import Iterator

from schemas.settings import Settings
from schemas.settings.issuers import AcmeIssuer, LocalIssuer, VaultPkiIssuer
from schemas.settings.key_stores import Pkcs11Store
from schemas.settings.targets import (
    FilesTarget,
    KubernetesSecretTarget,
    Pkcs12,
    SshFilesTarget,
    TargetSettings,
    VaultKvTarget,
)
from schemas.settings.vault import VaultServer

Secrets = Iterator[tuple[str, str]]
"""The setting's name, and the reference that stands there."""


def shared_secrets(settings: Settings) -> Secrets:
    temporal = settings.temporal
    yield from _present("temporal.api_key", temporal.api_key)
    if temporal.tls is not None:
        yield from _present("temporal.tls.client_key", temporal.tls.client_key)
    yield from _present("store.password", settings.store.password)
    yield "evidence.spool_key", settings.evidence.spool_key
    yield from _of_key_store(settings, settings.codec.key_store)


def audit_secrets(settings: Settings) -> Secrets:
    yield "evidence.log_key", settings.evidence.log_key


def api_secrets(settings: Settings) -> Secrets:
    yield from _present("api.signing_key", settings.api.signing_key)


def codec_server_secrets(settings: Settings) -> Secrets:
    yield from _present("codec_server.token", settings.codec_server.token)
    yield from _present("codec_server.secret_path", settings.codec_server.secret_path)


def certificate_secrets(settings: Settings) -> Secrets:
    for name, issuer in settings.issuers.items():
        if isinstance(issuer, AcmeIssuer):
            yield f"issuers.{name}.account_key", issuer.account_key
            if issuer.eab is not None:
                yield f"issuers.{name}.eab.hmac_key", issuer.eab.hmac_key
            yield from _present(f"issuers.{name}.next_account_key", issuer.next_account_key)
        elif isinstance(issuer, VaultPkiIssuer):
            yield from _of_vault(f"issuers.{name}.vault", issuer.vault)
    for name, challenge in settings.challenges.items():
        update = getattr(challenge, "update", None)
        yield from _present(f"challenges.{name}.update.secret", update.secret if update else None)
    for name, certificate in settings.certificates.items():
        for target in certificate.targets:
            yield from _of_target(f"certificates.{name}.targets.{target.name}", target)
    for name in certificate_key_stores(settings):
        yield from _of_key_store(settings, name)


def certificate_key_stores(settings: Settings) -> tuple[str, ...]:
    """Those that hold certificates' keys, and those of our own CAs."""
    holders = {certificate.key.holder for certificate in settings.certificates.values()} - {"target"}
    authorities = {one.key_store for one in settings.issuers.values() if isinstance(one, LocalIssuer)}
    return tuple(sorted(holders | authorities))


def _of_key_store(settings: Settings, name: str) -> Secrets:
    store = settings.key_stores.get(name)
    if isinstance(store, Pkcs11Store):
        yield f"key_stores.{name}.pin", store.pin
    elif store is not None:
        yield f"key_stores.{name}.master_key", store.master_key


def _of_target(where: str, target: TargetSettings) -> Secrets:
    match target:
        case FilesTarget(pkcs12=Pkcs12(password=password)):
            yield f"{where}.pkcs12.password", password
        case SshFilesTarget(ssh=ssh, jump=jump):
            yield f"{where}.ssh.key", ssh.key
            yield from _present(f"{where}.jump.key", jump.key if jump else None)
        case VaultKvTarget(vault=vault):
            yield from _of_vault(f"{where}.vault", vault)
        case KubernetesSecretTarget(token=token):
            yield f"{where}.token", token


def _of_vault(where: str, vault: VaultServer) -> Secrets:
    for field in ("token", "role_id", "secret_id", "jwt"):
        yield from _present(f"{where}.login.{field}", getattr(vault.login, field, None))


def _present(name: str, reference: str | None) -> Secrets:
    if reference is not None:
        yield name, reference

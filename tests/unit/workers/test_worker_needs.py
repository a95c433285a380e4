"""A pool of certificates asks for every secret of every target, and for no other's."""

from clients.settings.samples import COMPLETE
from schemas.settings import Settings
from workers.needs import audit_secrets, certificate_secrets


def test_every_secret_of_every_kind_of_target_is_asked_for() -> None:
    settings = Settings.model_validate(COMPLETE)
    asked = dict(certificate_secrets(settings))
    where = "certificates.edge.targets"
    assert {name: asked[name] for name in asked if name.startswith(where)} == {
        f"{where}.app.pkcs12.password": "file:secrets/app-keystore-password",
        f"{where}.edge-1.ssh.key": "file:secrets/ssh-key",
        f"{where}.edge-1.jump.key": "file:secrets/ssh-key",
        f"{where}.vault.vault.login.role_id": "file:secrets/vault-role-id",
        f"{where}.vault.vault.login.secret_id": "file:secrets/vault-wrapped-secret-id",
        f"{where}.cluster.token": "file:secrets/kubernetes-token",
    }
    assert not any("targets" in name for name, _ in audit_secrets(settings))

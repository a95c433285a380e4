"""Two sets of values: one that shows every setting, and the one that an installation begins with.

Secrets stand in both as references to files that `redoubt init` makes.
"""

from typing import Any, Final

_SECRETS: Final[dict[str, Any]] = {
    "codec": {"kind": "software", "path": "keys/codec", "master_key": "file:secrets/codec-master-key"},
    "keys": {"kind": "software", "path": "keys/own", "master_key": "file:secrets/keys-master-key"},
}
_CODEC_SERVER: Final[dict[str, Any]] = {
    "token": "file:secrets/codec-server-token",
    "secret_path": "file:secrets/codec-server-path",
}
_SWEEP: Final[dict[str, Any]] = {
    "workflow": "CertificateSweep",
    "input": {"max_concurrent": 10},
    "every_s": 3600,
    "jitter_s": 60.0,
    "pause_on_failure": False,
}

_ED25519: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"  # of no host: 32 bytes of zeros follow
_ELSEWHERE: Final[list[dict[str, Any]]] = [
    {
        "name": "app",
        "directory": "/var/lib/redoubt/app",
        "reload": ["/usr/bin/systemctl", "restart", "app"],
        "pkcs12": {"password": "file:secrets/app-keystore-password"},
        "verify": {"host": "127.0.0.1", "port": 8443},
    },
    {
        "kind": "ssh-files",
        "name": "edge-1",
        "ssh": {
            "host": "edge-1.example.com",
            "user": "redoubt",
            "key": "file:secrets/ssh-key",
            "host_key": f"{_ED25519}{'A' * 43}",
        },
        "jump": {
            "host": "bastion.example.com",
            "user": "redoubt",
            "key": "file:secrets/ssh-key",
            "host_key": f"{_ED25519}{'A' * 43}",
        },
        "directory": "/var/lib/redoubt/edge",
        "reload": ["/usr/sbin/nginx", "-s", "reload"],
        "verify": {"host": "edge-1.example.com"},
    },
    {
        "kind": "vault-kv",
        "name": "vault",
        "vault": {
            "address": "https://vault.example.com:8200",
            "ca_file": "vault/ca.pem",
            "login": {
                "kind": "approle",
                "role": "redoubt",
                "role_id": "file:secrets/vault-role-id",
                "secret_id": "file:secrets/vault-wrapped-secret-id",
            },
        },
        "mount": "kv",
        "path": "tls/edge.example.com",
    },
    {
        "kind": "kubernetes-secret",
        "name": "cluster",
        "server": "https://kubernetes.example.com:6443",
        "ca_file": "kubernetes/ca.pem",
        "token": "file:secrets/kubernetes-token",
        "namespace": "ingress",
        "secret": "edge-tls",  # pragma: allowlist secret - the name of a Kubernetes object
        "verify": {"host": "edge.example.com"},
    },
]


def _vault(login: dict[str, Any]) -> dict[str, Any]:
    server = {"address": "https://vault.example.com:8200", "ca_file": "vault/ca.pem", "login": login}
    return {"kind": "vault-pki", "path": "vault-orders", "vault": server, "role": "servers"}


INITIAL: Final[dict[str, Any]] = {
    "codec_server": _CODEC_SERVER,
    "key_stores": _SECRETS,
    "issuers": {"local": {"kind": "local", "path": "ca", "key_store": "keys"}},
    "schedules": {"certificate-sweep": _SWEEP},
}

COMPLETE: Final[dict[str, Any]] = {
    "temporal": {
        "namespaces": {"certificates": "certificates"},
        "tls": {
            "ca_file": "temporal/ca.pem",
            "client_certificate_file": "temporal/client.pem",
            "client_key": "file:secrets/temporal-client-key",
            "server_name": "temporal.example.com",
        },
        "api_key": "env:TEMPORAL_API_KEY",
    },
    "codec_server": {
        **_CODEC_SERVER,
        "tls": {
            "certificates": [{"directory": "tls/codec-server"}],
            "client_certificates": "optional",
            "client_ca_file": "tls/clients-ca.pem",
            "client_crl_file": "tls/clients.crl.pem",
        },
        "metrics_port": 9104,
    },
    "api": {
        "host": "192.0.2.10",
        "signing_key": "file:secrets/api-signing-key",
        "oidc": {
            "staff": {
                "issuer": "https://login.example.com/realms/staff",
                "audience": "redoubt",
                "algorithms": ["ES256"],
                "ca_file": "api/login-ca.pem",
            }
        },
        "tls": {
            "certificates": [{"directory": "tls/api"}],
            "client_certificates": "optional",
            "client_ca_file": "tls/clients-ca.pem",
        },
        "metrics_port": 9105,
    },
    "store": {
        "url": "postgresql+psycopg://redoubt@db.example.com/redoubt",
        "password": "vault:kv/redoubt/database#password",
    },
    "key_stores": {
        **_SECRETS,
        "hsm": {
            "kind": "pkcs11",
            "module": "/usr/lib/softhsm/libsofthsm2.so",
            "token": "redoubt",
            "pin": "file:secrets/token-pin",
        },
    },
    "issuers": {
        "acme": {
            "kind": "acme",
            "directory": "https://acme.example.com/directory",
            "account_key": "file:secrets/acme-account-key",
            "contact": ["mailto:security@example.com"],
            "ca_file": "acme/directory-ca.pem",
            "trust_file": "acme/roots.pem",
            "eab": {"key_id": "key-1", "hmac_key": "env:ACME_EAB_KEY"},
            "challenge": "web",
            "profile": "tlsserver",
            "preferred_chain": "Example Root CA",
            "staging_directory": "https://staging.acme.example.com/directory",
            "staging_trust_file": "acme/staging-roots.pem",
        },
        "local": {
            "kind": "local",
            "path": "ca",
            "key_store": "keys",
            "crl_url": "http://pki.example.com/crl.der",
        },
        "people": {
            "kind": "manual",
            "path": "manual-orders",
            "folder": "/srv/certificates",
            "trust_file": "manual/roots.pem",
        },
        "vault": _vault(
            {
                "kind": "approle",
                "role": "redoubt",
                "role_id": "file:secrets/vault-role-id",
                "secret_id": "file:secrets/vault-wrapped-secret-id",
            }
        ),
        "vault-by-certificate": _vault(
            {"kind": "cert", "certificate_file": "vault/client.pem", "key_file": "vault/client-key.pem"}
        ),
        "vault-by-jwt": _vault({"kind": "jwt", "role": "redoubt", "jwt": "file:secrets/platform-jwt"}),
    },
    "challenges": {
        "web": {"kind": "http-01", "webroot": "/var/www/acme"},
        "tls": {"kind": "tls-alpn-01", "port": 8443},
        "names": {
            "kind": "dns-01",
            "update": {
                "server": "ns1.example.com",
                "key_name": "redoubt",
                "secret": "file:secrets/tsig-key",
            },
        },
        "lasting": {"kind": "dns-persist-01"},
    },
    "certificates": {
        "www": {
            "names": ["www.example.com", "example.com"],
            "issuers": ["acme", "local"],
            "key": {"algorithm": "EC-P256", "holder": "hsm"},
            "targets": [
                {
                    "kind": "files",
                    "name": "web-1",
                    "directory": "/etc/nginx/redoubt/www",
                    "reload": ["nginx", "-s", "reload"],
                    "verify": {"host": "web-1.example.com", "port": 443, "trust_file": "acme/roots.pem"},
                }
            ],
            "waves": [1, 5],
            "grace_s": 60.0,
        },
        "edge": {"names": ["edge.example.com"], "issuers": ["acme"], "targets": _ELSEWHERE},
    },
    "pools": {
        "certificates": {
            "health_port": 9101,
            "metrics_port": 9102,
            "deployment": "certificates",
            "build_id": "2026-11-21",
        }
    },
    "schedules": {
        "certificate-sweep": _SWEEP,
        "nightly": {"workflow": "CertificateSweep", "cron": "0 3 * * *"},
    },
    "telemetry": {"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"},
}

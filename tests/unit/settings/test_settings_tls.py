"""No listener that others can reach speaks in plain, and TLS settings that can't work are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.settings.api import ApiSettings
from schemas.settings.processes import PoolSettings
from schemas.settings.temporal import CodecServerSettings
from schemas.settings.tls import ListenerTls, is_loopback

TLS: dict[str, Any] = {"certificates": [{"directory": "/tls/api"}]}
OPEN = ["0.0.0.0", "::", "192.0.2.1", "codec.example.com", "::ffff:192.0.2.1"]  # noqa: S104 - what must be refused


@pytest.mark.parametrize("host", OPEN)
def test_an_open_listener_without_tls_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="needs `tls`"):
        CodecServerSettings.model_validate({"host": host, "token": "file:token"})
    with pytest.raises(ValidationError, match="needs `tls`"):
        ApiSettings.model_validate({"host": host})
    with pytest.raises(ValidationError, match="needs `tls`"):
        PoolSettings.model_validate({"health_host": host, "health_port": 1})
    assert CodecServerSettings.model_validate({"host": host, "token": "file:token", "tls": TLS}).tls
    assert PoolSettings.model_validate({"health_host": host, "health_port": 1, "tls": TLS}).tls


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_it_may_be_plain(host: str) -> None:
    assert is_loopback(host)
    assert CodecServerSettings.model_validate({"host": host, "token": "file:token"}).tls is None


@given(st.ip_addresses().filter(lambda one: not one.is_loopback))
def test_no_other_address_counts_as_loopback(address: object) -> None:
    assert not is_loopback(str(address))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client_certificates": "required"}, "needs client_ca_file"),
        ({"client_ca_file": "/ca.pem"}, "are for client_certificates"),
        ({"client_crl_file": "/crl.pem"}, "are for client_certificates"),
        ({"certificates": []}, "at least 1 item"),
        ({"certificates": [{"directory": "/a"}, {"directory": "/a"}]}, "named twice"),
        ({"minimum_version": "TLSv1.2"}, "Extra inputs"),
    ],
)
def test_settings_that_can_not_work_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ListenerTls.model_validate({**TLS, **change})

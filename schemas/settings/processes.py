"""The processes: worker pools, what starts by itself, logs and spans."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from schemas.contract import Contract
from schemas.settings.names import Port
from schemas.settings.tls import ListenerTls, refuse_plain


class PoolSettings(Contract):
    """How one worker pool runs."""

    max_activities: PositiveInt = Field(
        default=50,
        description="Activities at a time, at most; fixed where the pool uses a PKCS#11 token.",
    )
    max_workflow_tasks: PositiveInt = Field(default=100, description="Workflow tasks at a time.")
    graceful_shutdown_s: PositiveFloat = Field(default=30.0, description="Time to end after SIGTERM.")
    health_host: str = Field(default="127.0.0.1", description="Address that health_port listens on.")
    health_port: Port | None = Field(
        default=None, description="/livez, /readyz, and /metrics of metrics_port; None: not served."
    )
    metrics_port: Port | None = Field(default=None, description="Prometheus, on loopback; None: no metrics.")
    tls: ListenerTls | None = Field(
        default=None, description="How health_port is served with TLS; absent: plain (loopback only)."
    )
    deployment: str | None = Field(default=None, description="Worker deployment name; None: unversioned.")
    build_id: str | None = Field(default=None, description="Version of this code within the deployment.")
    versioning: Literal["PINNED", "AUTO_UPGRADE"] = Field(
        default="PINNED", description="PINNED: a run ends where it began."
    )

    @model_validator(mode="after")
    def _health_is_not_open_in_plain(self) -> "PoolSettings":
        refuse_plain("health_port", self.health_host, self.tls)
        return self


class ScheduleSettings(Contract):
    workflow: str = Field(description="The workflow type: a sweep, which carries no authority.")
    input: dict[str, object] = Field(
        default_factory=dict, description="Its input; `redoubt schema TYPE` shows it."
    )
    every_s: PositiveInt | None = Field(default=None, description="Start it this often; either this or cron.")
    cron: str | None = Field(
        default=None, description="Start it at these times: minute hour day month weekday."
    )
    time_zone: str = Field(default="UTC", description="Time zone of cron (IANA).")
    jitter_s: float = Field(default=0.0, ge=0, description="Each start is delayed by up to this.")
    catchup_window_s: PositiveInt = Field(
        default=600, description="What was missed longer ago is not started."
    )
    pause_on_failure: bool = Field(default=False, description="Stop the schedule when a run fails.")
    paused: bool = Field(default=False, description="Whether it is stopped.")

    @model_validator(mode="after")
    def _one_clock(self) -> "ScheduleSettings":
        if (self.every_s is None) == (self.cron is None):
            raise ValueError("a schedule has either every_s or cron")
        return self


class TelemetrySettings(Contract):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severe records that are written."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="For programs or for people.")
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP over HTTP; None: no span leaves the process."
    )

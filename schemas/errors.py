"""The closed catalogue of errors: what each means, whether trying again can help, and what to do.

Every error that leaves an activity, a workflow, the API or the command is one of these. Whatever else is
raised inside is logged with its correlation ID and leaves as `Internal`. What an error says to clients is redacted
where it is made, so that whatever it becomes (a failure, a line of a table, an answer of the API) shows no stack, no
path and no SQL; the log has it in full. `docs/errors.md` is generated from here.
"""

from dataclasses import dataclass
from enum import StrEnum

from schemas.redaction import redacted


class Category(StrEnum):
    INPUT = "input"
    CONFLICT = "conflict"
    PERMISSION = "permission"
    DEPENDENCY = "dependency"
    CHECK = "check"
    INTERNAL = "internal"


@dataclass(frozen=True)
class ErrorType:
    code: str
    category: Category
    retryable: bool
    meaning: str
    what_to_do: str


class RedoubtError(Exception):
    """The one root: an error of the catalogue with what is particular to this occurrence.

    `detail` and `str()` go to clients, redacted; `in_full` goes to the log, and to whoever sits at this machine.
    Neither holds a secret.
    """

    code = "Internal"

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        self.in_full = detail
        self.detail = redacted(detail)
        super().__init__(self.detail)
        self.retry_after_s = retry_after_s
        self.given_up = False
        """Whoever raises it on knows of something better than to try again."""

    @property
    def type(self) -> ErrorType:
        return CATALOGUE[self.code]

    @property
    def retryable(self) -> bool:
        return self.type.retryable and not self.given_up

    def __str__(self) -> str:
        return f"{self.detail} {self.type.what_to_do}"


CATALOGUE: dict[str, ErrorType] = {}


def _error(  # noqa: PLR0913 - an entry of the catalogue is all of these
    code: str,
    category: Category,
    meaning: str,
    what_to_do: str,
    *,
    retryable: bool = False,
    kind: type[RedoubtError] = RedoubtError,
) -> type[RedoubtError]:
    """`kind`: the error of which this is a special case, for who treats both alike."""
    CATALOGUE[code] = ErrorType(code, category, retryable, meaning, what_to_do)
    return type(code, (kind,), {"code": code, "__doc__": meaning})


InvalidInput = _error(
    "InvalidInput",
    Category.INPUT,
    "The input does not have the shape that this workflow type takes.",
    "Compare it with `redoubt schema TYPE`, which prints the shape and a runnable example.",
)
UnknownWorkflowType = _error(
    "UnknownWorkflowType",
    Category.INPUT,
    "No workflow type of this name exists.",
    "`redoubt schema` lists the types; check the spelling and the task queue.",
)
UnknownSubject = _error(
    "UnknownSubject",
    Category.INPUT,
    "The inventory in the settings does not name this.",
    "Add it to the settings, or check the spelling: `redoubt certs list` shows the names.",
)
InvalidSettings = _error(
    "InvalidSettings",
    Category.INPUT,
    "The settings file can't be used as it is.",
    "`redoubt config check` names each line; `redoubt config example` shows every setting.",
)
InvalidReference = _error(
    "InvalidReference",
    Category.INPUT,
    "A secret was given in a form that is no reference, or the reference can't be followed.",
    "Give file:PATH (mode 0600), env:NAME or vault:MOUNT/PATH#FIELD, and check that this process may read it.",
)
AlreadyRunning = _error(
    "AlreadyRunning",
    Category.CONFLICT,
    "This subject is being worked on by another run.",
    "Watch that run with `redoubt watch`, or wait until it has ended.",
)
Fenced = _error(
    "Fenced",
    Category.CONFLICT,
    "A later step has overtaken this attempt, so its effect was refused.",
    "Nothing is to be done: the later step goes on.",
)
NotAuthenticated = _error(
    "NotAuthenticated",
    Category.PERMISSION,
    "The request does not show who asks in a way that the policy knows.",
    "Send a current bearer token, API key or client certificate that the policy file names; docs/api.md says how.",
)
NotAllowed = _error(
    "NotAllowed",
    Category.PERMISSION,
    "The requester may not do this.",
    "Ask someone whose role allows it; the policy file names them.",
)
NotAuthorized = _error(
    "NotAuthorized",
    Category.PERMISSION,
    "The signed policy does not let the requester do this, or the request is not signed as it must be.",
    "Ask someone who may, or sign the start with `--as NAME --key FILE`; `redoubt policy show` says who may what.",
)
PolicyRefused = _error(
    "PolicyRefused",
    Category.INPUT,
    "The policy file can't be used, or it does not follow from the version that holds.",
    "`redoubt policy check` names each line; `redoubt policy diff` shows what it would change.",
)
NotApproved = _error(
    "NotApproved",
    Category.PERMISSION,
    "What is to be done has not been approved as the signed policy asks for, so it was not begun.",
    "Start the run again: it asks for approval. `redoubt approvals list` shows what waits, and for whom.",
)
OutsideLimits = _error(
    "OutsideLimits",
    Category.CONFLICT,
    "The signed policy's windows and limits leave no room for this now, so it was not begun.",
    "Start it again when its window is open or there is room; a sweep does so by itself.",
)
ApprovalRefused = _error(
    "ApprovalRefused",
    Category.PERMISSION,
    "An approver has rejected what was to be done, so nothing was begun.",
    "Ask them why; start the run again when they agree.",
)
ApprovalExpired = _error(
    "ApprovalExpired",
    Category.CONFLICT,
    "Not enough approvers have answered in time, so nothing was begun.",
    "Start the run again: it asks anew. If it lasts, see whether enough approvers are named in the policy.",
)
VoteRefused = _error(
    "VoteRefused",
    Category.PERMISSION,
    "A vote was not taken: its signature is not good, or it is not one that counts.",
    "`redoubt approvals list` shows what waits, who can act and until when.",
)
NotNow = _error(
    "NotNow",
    Category.CONFLICT,
    "The run can't do this in the phase that it is in.",
    "`redoubt status ID` shows its phase and who can act.",
)
CaUnavailable = _error(
    "CaUnavailable",
    Category.DEPENDENCY,
    "The certificate authority did not answer, or answered that it can't now.",
    "It is tried again by itself; if it lasts, check the CA's status and the network.",
    retryable=True,
)
CaRateLimited = _error(
    "CaRateLimited",
    Category.DEPENDENCY,
    "The certificate authority has issued as much as its limits allow for now, to this account or for these names.",
    "It is tried again when the CA says; if it lasts, ask for fewer certificates, or name a second issuer.",
    retryable=True,
    kind=CaUnavailable,
)
CertificateAwaited = _error(
    "CertificateAwaited",
    Category.DEPENDENCY,
    "A request lies ready to be signed, and nobody has brought its certificate yet.",
    "Have the request signed, and put the chain (PEM, leaf first) into the issuer's inbox; it is looked for by itself.",
    retryable=True,
)
CaRefused = _error(
    "CaRefused",
    Category.DEPENDENCY,
    "The certificate authority refused the request for good.",
    "Read its reason; mend the account, the names or the CSR policy; then start the run again.",
)
OrderInvalid = _error(
    "OrderInvalid",
    Category.DEPENDENCY,
    "The certificate authority could not validate control of a name, so the order is void.",
    "Check that the challenge is reachable from the CA; then start the run again: it makes a new order.",
)
OrderLost = _error(
    "OrderLost",
    Category.DEPENDENCY,
    "The certificate authority no longer knows an order that it had taken.",
    "Nothing is to be done: a new order is placed.",
)
ChallengeNotVisible = _error(
    "ChallengeNotVisible",
    Category.DEPENDENCY,
    "The record that proves control of a name is not on every authoritative name server yet; the CA was not asked.",
    "It is tried again by itself; if it lasts, see why the named servers are behind.",
    retryable=True,
)
DnsUpdateRefused = _error(
    "DnsUpdateRefused",
    Category.DEPENDENCY,
    "The name server refused to write the record that proves control of a name.",
    "Check the challenge's `update` in the settings, and what the name server lets its TSIG key change.",
)
AccountRefused = _error(
    "AccountRefused",
    Category.DEPENDENCY,
    "The CA does not accept the account key or its external account binding.",
    "Check `account_key` and `eab` of the issuer in the settings; nothing was ordered.",
)
CertificateRejected = _error(
    "CertificateRejected",
    Category.CHECK,
    "What the CA issued failed our checks, so it was not put anywhere.",
    "Read which check failed; tell the CA; the old certificate is still in place.",
)
TargetUnreachable = _error(
    "TargetUnreachable",
    Category.DEPENDENCY,
    "A target could not be reached or written to.",
    "Check the host, its disk and its permissions; a run puts back every target that it has switched.",
    retryable=True,
)
TargetRefused = _error(
    "TargetRefused",
    Category.PERMISSION,
    "A target's host or server did not accept our user, key or token, or does not let it do this.",
    "Mend the key or token that the target's settings refer to, or its rights there; a run puts back what it switched.",
)
HostKeyRefused = _error(
    "HostKeyRefused",
    Category.PERMISSION,
    "A host showed another host key than the one that the settings pin, so nothing was sent to it.",
    "Compare it on that host's console, as docs/targets.md shows; only then pin it as `host_key`.",
)
ReloadFailed = _error(
    "ReloadFailed",
    Category.CHECK,
    "The target's service did not accept the new certificate.",
    "Run the reload command by hand on that target; a run puts back every target that it has switched.",
)
VerificationFailed = _error(
    "VerificationFailed",
    Category.CHECK,
    "A handshake with the target did not show the certificate that it must serve.",
    "Connect to it with openssl s_client; a run puts back every target that it has switched.",
)
UndoIncomplete = _error(
    "UndoIncomplete",
    Category.CHECK,
    "A target could not be put back to the certificate that it served before.",
    "Put back the named target by hand now, as docs/certificates.md describes, then start the run again.",
)
KeyStoreUnavailable = _error(
    "KeyStoreUnavailable",
    Category.DEPENDENCY,
    "The key store or its token did not answer.",
    "It is tried again by itself with a new session; check the token with `redoubt doctor`.",
    retryable=True,
)
PinRejected = _error(
    "PinRejected",
    Category.PERMISSION,
    "The token refused the PIN. It was not tried again, so that the token does not lock.",
    "Correct the secret that `pin` refers to, restart the worker, then start the run again.",
)
KeyNotFound = _error(
    "KeyNotFound",
    Category.INPUT,
    "The key store holds no key of this ID.",
    "Check the key store's name and that its token is the right one.",
)
KeyUnsuitable = _error(
    "KeyUnsuitable",
    Category.INPUT,
    "The key store can't make or use a key of this algorithm.",
    "Choose another algorithm or key store in the certificate's key policy.",
)
VaultLoginRefused = _error(
    "VaultLoginRefused",
    Category.DEPENDENCY,
    "Vault does not let this process log in.",
    "Check the role, its policies and the `login` in the settings; Vault's audit log says why it refused.",
)
WrappedSecretSpent = _error(
    "WrappedSecretSpent",
    Category.DEPENDENCY,
    "A wrapped secret ID could not be unwrapped: it was used, has ended, or is not what it should be.",
    "Take it for stolen: destroy the role's secret IDs, find in Vault's audit log who unwrapped it, wrap a new one.",
)
EvidenceUnavailable = _error(
    "EvidenceUnavailable",
    Category.DEPENDENCY,
    "The store of records did not take the intent, so the effect was not begun.",
    "It is tried again by itself; check the database with `redoubt doctor`.",
    retryable=True,
)
StillServed = _error(
    "StillServed",
    Category.CONFLICT,
    "What is to be revoked or destroyed is still held by a target, so it was left.",
    "See why its renewal did not replace it there, and start the revocation again; or start it with `replace: false`.",
)
InItsGrace = _error(
    "InItsGrace",
    Category.CONFLICT,
    "What was replaced is kept for its grace, so it was neither revoked nor destroyed yet.",
    "Nothing: it is tried again by itself when the grace is over.",
    retryable=True,
)
IntentNotLogged = _error(
    "IntentNotLogged",
    Category.DEPENDENCY,
    "What can't be undone waits until its intent is in the evidence log, and the log did not take it in time.",
    "See that the pool `audit` runs: `redoubt workers list`. It is tried again by itself.",
    retryable=True,
)
EntryRefused = _error(
    "EntryRefused",
    Category.INPUT,
    "An entry of evidence was too large or not plain JSON, so it was not recorded and its effect not begun.",
    "This is a mistake in the program: give hashes of what is large, and large integers as strings.",
)
EvidenceBroken = _error(
    "EvidenceBroken",
    Category.CHECK,
    "The evidence log does not verify.",
    "Keep the database as it is, stop the sequencer, and compare with an earlier checkpoint.",
)
DependencyUnavailable = _error(
    "DependencyUnavailable",
    Category.DEPENDENCY,
    "Something that Redoubt needs is not reachable.",
    "`redoubt doctor` says what, and how to mend it.",
    retryable=True,
)
DependencyOpen = _error(
    "DependencyOpen",
    Category.DEPENDENCY,
    "Something that Redoubt needs has failed several times in a row, so it is left alone for a while.",
    "It is tried again by itself when the time is over; `redoubt doctor` shows what is left alone.",
    retryable=True,
)
ClockWrong = _error(
    "ClockWrong",
    Category.DEPENDENCY,
    "A worker's clock and the Temporal server's are too far apart for anything to be decided by the time of day.",
    "Set the clock of the worker's host, or of the server's (NTP). It is tried again by itself; nothing was begun.",
    retryable=True,
)
EgressRefused = _error(
    "EgressRefused",
    Category.CHECK,
    "A URL that came from outside, or what stands there, is not what Redoubt takes, so it was left alone.",
    "If its address lies in a network of yours, list that in `egress.allow`; else tell who gave the URL.",
)
CaaForbids = _error(
    "CaaForbids",
    Category.CHECK,
    "A CAA record in the DNS does not let this CA issue for a name, so nothing was ordered.",
    "Correct the named record, or `caa_identities` of the issuer, or choose another issuer.",
)
Aborted = _error(
    "Aborted",
    Category.CONFLICT,
    "A person stopped this run; what it had switched was put back.",
    "Start it again when it is wanted.",
)
Internal = _error(
    "Internal",
    Category.INTERNAL,
    "Something happened that Redoubt does not know.",
    "Look for the correlation ID in the worker's log.",
    retryable=True,
)

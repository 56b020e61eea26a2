"""Errors, each of which says whose fault it is.

FlexiAIError
├── ConfigurationError     the deployment's: settings that cannot work
├── ProviderError          a provider's (or, if neutral, the caller's): one attempt that failed
│   ├── InvalidRequestError    the caller's: the provider refused this request as such; no other provider was asked
│   └── StreamBroken           a streamed answer broke off after its first token: no other provider may go on with it
├── NoProviderAvailable    nobody answered: what each provider said, and when to try again
└── SyncError              Redis' (never reaches a request)

No message ever contains an API key or a Redis password.
"""

from __future__ import annotations

from dataclasses import dataclass

from flexiai.core.outcome import Outcome, Trouble, classify


class FlexiAIError(Exception):
    """Any error of FlexiAI."""


class ConfigurationError(FlexiAIError):
    """Settings that cannot work; the message names the setting and what would work."""


class SyncError(FlexiAIError):
    """The fleet's store could not be reached or did not understand us. Never reaches a request."""


class ProviderError(FlexiAIError):
    """One attempt on one provider failed.

    message        what happened, in words; no secrets
    provider       the provider's name
    trouble        what happened
    status         HTTP status, if there was an answer
    retry_after_s  seconds the provider asked to be left alone, if it did (uncapped)
    code           the vendor's own error code or type, if it gave one
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        trouble: Trouble,
        status: int | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.trouble = trouble
        self.status = status
        self.retry_after_s = retry_after_s
        self.code = code

    @property
    def outcome(self) -> Outcome:
        """What this failure means for the provider's breaker."""
        return classify(self.trouble, self.status)


class InvalidRequestError(ProviderError):
    """The caller's own doing (400, 413, 422, content filter, a model or an option that there is not): not counted."""


class StreamBroken(ProviderError):
    """A streamed answer that broke off after its first token: what was told stays true, and is not the whole.

    `told`: pieces of content that the caller had got. The other fields say how it broke off; `outcome` is NEUTRAL
    where it was no failure of the provider's (its content filter ended it).
    """

    def __init__(self, failure: ProviderError, told: int) -> None:
        super().__init__(
            f"the answer of {failure.provider} broke off after {told} pieces: {failure}",
            provider=failure.provider,
            trouble=failure.trouble,
            status=failure.status,
            retry_after_s=failure.retry_after_s,
            code=failure.code,
        )
        self.told = told


@dataclass(frozen=True, slots=True)
class Said:
    """What one provider said to a request that nobody served.

    reason   an outcome, or why its breaker refused
    message  the same in words
    """

    provider: str
    reason: str
    message: str


class NoProviderAvailable(FlexiAIError):
    """Every provider refused or failed.

    said           what each provider said, in the order in which they were asked
    retry_after_s  seconds until the soonest time at which a provider may be tried again
    """

    def __init__(self, said: tuple[Said, ...], retry_after_s: float) -> None:
        told = "; ".join(f"{s.provider}: {s.message}" for s in said)
        super().__init__(f"no provider could answer ({told}); try again in {retry_after_s:.1f} s")
        self.said = said
        self.retry_after_s = retry_after_s

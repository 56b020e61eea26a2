"""What a model's name means to a caller of /v1, where several providers with models of their own stand behind it.

Rules (docs/decisions/0012-a-models-name-means-the-fleet.md)
-----
* `flexiai`, `auto`, and the name of every configured model mean the same: the fleet. Each provider is asked for the
  model configured for it, so that a caller that names the first provider's model is failed over like any other.
* Any other name is, by FLEXIAI_OTHER_MODELS,
      refuse      answered with 404, as OpenAI does with a model that does not exist
      configured  taken for the fleet
      pass        asked of every provider as it is
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flexiai.app.environment import OtherModels
from flexiai.app.refused import UnknownModel
from flexiai.types import ProviderConfig

FLEET = ("flexiai", "auto")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `/v1/models`. `owned_by`: the first provider for which it is configured, or `flexiai`."""

    id: str
    owned_by: str
    object: str = "model"
    created: int = 0


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/v1/models`."""

    data: tuple[Model, ...]
    object: str = "list"


class Models:
    """The names of models that mean something here."""

    def __init__(self, providers: Sequence[ProviderConfig], others: OtherModels) -> None:
        owners = dict.fromkeys(FLEET, "flexiai")
        for provider in providers:
            owners.setdefault(provider.model, provider.name)
        self._models = {name: Model(id=name, owned_by=owner) for name, owner in owners.items()}
        self._others = others

    def asked_of_providers(self, name: str) -> str | None:
        """The model to ask every provider for; None: each for its own. UnknownModel if the caller may not ask so."""
        if name in self._models or self._others == "configured":
            return None
        if self._others == "pass":
            return name
        raise UnknownModel(name, tuple(self._models))

    def get(self, name: str) -> Model:
        """One entry; UnknownModel if there is none."""
        try:
            return self._models[name]
        except KeyError:
            raise UnknownModel(name, tuple(self._models)) from None

    def all(self) -> ModelList:
        """Every entry."""
        return ModelList(data=tuple(self._models.values()))

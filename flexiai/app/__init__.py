"""The service: `uvicorn flexiai.app:app --workers 4`."""

from flexiai.app.application import FlexiAIApp, create_app

__all__ = ["FlexiAIApp", "app", "create_app"]

app = create_app()

"""The service of the deployment guide: `uvicorn app:app --host 0.0.0.0 --port 8000 --workers 4` in this directory.

It is FlexiAI's own application with settings from the environment and `.env`; this file is where a deployment adds
routes or middleware of its own.
"""

from flexiai.app import create_app

app = create_app()

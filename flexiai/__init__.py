"""FlexiAI."""

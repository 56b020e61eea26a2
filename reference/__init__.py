"""The rendered reference: what the public names say of themselves, what the commands say, and the pages of `docs/`.

`python -m reference` (`make docs`) builds it into `site/`. Whatever the tools warn of is an error.
"""

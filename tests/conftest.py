"""Its being here puts the repository's root on the import path, so that tests can share helpers (`tests.…`)."""

# Loaded at the first Tab behind keyring-rotate; the program itself prints the script that completes it.
eval "$(_KEYRING_ROTATE_COMPLETE=bash_source keyring-rotate)"

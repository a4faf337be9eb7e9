# Loaded at the first Tab behind keyring-rotate; the program itself prints the script that completes it.
_KEYRING_ROTATE_COMPLETE=fish_source keyring-rotate | source

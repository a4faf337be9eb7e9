"""The decision whether a key may go: `reasons` lists why one stays, by the `evidence`, in the sentences of `words`."""

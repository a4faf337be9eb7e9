"""A key's life: stage, promote, retire, restore; with proof, and with the files that hold the keys."""

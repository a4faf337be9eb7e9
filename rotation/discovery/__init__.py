"""Finds token columns that no target covers: searches databases table by table. Reads only."""

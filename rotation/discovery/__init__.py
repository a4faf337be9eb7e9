"""Token columns that no target covers: databases looked through, table by table. Reads only."""

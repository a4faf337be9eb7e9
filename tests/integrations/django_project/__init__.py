"""A small Django project whose models have encrypted fields."""

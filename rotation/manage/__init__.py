"""The Django app that gives a project `manage.py rotate_keys`: `INSTALLED_APPS += ["rotation.manage"]`."""

"""Open edX's encrypted columns: those of edx-enterprise's reporting configuration and integrated channels.

Keys: Django's setting `FERNET_KEYS`, a list of any texts of which the first encrypts, otherwise `SECRET_KEY` alone.
Open edX has no variable for them: here it is `FERNET_KEYS`, as JSON.
edx-enterprise runs only inside Open edX: these are its encrypted columns, of the field that it uses.
"""

import json
import os

import dj_database_url
import django
from django.conf import settings

# Application, model, the column that holds a row's name, the encrypted columns.
TABLES = (
    ("enterprise", "EnterpriseCustomerReportingConfiguration", "sftp_username", ("password", "sftp_password")),
    ("blackboard", "BlackboardEnterpriseCustomerConfiguration", "display_name", ("client_id", "client_secret")),
    ("canvas", "CanvasEnterpriseCustomerConfiguration", "display_name", ("client_id", "client_secret")),
    ("degreed2", "Degreed2EnterpriseCustomerConfiguration", "display_name", ("client_id", "client_secret")),
    ("moodle", "MoodleEnterpriseCustomerConfiguration", "display_name", ("username", "password", "token")),
    ("sap_success_factors", "SAPSuccessFactorsEnterpriseCustomerConfiguration", "display_name", ("key", "secret")),
)
SAP_ON_MYSQL = "sap_success_factors_sapsuccessfactorsenterprisecustomerconfidb8a"


def write(url, secrets):
    from django.db import connection

    models = _models(url)
    with connection.schema_editor() as editor:
        for model, name_column, columns in models:
            editor.create_model(model)
            model.objects.create(**{name_column: "nothing configured"})
            for name, text in secrets.items():
                model.objects.create(**{name_column: name}, **dict.fromkeys(columns, text))
    return _texts(models)


def read(url):
    return _texts(_models(url))


def _texts(models):
    """As the application reads them: under another key InvalidToken for the whole query."""
    return {
        f"{model._meta.db_table}.{column}/{getattr(row, name_column)}": getattr(row, column)
        for model, name_column, columns in models
        for column in columns
        for row in model.objects.exclude(**{f"{column}__isnull": True})
    }


def _models(url):
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)}, FERNET_KEYS=json.loads(os.environ["FERNET_KEYS"])
    )
    django.setup()
    # Django takes models once it is set up, and not before.
    from django.db import models
    from fernet_fields import EncryptedCharField

    # Open edX is not made for SQLite, where Django cuts no name: there the table has its name on MySQL.
    names = {TABLES[-1][1]: {"db_table": SAP_ON_MYSQL}} if url.startswith("sqlite") else {}

    def model(app, name, name_column, columns):
        fields = {column: EncryptedCharField(max_length=256, null=True) for column in columns}
        fields |= {"id": models.AutoField(primary_key=True), name_column: models.CharField(max_length=255)}
        meta = type("Meta", (), {"app_label": app, **names.get(name, {})})
        return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})

    tables = [(*table[:3], tuple(f"decrypted_{column}" for column in table[3])) for table in TABLES]
    return [(model(*table), table[2], table[3]) for table in tables]

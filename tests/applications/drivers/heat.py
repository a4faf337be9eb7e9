"""Heat's secrets: users' passwords and trusts, resources' data and properties, hidden parameters of templates.

Secret: `OS_DEFAULT__AUTH_ENCRYPTION_KEY`, a text whose first 32 characters are the key; one of 16 to 31 is doubled.
Without it, a public default. There is one.
Heat's models make the schema; its module `crypt` encrypts and decrypts.
"""

import json

from heat.common import crypt
from heat.db import models
from oslo_config import cfg
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session


def write(url, secrets):
    with _session(url) as session:
        models.BASE.metadata.create_all(session.get_bind())
        for name, text in secrets.items():
            _add(session, name, text)
        session.commit()
        return _texts(session)


def read(url):
    with _session(url) as session:
        return _texts(session)


def _add(session, name, text):
    hidden = {"parameters": {"password": crypt.encrypt(json.dumps(text))}, "encrypted_param_names": ["password"]}
    template = models.RawTemplate(template={}, files={"name": name}, environment=hidden)
    properties = models.ResourcePropertiesData(
        data=crypt.encrypted_dict({"name": name, "password": text}), encrypted=True
    )
    method, token = crypt.encrypt(text)
    session.add_all([template, properties])
    if len(token) <= 255:  # as much as these two columns hold
        session.add(models.UserCreds(username=name, password=token, decrypt_method=method))
        session.add(models.UserCreds(tenant=name, trust_id=token, decrypt_method=method))
    session.flush()
    stack = models.Stack(name=name, raw_template_id=template.id, disable_rollback=True)
    session.add(stack)
    session.flush()
    resource = models.Resource(name=name, stack_id=stack.id, rsrc_prop_data_id=properties.id)
    session.add(resource)
    session.flush()
    session.add(models.ResourceData(key=name, value=token, redact=True, decrypt_method=method, resource_id=resource.id))
    session.add(
        models.ResourceData(key="plain", value="plain", redact=False, decrypt_method="", resource_id=resource.id)
    )


def _texts(session):
    """As the application reads them: under another key InvalidEncryptionKey."""
    texts = {}
    for row in session.scalars(select(models.UserCreds)):
        if row.username:
            texts[f"user_creds.password/{row.username}"] = crypt.decrypt(row.decrypt_method, row.password)
        else:
            texts[f"user_creds.trust_id/{row.tenant}"] = crypt.decrypt(row.decrypt_method, row.trust_id)
    for row in session.scalars(select(models.ResourceData).where(models.ResourceData.redact)):
        texts[f"resource_data.value/{row.key}"] = crypt.decrypt(row.decrypt_method, row.value)
    for row in session.scalars(select(models.ResourcePropertiesData)):
        properties = crypt.decrypted_dict(row.data)
        texts[f"resource_properties_data.data/{properties['name']}"] = properties["password"]
    for row in session.scalars(select(models.RawTemplate)):
        method, token = row.environment["parameters"]["password"]
        texts[f"raw_template.environment/{row.files['name']}"] = json.loads(crypt.decrypt(method, token))
    return texts


def _session(url):
    cfg.CONF([], project="heat", default_config_files=[])
    return Session(create_engine(url.replace("postgresql:", "postgresql+psycopg:")))

"""Tacker's secrets under the key in CryptKey: VIM connections of instances and grants, subscriptions, PM jobs.

Secret: the master key, in a file of `crypt_key_dir` that is called as the row of CryptKey. Tacker makes that key, and
the one that the row holds under it, when it first starts. Its objects encrypt, decrypt, and store.
"""

import os
import tempfile
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet
from oslo_config import cfg
from tacker import context
from tacker.common import config, crypt_utils  # noqa: F401 - the options are registered by an import
from tacker.db import model_base
from tacker.sol_refactored import objects
from tacker.sol_refactored.db.sqlalchemy import models

MASTER = os.environ["TACKER_MASTER_KEY"]


def write(url, secrets):
    _start(url)
    made = iter([MASTER.encode(), Fernet.generate_key()])
    crypt_utils.CryptUtil._create_fernet_key = lambda _: next(made)
    admin = context.get_admin_context()
    for name, text in secrets.items():
        for each in _objects(name, text):
            each.create(admin)
    return _texts(admin)


def read(url):
    _start(url)
    return _texts(context.get_admin_context())


def _start(url):
    url = url.replace("postgresql:", "postgresql+psycopg:").replace("mysql:", "mysql+pymysql:")
    folder = Path(tempfile.mkdtemp())
    cfg.CONF([], project="tacker", default_config_files=[])
    cfg.CONF.set_override("connection", url, "database")
    cfg.CONF.set_override("use_credential_encryption", True)
    cfg.CONF.set_override("keymanager_type", "local")
    cfg.CONF.set_override("crypt_key_dir", str(folder))
    objects.register_all()
    engine = sa.create_engine(url)
    model_base.BASE.metadata.create_all(engine, [each.__table__ for each in STORED])
    with engine.connect() as connection:
        for (row,) in connection.execute(sa.select(models.CryptKey.id)):
            (folder / row).write_text(MASTER)


STORED = [
    models.CryptKey,
    models.VnfInstanceV2,
    models.GrantV1,
    models.LccnSubscriptionV2,
    models.FmSubscriptionV1,
    models.PmJobV2,
    models.ThresholdV2,
]


def _objects(name, text):
    vim = {
        "vim": objects.VimConnectionInfo(
            vimType="openstack", accessInfo={"username": name, "password": text, "client_secret": text}
        )
    }
    basic = objects.SubscriptionAuthentication(
        authType=["BASIC"], paramsBasic=objects.SubscriptionAuthentication_ParamsBasic(userName=name, password=text)
    )
    oauth = objects.SubscriptionAuthentication(
        authType=["OAUTH2_CLIENT_CREDENTIALS"],
        paramsOauth2ClientCredentials=objects.SubscriptionAuthentication_ParamsOauth2(
            clientId=name, clientPassword=text, tokenEndpoint="http://127.0.0.1/token"
        ),
    )
    metadata = {"monitoring": {"targetsInfo": [{"authInfo": {"ssh_username": name, "ssh_password": text}}]}}
    callback = "http://127.0.0.1/callback"
    yield objects.VnfInstanceV2(
        id=name,
        vnfdId=name,
        vnfProvider="p",
        vnfProductName="p",
        vnfSoftwareVersion="1.0",
        vnfdVersion="1.0",
        instantiationState="NOT_INSTANTIATED",
        vimConnectionInfo=vim,
    )
    yield objects.GrantV1(id=name, vnfInstanceId=name, vnfLcmOpOccId=name, vimConnectionInfo=vim)
    yield objects.LccnSubscriptionV2(id=name, callbackUri=callback, verbosity="FULL", authentication=basic)
    yield objects.FmSubscriptionV1(id=name, callbackUri=callback, authentication=oauth)
    yield objects.PmJobV2(
        id=name,
        objectType="VirtualComputeResource",
        objectInstanceIds=[name],
        criteria=objects.VnfPmJobCriteriaV2(collectionPeriod=60, reportingPeriod=60),
        callbackUri=callback,
        reports=[],
        authentication=basic,
        metadata=metadata,
    )
    yield objects.ThresholdV2(
        id=name,
        objectType="VirtualComputeResource",
        objectInstanceId=name,
        criteria=objects.ThresholdCriteriaV2(
            performanceMetric="VCpuUsageMeanVnf",
            thresholdType="SIMPLE",
            simpleThresholdDetails=objects.SimpleThresholdDetails(thresholdValue=1.0, hysteresis=0.5),
        ),
        callbackUri=callback,
        authentication=oauth,
        metadata=metadata,
    )


def _texts(admin):
    texts = {}
    for kind in (objects.VnfInstanceV2, objects.GrantV1):
        for each in kind.get_all(admin):
            info = each.vimConnectionInfo["vim"].accessInfo
            texts[f"{kind.__name__}.password/{each.id}"] = info["password"]
            texts[f"{kind.__name__}.client_secret/{each.id}"] = info["client_secret"]
    for kind in (objects.LccnSubscriptionV2, objects.PmJobV2):
        for each in kind.get_all(admin):
            texts[f"{kind.__name__}.authentication/{each.id}"] = each.authentication.paramsBasic.password
    for kind in (objects.FmSubscriptionV1, objects.ThresholdV2):
        for each in kind.get_all(admin):
            oauth = each.authentication.paramsOauth2ClientCredentials
            texts[f"{kind.__name__}.authentication/{each.id}"] = oauth.clientPassword
    for kind in (objects.PmJobV2, objects.ThresholdV2):
        for each in kind.get_all(admin):
            [target] = each.metadata["monitoring"]["targetsInfo"]
            texts[f"{kind.__name__}.metadata/{each.id}"] = target["authInfo"]["ssh_password"]
    return texts

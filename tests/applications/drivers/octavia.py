"""Octavia's records of its flows: `atomdetails.results`, where taskflow keeps what Octavia's task encrypted.

Passphrases: `[certificates] server_certs_key_passphrase`, 32 characters each; the first one encrypts.
Octavia's own task writes, in a flow that taskflow keeps; only the certificate that its CA would make is the secret.
"""

from contextlib import closing

from octavia.certificates.common.local import LocalCert
from octavia.common import config, utils
from octavia.controller.worker.v2.tasks.cert_task import GenerateServerPEMTask
from taskflow import engines, task
from taskflow.patterns import linear_flow
from taskflow.persistence import backends
from taskflow.utils import persistence_utils

config.cfg.CONF([], project="octavia", default_config_files=[])


class ServerPEM(GenerateServerPEMTask):
    def __init__(self, text):
        task.Task.__init__(self, provides="server_pem")
        self.text = text

    @property
    def cert_generator(self):
        return self

    def generate_cert_key_pair(self, cn, validity):
        return LocalCert(certificate=b"", private_key=self.text.encode())


def write(url, secrets):
    backend = _backend(url)
    with closing(backend.get_connection()) as connection:
        connection.upgrade()
    for name, text in secrets.items():
        flow = linear_flow.Flow(name).add(ServerPEM(text))
        detail = persistence_utils.create_flow_detail(flow, backend=backend)
        engines.load(flow, flow_detail=detail, backend=backend, store={"amphora_id": name}).run()
    return _texts(backend)


def read(url):
    return _texts(_backend(url))


def _texts(backend):
    """As the next task of a flow reads them: under another passphrase InvalidToken."""
    fernet = utils.get_server_certs_key_passphrases_fernet()
    with closing(backend.get_connection()) as connection:
        return {
            f"atomdetails.results/{flow.name}": fernet.decrypt(atom.results.encode()).decode()
            for book in connection.get_logbooks()
            for flow in book
            for atom in flow
            if atom.name.endswith("ServerPEM")
        }


def _backend(url):
    return backends.fetch({"connection": url.replace("postgresql:", "postgresql+psycopg2:")})

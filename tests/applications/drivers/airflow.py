"""Airflow's secrets: connections, variables, triggers, connection tests, and a Delta table's options in an XCom.

Key: `AIRFLOW__CORE__FERNET_KEY`, one Fernet key, or several with commas between them, of which the first encrypts.
`airflow db migrate` makes the schema; models and the Task SDK's serializer write and read.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

COLUMN = {"name": "number", "type": "integer", "nullable": True, "metadata": {}}
MINIMAL_TABLE = (
    {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
    {
        "metaData": {
            "id": "00000000-0000-0000-0000-000000000000",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": [COLUMN]}),
            "partitionColumns": [],
            "configuration": {},
        }
    },
)
RUN = {"dag_id": "dag", "run_id": "run"}


def write(url, secrets):
    with _session(url) as session, _delta_folder(url) as folder:
        from airflow.models import Connection, DagRun, TaskInstance, Trigger, Variable
        from airflow.models.connection_test import ConnectionTestRequest
        from airflow.models.xcom import XComModel
        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import DAG
        from airflow.sdk.bases.xcom import BaseXCom
        from airflow.utils.db import upgradedb
        from airflow.utils.types import DagRunType
        from deltalake import DeltaTable

        upgradedb()
        dag = DAG(RUN["dag_id"])
        session.add(DagRun(**RUN, run_type=DagRunType.MANUAL))
        session.flush()
        for name, text in secrets.items():
            extra = json.dumps({"token": text})
            session.add(Connection(conn_id=name, conn_type="http", password=text, extra=extra))
            session.add(ConnectionTestRequest(connection_id=name, conn_type="http", password=text, extra=extra))
            session.add(Variable(key=name, val=text))
            session.add(Trigger(classpath=name, kwargs={"token": text}))
            task = EmptyOperator(task_id=name, dag=dag)
            session.add(TaskInstance(task, dag_version_id=None, run_id=RUN["run_id"]))
            session.flush()
            table = DeltaTable(folder, storage_options={"aws_secret_access_key": text})
            value = BaseXCom.serialize_value(table)
            XComModel.set("table", value, task_id=name, **RUN, serialize=False, session=session)
        session.commit()
        return _texts(session)


def read(url):
    with _session(url) as session, _delta_folder(url):
        return _texts(session)


def _texts(session):
    from airflow.models import Connection, Trigger, Variable
    from airflow.models.connection_test import ConnectionTestRequest
    from airflow.models.xcom import XComModel
    from airflow.sdk.bases.xcom import BaseXCom

    session.expire_all()
    texts = {}
    for row in session.query(Connection):
        texts[f"connection.password/{row.conn_id}"] = row.password
        texts[f"connection.extra/{row.conn_id}"] = row.extra_dejson["token"]
    for row in session.query(ConnectionTestRequest):
        texts[f"connection_test_request.password/{row.connection_id}"] = row.password
        texts[f"connection_test_request.extra/{row.connection_id}"] = json.loads(row.extra)["token"]
    for row in session.query(Variable):
        texts[f"variable.val/{row.key}"] = row.val
    for row in session.query(Trigger):
        texts[f"trigger.kwargs/{row.classpath}"] = row.kwargs["token"]
    for row in session.query(XComModel):
        table = BaseXCom.deserialize_value(row)
        texts[f"xcom.value/{row.task_id}"] = table._storage_options["aws_secret_access_key"]
    return texts


@contextlib.contextmanager
def _session(url):
    # Airflow reads its settings when it is first imported.
    os.environ |= {
        "AIRFLOW_HOME": os.environ["HOME"],
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql:", "postgresql+psycopg2:"),
    }
    from airflow import settings
    from airflow.utils.session import create_session

    with create_session() as session:
        yield session
    settings.dispose_orm()


@contextlib.contextmanager
def _delta_folder(url):
    """An empty Delta table: a table is opened where it is written into an XCom, and again where it is read."""
    folder = Path(tempfile.gettempdir(), f"delta-{hashlib.sha256(url.encode()).hexdigest()[:16]}")
    log = folder / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, MINIMAL_TABLE)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

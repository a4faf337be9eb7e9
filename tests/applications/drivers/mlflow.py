"""MLflow's encrypted column: `webhooks.secret`, written and read through its model registry's own store.

Key: `MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY`; without it each process makes one of its own. There is one.
"""

from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

EVENT = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)


def write(url, secrets):
    store = _store(url)
    for name, text in secrets.items():
        store.create_webhook(name, "https://192.0.2.1/hook", [EVENT], secret=text)
    store.create_webhook("without-secret", "https://192.0.2.1/hook", [EVENT])
    return _texts(store)


def read(url):
    return _texts(_store(url))


def _texts(store):
    """As the application reads them: under another key InvalidToken for the whole list."""
    return {f"webhooks.secret/{hook.name}": hook.secret for hook in store.list_webhooks() if hook.secret}


def _store(url):
    return SqlAlchemyStore(url.replace("postgresql:", "postgresql+psycopg2:"))
